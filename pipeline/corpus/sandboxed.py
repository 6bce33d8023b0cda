"""Untrusted labels and videos read in a sandbox: rows, paths and digests are returned as columns and checked here.

A custom reader is trusted code and may need anything, so it runs in this process. So does listing and hashing of videos
that are files or images in folders, since nothing is parsed.
"""

import gc
import os
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from mimetypes import knownfiles
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pipeline.compute.child import BadAnswer, check_text, pack_texts, split_content, unpack_texts
from pipeline.compute.reading import Answer, Reading, read_sandboxed
from pipeline.compute.sandbox import SandboxMode
from pipeline.corpus import LabelRow, OfficialSplit, Segment
from pipeline.corpus.contained import holds_containers
from pipeline.corpus.readers import Reader, read_rows
from pipeline.corpus.readers.containers import locate_failures
from pipeline.corpus.video_files import Digests, digest_videos, find_videos, suggest_videos_folder
from pipeline.corpus.video_names import ANYWHERE, NoVideo
from pipeline.params import DatasetParams
from pipeline.params.data import FORMAT_NAMES
from pipeline.records import Drop, Reason
from pipeline.sources import CONTAINER

BLOCK = 1 << 16  # rows packed at once, which bounds the memory for their columns
MAX_BYTES = 1 << 33  # of an answer; ten million rows take a third of it, ten million paths a sixth
COLUMNS = (
    *("id", "label", "template", "placeholders", "numbers of placeholders", "objects", "numbers of objects"),
    *("official split", "file", "location in it", "video", "starts", "ends", "segment fault", "group", "moves"),
    "recording",
)
TYPES = [path for path in map(Path, knownfiles) if path.exists()]  # read on import of the package for spreadsheets
SPLITS = frozenset(get_args(OfficialSplit))
DIGEST = re.compile(r"[0-9a-f]{64}")
REASONS: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}

Found = TypeVar("Found")


def read_labels(labels: Path, dataset: DatasetParams, sandbox: SandboxMode) -> list[LabelRow]:
    """All rows of `read_rows`, which runs in a sandbox unless the reader is custom code."""
    mode = sandbox if dataset.format in FORMAT_NAMES else "off"
    return call_reader(read_rows, labels, dataset, Path(dataset.videos), mode)


def call_reader(
    read: Reader, labels: Path, dataset: DatasetParams, videos: Path, sandbox: SandboxMode
) -> list[LabelRow]:
    """All rows of a reader, which may open only the labels and the videos folder; with `off`, in this process."""
    if sandbox == "off":
        return list(read(labels, dataset))
    # The videos folder, too, since archives and images that may be animated are opened.
    beside = [locate_failures(labels)] if labels.is_file() else _list_outside(labels, dataset)
    opens = (labels, *beside, videos, *TYPES)
    reading = Reading(str(labels), partial(_send_rows, read), (labels, dataset), opens, MAX_BYTES)
    return read_sandboxed(reading, _receive_rows, sandbox)


def _list_outside(labels: Path, dataset: DatasetParams) -> list[Path]:
    """The file of class names if params place it outside of the labels; its path comes from params only."""
    path = Path(os.path.normpath(labels / (dataset.classes or "")))
    return [] if path.is_relative_to(os.path.normpath(labels)) else [path]


def _send_rows(read: Reader, labels: Path, dataset: DatasetParams) -> Answer:
    """In the child: the numbers of rows of the blocks, the sizes of their columns, and the columns."""
    gc.disable()  # rows have no reference cycles
    rows = list(read(labels, dataset))
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    columns = [memoryview(column) for block in blocks for column in _pack_rows(block)]
    return {"rows": [*map(len, blocks)], "bytes": [*map(len, columns)]}, columns


def _receive_rows(value: Any, content: bytearray) -> list[LabelRow]:
    """The rows of all blocks. Raises BadAnswer and UnicodeDecodeError."""
    match value:
        case {"rows": list(counts), "bytes": lengths} if all(type(n) is int and 0 < n <= BLOCK for n in counts):
            columns = iter(split_content(content, lengths, len(counts) * len(COLUMNS)))
            return [row for count in counts for row in _unpack_rows([*islice(columns, len(COLUMNS))], count)]
    raise BadAnswer("not rows in blocks")


def _pack_rows(rows: Sequence[LabelRow]) -> list[bytes]:
    """The columns of some rows, in the order of COLUMNS."""
    ids, labels, templates, placeholders, objects, splits, locations, videos, segments, *rest = zip(*rows, strict=True)
    files, wheres = zip(*locations, strict=True)
    times = [array("d", map(float, seconds)).tobytes() for seconds in zip(*segments, strict=True)]
    lists = [_pack_lists(placeholders), _pack_lists(objects)]
    packed = [[_pack_column(column)] for column in (ids, labels, templates, splits, files, wheres, videos, *rest)]
    return [*chain(*packed[:3], *lists, *packed[3:7], times, *packed[7:])]


def _unpack_rows(columns: Sequence[memoryview], count: int) -> Iterator[LabelRow]:
    """The inverse of `_pack_rows`. Raises BadAnswer for invalid values."""
    ids, labels, templates, filled, filled_counts, objects, object_counts, splits, *others = columns
    files, wheres, videos, starts, ends, *rest = others
    if not SPLITS.issuperset(official := _unpack_column(splits, count)):
        raise BadAnswer("an unknown official split")
    fields = (
        *(_unpack_column(column, count) for column in (ids, labels, templates)),
        *(_unpack_lists(filled, filled_counts, count), _unpack_lists(objects, object_counts, count)),
        *(official, zip(_unpack_column(files, count), _unpack_column(wheres, count), strict=True)),
        *(_unpack_column(videos, count), _unpack_segments(starts, ends, count)),
        *(_unpack_column(column, count) for column in rest),
    )
    # As `LabelRow._make`, without a Python call per row.
    return map(partial(tuple.__new__, LabelRow), zip(*fields, strict=True))


def _pack_column(texts: Sequence[str]) -> bytes:
    """The texts, or a single one if all are equal."""
    return pack_texts(texts[:1] if texts[0] == texts[-1] and texts.count(texts[0]) == len(texts) else texts)


def _unpack_column(data: memoryview, count: int) -> list[str]:
    texts = unpack_texts(data)
    if len(texts) not in (1, count):
        raise BadAnswer(f"{len(texts):,} texts in place of {count:,}")
    return texts if len(texts) == count else texts * count


def _pack_lists(lists: Sequence[Sequence[str]]) -> tuple[bytes, bytes]:
    """All texts of some lists, and the lengths of the lists."""
    return pack_texts([*chain.from_iterable(lists)]), array("Q", map(len, lists)).tobytes()


def _unpack_lists(data: memoryview, numbers: memoryview, count: int) -> Iterator[tuple[str, ...]]:
    texts, counts = unpack_texts(data), _unpack_numbers("Q", numbers, count)
    if len(texts) != sum(counts):
        raise BadAnswer(f"{len(texts):,} texts in lists of {sum(counts):,}")
    left = iter(texts)
    if len({*counts}) == 1 and counts[0]:  # for example if every template has one slot
        return zip(*[left] * counts[0], strict=True)
    return (tuple(islice(left, number)) for number in counts)


def _unpack_segments(starts: memoryview, ends: memoryview, count: int) -> Iterator[Segment]:
    pairs = [*zip(_unpack_numbers("d", starts, count), _unpack_numbers("d", ends, count), strict=True)]
    known = {pair: Segment(*pair) for pair in {*pairs}}
    if not all(0 <= segment.start < segment.end for segment in known.values()):  # false for NaN
        raise BadAnswer("not a part of a video")
    return map(known.__getitem__, pairs)


def _unpack_numbers(kind: Literal["d", "Q"], data: memoryview, count: int) -> list[Any]:
    if len(data) != 8 * count:
        raise BadAnswer(f"{len(data):,} bytes in place of {count:,} numbers")
    return data.cast(kind).tolist()


@dataclass(frozen=True)
class VideoLookup:
    """Looks for videos in a folder; digests are cached."""

    videos: Path
    workers: int
    pictures: str | None = None  # pattern of the frames, if folders contain other images
    sandbox: SandboxMode = "off"
    _digests: Digests = field(default_factory=dict)

    def find(self, named: Sequence[tuple[str, str]]) -> list[str | Drop]:
        """For each (id, path), the path of its video, or a Drop, as `find_videos` returns them."""
        if not self._parses([path for _, path in named]):
            return find_videos(self.videos, named, self.workers, self.pictures, self._digests)
        check = partial(_receive_found, [name for name, _ in named])
        found, digests = self._read(check, _send_found, named, self.workers, self.pictures)
        self._digests.update(digests)
        return found

    def digest(self, files: Sequence[str]) -> list[str | NoVideo]:
        """The SHA-256 of each file, or why it cannot be read."""
        left = list(dict.fromkeys(file for file in files if file not in self._digests))
        if left and self._parses(left):
            self._digests.update(self._read(partial(_receive_digests, left), _send_digests, left, self.workers))
        return digest_videos(self.videos, files, self.workers, self._digests)

    def suggest(self, missing: Sequence[str]) -> str:
        """Where the first missing video that exists elsewhere is, as the end of a message; empty if none does."""
        if not self._parses(missing):
            return suggest_videos_folder(self.videos, missing)
        return self._read(_receive_suggestion, _send_suggestion, missing)

    def _parses(self, paths: Sequence[str]) -> bool:
        """Whether archives or tables have to be opened, and in a sandbox."""
        if self.sandbox == "off":
            return False
        return self._holds_containers or any(CONTAINER.search(path) or path.startswith(ANYWHERE) for path in paths)

    @cached_property
    def _holds_containers(self) -> bool:
        return holds_containers(self.videos)

    def _read(self, check: Callable[[Any, bytearray], Found], send: Callable[..., Answer], *arguments: Any) -> Found:
        assert self.sandbox != "off"
        reading = Reading(str(self.videos), send, (self.videos, *arguments), (self.videos,), MAX_BYTES)
        return read_sandboxed(reading, check, self.sandbox)


def _send_found(videos: Path, named: Sequence[tuple[str, str]], workers: int, pictures: str | None) -> Answer:
    """In the child: the paths, empty for drops; the reasons and details of drops; the digests by file."""
    digests: Digests = {}
    found = find_videos(videos, named, workers, pictures, digests)
    drops = [drop for drop in found if isinstance(drop, Drop)]
    return _pack_answer(
        ["" if isinstance(file, Drop) else file for file in found],
        [drop.reason for drop in drops],
        [drop.detail for drop in drops],
        [*digests],
        [digest for digest in digests.values() if isinstance(digest, str)],
    )


def _receive_found(ids: Sequence[str], value: Any, content: bytearray) -> tuple[list[str | Drop], Digests]:
    files, reasons, details, digested, digests = _unpack_answer(value, content, 5)
    drops = list(_check_drops([name for name, file in zip(ids, files, strict=True) if not file], reasons, details))
    known = dict(zip(map(_check_path, digested), map(_check_digest, digests), strict=True))
    left = iter(drops)
    return [_check_path(file) if file else next(left) for file in files], {**known}


def _send_digests(videos: Path, files: Sequence[str], workers: int) -> Answer:
    """In the child: the digests, empty for faults; the reasons and details of faults."""
    found = digest_videos(videos, files, workers)
    faults = [fault for fault in found if isinstance(fault, NoVideo)]
    digests = ["" if isinstance(digest, NoVideo) else digest for digest in found]
    return _pack_answer(digests, [fault.reason for fault in faults], [fault.detail for fault in faults])


def _receive_digests(files: Sequence[str], value: Any, content: bytearray) -> Digests:
    digests, reasons, details = _unpack_answer(value, content, 3)
    named = list(zip(files, digests, strict=True))
    drops = iter(list(_check_drops([file for file, digest in named if not digest], reasons, details)))
    return {file: _check_digest(digest) if digest else _without(next(drops)) for file, digest in named}


def _send_suggestion(videos: Path, missing: Sequence[str]) -> Answer:
    return suggest_videos_folder(videos, missing), ()


def _receive_suggestion(value: Any, _: bytearray) -> str:
    return check_text(value)


def _pack_answer(*columns: Sequence[str]) -> Answer:
    """The sizes of columns of texts, and the columns."""
    packed = [memoryview(pack_texts(column)) for column in columns]
    return [len(data) for data in packed], packed


def _unpack_answer(value: Any, content: bytearray, count: int) -> list[list[str]]:
    """The inverse of `_pack_answer`. Raises BadAnswer and UnicodeDecodeError."""
    return [unpack_texts(column) for column in split_content(content, value, count)]


def _check_drops(ids: Sequence[str], reasons: Sequence[str], details: Sequence[str]) -> list[Drop]:
    """Raises BadAnswer for an unknown reason, and ValueError if the lengths differ."""
    if not REASONS.keys() >= {*reasons}:
        raise BadAnswer("an unknown reason")
    rows = zip(ids, reasons, details, strict=True)
    return [Drop(name, REASONS[reason], check_text(detail)) for name, reason, detail in rows]


def _without(drop: Drop) -> NoVideo:
    return NoVideo(drop.reason, drop.detail)


def _check_path(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise BadAnswer(f"a path that leads elsewhere: {path[:80]!a}")
    return path


def _check_digest(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise BadAnswer(f"not a SHA-256: {digest[:80]!a}")
    return digest
