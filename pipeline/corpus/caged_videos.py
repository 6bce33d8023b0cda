"""Videos looked for and digested, in a cage where archives or tables of strangers have to be parsed for it.

Files of their own are only listed and hashed, and so are pictures in folders. That happens in this process.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, get_args

from pipeline.compute.messages import BadAnswer, clean_text, pack_texts, split_content, unpack_texts
from pipeline.compute.reading import Answer, Reading, read_caged
from pipeline.compute.sandbox import SandboxMode
from pipeline.corpus.contained import holds_containers
from pipeline.corpus.video_files import Digests, digest_videos, find_videos, suggest_videos_folder
from pipeline.corpus.video_names import ANYWHERE, NoVideo
from pipeline.records import Drop, Reason
from pipeline.sources import CONTAINER

MOST_BYTES = 1 << 33  # of all paths; ten million take a sixth of it
DIGEST = re.compile(r"[0-9a-f]{64}")
REASONS: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}

Found = TypeVar("Found")


@dataclass(frozen=True)
class VideoLookup:
    """Looks for videos in a folder; what was digested is known from then on."""

    videos: Path
    workers: int
    pictures: str | None = None  # pattern of the frames where folders of pictures hold others, too
    sandbox: SandboxMode = "off"
    _digests: Digests = field(default_factory=dict)

    def find(self, named: Sequence[tuple[str, str]]) -> list[str | Drop]:
        """For each (id, path) the path of its video, or why it has none, as `find_videos` returns them."""
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
        """Where the first of the missing videos that is there lies, as the end of a message; empty where none is."""
        if not self._parses(missing):
            return suggest_videos_folder(self.videos, missing)
        return self._read(_receive_suggestion, _send_suggestion, missing)

    def _parses(self, paths: Sequence[str]) -> bool:
        """Whether what is in an archive or a table has to be known, and there is a cage to learn it in."""
        if self.sandbox == "off":
            return False
        return self._holds_containers or any(CONTAINER.search(path) or path.startswith(ANYWHERE) for path in paths)

    @cached_property
    def _holds_containers(self) -> bool:
        return holds_containers(self.videos)

    def _read(self, check: Callable[[Any, bytearray], Found], send: Callable[..., Answer], *arguments: Any) -> Found:
        assert self.sandbox != "off"
        reading = Reading(str(self.videos), send, (self.videos, *arguments), (self.videos,), MOST_BYTES)
        return read_caged(reading, check, self.sandbox)


def _send_found(videos: Path, named: Sequence[tuple[str, str]], workers: int, pictures: str | None) -> Answer:
    """In the child: the paths, empty where there is none; the reasons and details of these; digests by file."""
    digests: Digests = {}
    found = find_videos(videos, named, workers, pictures, digests)
    drops = [drop for drop in found if isinstance(drop, Drop)]
    return _pack(
        ["" if isinstance(file, Drop) else file for file in found],
        [drop.reason for drop in drops],
        [drop.detail for drop in drops],
        [*digests],
        [digest for digest in digests.values() if isinstance(digest, str)],
    )


def _receive_found(ids: Sequence[str], value: Any, content: bytearray) -> tuple[list[str | Drop], Digests]:
    files, reasons, details, digested, digests = _unpack(value, content, 5)
    drops = list(_check_drops([name for name, file in zip(ids, files, strict=True) if not file], reasons, details))
    known = dict(zip(map(_check_path, digested), map(_check_digest, digests), strict=True))
    left = iter(drops)
    return [_check_path(file) if file else next(left) for file in files], {**known}


def _send_digests(videos: Path, files: Sequence[str], workers: int) -> Answer:
    """In the child: the digests, empty where there is none; the reasons and details of these."""
    found = digest_videos(videos, files, workers)
    faults = [fault for fault in found if isinstance(fault, NoVideo)]
    digests = ["" if isinstance(digest, NoVideo) else digest for digest in found]
    return _pack(digests, [fault.reason for fault in faults], [fault.detail for fault in faults])


def _receive_digests(files: Sequence[str], value: Any, content: bytearray) -> Digests:
    digests, reasons, details = _unpack(value, content, 3)
    named = list(zip(files, digests, strict=True))
    drops = iter(list(_check_drops([file for file, digest in named if not digest], reasons, details)))
    return {file: _check_digest(digest) if digest else _without(next(drops)) for file, digest in named}


def _send_suggestion(videos: Path, missing: Sequence[str]) -> Answer:
    return suggest_videos_folder(videos, missing), ()


def _receive_suggestion(value: Any, _: bytearray) -> str:
    return clean_text(value)


def _pack(*columns: Sequence[str]) -> Answer:
    """The number of bytes of each column of texts, and the columns."""
    packed = [memoryview(pack_texts(column)) for column in columns]
    return [len(data) for data in packed], packed


def _unpack(value: Any, content: bytearray, count: int) -> list[list[str]]:
    """The columns that `_pack` packed. Raises BadAnswer and UnicodeDecodeError."""
    return [unpack_texts(column) for column in split_content(content, value, count)]


def _check_drops(ids: Sequence[str], reasons: Sequence[str], details: Sequence[str]) -> list[Drop]:
    """Raises BadAnswer for a reason that there is not, and ValueError for too few or too many."""
    if not REASONS.keys() >= {*reasons}:
        raise BadAnswer("a reason that there is not")
    rows = zip(ids, reasons, details, strict=True)
    return [Drop(name, REASONS[reason], clean_text(detail)) for name, reason, detail in rows]


def _without(drop: Drop) -> NoVideo:
    return NoVideo(drop.reason, drop.detail)


def _check_path(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise BadAnswer(f"a path that leads elsewhere: {path[:80]!a}")
    return path


def _check_digest(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise BadAnswer(f"a digest that is none: {digest[:80]!a}")
    return digest
