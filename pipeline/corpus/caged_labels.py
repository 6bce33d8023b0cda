"""Labels read in a cage: the reader runs in a caged process, and its rows come back as columns that are checked here.

A reader that is the user's own code is trusted and may need anything: it runs in this process.
"""

import gc
import os
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from mimetypes import knownfiles
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.compute.messages import BadAnswer, pack_texts, split_content, unpack_texts
from pipeline.compute.reading import Answer, Reading, read_caged
from pipeline.compute.sandbox import SandboxMode
from pipeline.corpus.readers import Reader, read_rows
from pipeline.corpus.readers.containers import locate_failures
from pipeline.corpus.rows import LabelRow, OfficialSplit, Segment
from pipeline.params import DatasetParams
from pipeline.params.data import FORMAT_NAMES

BLOCK = 1 << 16  # rows that are packed at once: their columns are held beside them
MOST_BYTES = 1 << 33  # of all rows; ten million take a third of it
COLUMNS = (
    *("id", "label", "template", "placeholders", "numbers of placeholders", "objects", "numbers of objects"),
    *("official split", "file", "place in it", "video", "starts", "ends", "segment fault", "group", "moves"),
    "recording",
)
TYPES = [path for path in map(Path, knownfiles) if path.exists()]  # read as the package for spreadsheets is imported
SPLITS = frozenset(get_args(OfficialSplit))


def read_labels(labels: Path, dataset: DatasetParams, sandbox: SandboxMode) -> list[LabelRow]:
    """All rows, as `read_rows` returns them, which it does in a cage where the reader is not the user's own."""
    mode = sandbox if dataset.format in FORMAT_NAMES else "off"
    return call_reader(read_rows, labels, dataset, Path(dataset.videos), mode)


def call_reader(
    read: Reader, labels: Path, dataset: DatasetParams, videos: Path, sandbox: SandboxMode
) -> list[LabelRow]:
    """All rows of a reader, which opens the labels and the videos folder alone; with `off`, in this process."""
    if sandbox == "off":
        return list(read(labels, dataset))
    # Beside labels and videos, where archives and pictures that may be animated are looked into.
    beside = [locate_failures(labels)] if labels.is_file() else _list_outside(labels, dataset)
    opens = (labels, *beside, videos, *TYPES)
    reading = Reading(str(labels), partial(_send_rows, read), (labels, dataset), opens, MOST_BYTES)
    return read_caged(reading, _receive_rows, sandbox)


def _list_outside(labels: Path, dataset: DatasetParams) -> list[Path]:
    """The file of class names where params place it out of the labels, which no file of a stranger decides."""
    place = Path(os.path.normpath(labels / (dataset.classes or "")))
    return [] if place.is_relative_to(os.path.normpath(labels)) else [place]


def _send_rows(read: Reader, labels: Path, dataset: DatasetParams) -> Answer:
    """In the child: how many rows each block has and how many bytes each of its columns, and the columns."""
    gc.disable()  # no row refers to itself
    rows = list(read(labels, dataset))
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    columns = [memoryview(column) for block in blocks for column in _pack(block)]
    return {"rows": [*map(len, blocks)], "bytes": [*map(len, columns)]}, columns


def _receive_rows(value: Any, content: bytearray) -> list[LabelRow]:
    """The rows of all blocks. Raises BadAnswer and UnicodeDecodeError."""
    match value:
        case {"rows": list(counts), "bytes": lengths} if all(type(n) is int and 0 < n <= BLOCK for n in counts):
            columns = iter(split_content(content, lengths, len(counts) * len(COLUMNS)))
            return [row for count in counts for row in _unpack([*islice(columns, len(COLUMNS))], count)]
    raise BadAnswer("rows in blocks that there cannot be")


def _pack(rows: Sequence[LabelRow]) -> list[bytes]:
    """The columns of some rows, in the order of COLUMNS."""
    ids, labels, templates, placeholders, objects, splits, places, videos, segments, *rest = zip(*rows, strict=True)
    files, wheres = zip(*places, strict=True)
    times = [array("d", map(float, seconds)).tobytes() for seconds in zip(*segments, strict=True)]
    lists = [_pack_lists(placeholders), _pack_lists(objects)]
    packed = [[_pack_column(column)] for column in (ids, labels, templates, splits, files, wheres, videos, *rest)]
    return [*chain(*packed[:3], *lists, *packed[3:7], times, *packed[7:])]


def _unpack(columns: Sequence[memoryview], count: int) -> Iterator[LabelRow]:
    """The rows that `_pack` packed. Raises BadAnswer where a value can be none of a row."""
    ids, labels, templates, filled, filled_counts, objects, object_counts, splits, *others = columns
    files, wheres, videos, starts, ends, *rest = others
    if not SPLITS.issuperset(official := _unpack_column(splits, count)):
        raise BadAnswer("an official split that there is not")
    fields = (
        *(_unpack_column(column, count) for column in (ids, labels, templates)),
        *(_unpack_lists(filled, filled_counts, count), _unpack_lists(objects, object_counts, count)),
        *(official, zip(_unpack_column(files, count), _unpack_column(wheres, count), strict=True)),
        *(_unpack_column(videos, count), _unpack_segments(starts, ends, count)),
        *(_unpack_column(column, count) for column in rest),
    )
    # As `LabelRow._make` does it, without a call of Python for each of them.
    return map(partial(tuple.__new__, LabelRow), zip(*fields, strict=True))


def _pack_column(texts: Sequence[str]) -> bytes:
    """The texts, or the one that all of them are."""
    return pack_texts(texts[:1] if texts[0] == texts[-1] and texts.count(texts[0]) == len(texts) else texts)


def _unpack_column(data: memoryview, count: int) -> list[str]:
    texts = unpack_texts(data)
    if len(texts) not in (1, count):
        raise BadAnswer(f"{len(texts):,} texts in place of {count:,}")
    return texts if len(texts) == count else texts * count


def _pack_lists(lists: Sequence[Sequence[str]]) -> tuple[bytes, bytes]:
    """All texts of some lists, and how many each list has."""
    return pack_texts([*chain.from_iterable(lists)]), array("Q", map(len, lists)).tobytes()


def _unpack_lists(data: memoryview, numbers: memoryview, count: int) -> Iterator[tuple[str, ...]]:
    texts, counts = unpack_texts(data), _unpack_numbers("Q", numbers, count)
    if len(texts) != sum(counts):
        raise BadAnswer(f"{len(texts):,} texts in lists of {sum(counts):,}")
    left = iter(texts)
    if len({*counts}) == 1 and counts[0]:  # as where every template has one slot
        return zip(*[left] * counts[0], strict=True)
    return (tuple(islice(left, number)) for number in counts)


def _unpack_segments(starts: memoryview, ends: memoryview, count: int) -> Iterator[Segment]:
    pairs = [*zip(_unpack_numbers("d", starts, count), _unpack_numbers("d", ends, count), strict=True)]
    known = {pair: Segment(*pair) for pair in {*pairs}}
    if not all(0 <= segment.start < segment.end for segment in known.values()):  # neither holds of what is no number
        raise BadAnswer("a part of a video that is none")
    return map(known.__getitem__, pairs)


def _unpack_numbers(kind: Literal["d", "Q"], data: memoryview, count: int) -> list[Any]:
    if len(data) != 8 * count:
        raise BadAnswer(f"{len(data):,} bytes in place of {count:,} numbers")
    return data.cast(kind).tolist()
