"""Text files of word vectors -> arrays: GloVe's format, or word2vec's and fastText's with a header; plain or gzipped.

Such files may be malformed. Invalid rows are skipped, and counted by fault with the first line number; a file without
valid rows is refused.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError

Vector = NDArray[np.float32]  # [D]
Vectors = dict[str, Vector]  # by word, all of one width

LOOKED_AT = 100  # first rows; their most frequent length gives the width
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


@dataclass
class VectorFile:
    """The content of a file: the vectors by word in the order of the file, and the faults of invalid rows."""

    path: Path
    width: int  # D
    rows: int = 0  # read, valid and invalid
    words: Vectors = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    first_line: dict[str, int] = field(default_factory=dict)  # of each fault

    def warnings(self) -> list[str]:
        """One message per fault."""
        return [
            f"{self.path.name}: {count} rows left out: {fault}, the first in line {self.first_line[fault]}"
            if fault != WRONG_HEADER
            else f"{self.path.name}: {fault}; its rows were counted instead"
            for fault, count in sorted(self.faults.items())
        ]


class FoundVectors(NamedTuple):
    """The vectors of a source for requested words, and a message for each fault."""

    words: Vectors
    warnings: list[str]


WRONG_HEADER = "the header in line 1 is wrong about the rows that follow"


def read_vectors(path: Path, wanted: Collection[str], first: int) -> VectorFile:
    """The vectors of the wanted words, and of the first `first` other words of the file.

    Files list the most frequent words first. Raises UserError if the file is missing, damaged or has no valid rows.
    """
    with _open(path) as lines:
        head = list(islice(lines, LOOKED_AT + 1))
        header = _parse_header(head[0]) if head else None
        found = VectorFile(path, _find_width(path, head[1:] if header else head))
        start = 2 if header else 1
        others = 0
        for number, line in enumerate(chain(head[start - 1 :], lines), start):
            if not line.strip():
                continue
            found.rows += 1
            word, fault = _parse_word(line, found.width)
            if not fault and word in found.words:
                fault = "the same word again"
            if not fault and (word in wanted or others < first):
                vector = _parse_vector(line, found.width)
                if vector is None:
                    fault = "values that are not finite, or all zero"
                else:
                    found.words[word] = vector
                    others += word not in wanted
            if fault:
                found.faults[fault] += 1
                found.first_line.setdefault(fault, number)
    if header and header != (found.rows, found.width):
        found.faults[WRONG_HEADER] = found.first_line[WRONG_HEADER] = 1
    return found


@contextmanager
def _open(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a plain or gzipped file."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == ZIP:
            raise UserError(f"{path}: a zip archive; unpack it and name the .txt or .vec in it")
        with gzip.open(path) if magic[:2] == GZIP else path.open("rb") as lines:
            yield iter(lines)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of word vectors; put it there or name another one") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name the file of word vectors in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged ({error}); fetch it again") from None


def _parse_header(line: bytes) -> tuple[int, int] | None:
    """The numbers of rows and values, if the first line consists of these; else None."""
    parts = line.split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit() else None


def _find_width(path: Path, head: list[bytes]) -> int:
    """The most frequent number of values in the first rows, since single rows may be invalid. Raises UserError."""
    counts = Counter(len(line.split()) - 1 for line in head if line.strip())
    width = max(counts, key=lambda count: (counts[count], count), default=0)
    if width < 2 or all(_parse_vector(line, width) is None for line in head):
        raise UserError(
            f"{path}: line 1 on: no rows of a word and its numbers, separated by spaces; "
            "a binary file (.bin) has to be converted to text first"
        )
    return width


def _parse_word(line: bytes, width: int) -> tuple[str, str]:
    """The word of a row, which may contain spaces as some of GloVe's, and the fault of the row, or empty."""
    line = line.rstrip()
    if line.count(b" ") == width:  # the common case; splitting takes ten times as long
        word = line[: line.index(b" ")]
    else:
        parts = line.rsplit(None, width)
        if len(parts) <= width:
            return "", f"fewer than {width} values"
        word = parts[0].strip()
    try:
        return word.decode("utf-8"), ""
    except UnicodeDecodeError:
        return "", "a word that is not UTF-8"


def _parse_vector(line: bytes, width: int) -> Vector | None:
    try:
        vector = np.array([float(value) for value in line.rsplit(None, width)[-width:]], np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() and vector.any() else None
