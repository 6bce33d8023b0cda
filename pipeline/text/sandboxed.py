"""Word vectors read in a sandboxed process, which parses the file; words and values are checked here."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.compute.child import BadAnswer, check_text, pack_texts, unpack_texts
from pipeline.compute.reading import Answer, Reading, read_sandboxed
from pipeline.compute.sandbox import SandboxMode
from pipeline.errors import UserError
from pipeline.text.vector_files import FoundVectors, read_vectors

WORD_BYTES = 1 << 15  # bound on a word and its vector: 4,096 values and as many characters
MAX_WARNINGS = 100


def read_vector_file(path: Path, wanted: Collection[str], first: int, sandbox: SandboxMode) -> FoundVectors:
    """The vectors of a text file by `read_vectors`, called in a sandbox unless `sandbox` is `off`."""
    if sandbox == "off":
        return _read_file(path, wanted, first)
    return find_vectors(str(path), _read_file, (path, wanted, first), path, (wanted, first), sandbox)


def find_vectors(
    name: str,
    read: Callable[..., FoundVectors],
    arguments: tuple[Any, ...],
    opens: Path,
    asked: tuple[Collection[str], int],
    sandbox: Literal["require", "auto"],
    packages: tuple[str, ...] = (),
    machine_code: bool = False,
) -> FoundVectors:
    """Call `read` in a sandbox that may open this file or folder. `asked`: wanted words, and the number of others."""
    wanted, others = asked
    check = partial(_receive_vectors, wanted, others)
    most = (len(wanted) + others) * WORD_BYTES
    reading = Reading(name, partial(_send_vectors, name, read), arguments, (opens,), most, packages, machine_code)
    return read_sandboxed(reading, check, sandbox)


def _read_file(path: Path, wanted: Collection[str], first: int) -> FoundVectors:
    found = read_vectors(path, wanted, first)
    return FoundVectors(found.words, found.warnings())


def _send_vectors(name: str, read: Callable[..., FoundVectors], *arguments: Any) -> Answer:
    """In the child: the vectors, then the words."""
    found = read(*arguments)
    vectors = np.array([*found.words.values()], np.float32)
    if not np.isfinite(vectors).all():
        raise UserError(f"{name}: has vectors that are not finite; use another source of vectors")
    width = vectors.shape[1] if found.words else 0
    contents = [memoryview(vectors.tobytes()), memoryview(pack_texts([*found.words]))]
    return {"count": len(found.words), "width": width, "warnings": found.warnings}, contents


def _receive_vectors(wanted: Collection[str], others: int, value: Any, content: bytearray) -> FoundVectors:
    """The vectors by word. Raises BadAnswer and UnicodeDecodeError."""
    match value:
        case {"count": int(count), "width": int(width), "warnings": list(warnings)} if len(value) == 3:
            pass
        case _:
            raise BadAnswer("an answer of another shape")
    end = 4 * count * width
    if not (count >= 0 < width or count == width == 0) or end > len(content) or len(warnings) > MAX_WARNINGS:
        raise BadAnswer(f"{count:,} vectors of {width:,} values in {len(content):,} bytes")
    words = unpack_texts(memoryview(content)[end:])
    if len(words) != count or len({*words}) != count or len({*words} - {*wanted}) > others:
        raise BadAnswer(f"{len(words):,} words instead of {count:,} of the requested ones")
    vectors = np.frombuffer(content, np.float32, count * width).reshape(count, width)
    if not np.isfinite(vectors).all():
        raise BadAnswer("a vector with values that are not finite")
    return FoundVectors(dict(zip(words, vectors, strict=True)), [check_text(warning) for warning in warnings])
