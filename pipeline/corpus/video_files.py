"""Ids and paths from the labels -> video files inside the videos folder, and their digests."""

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pipeline.corpus.captions import writable_text
from pipeline.corpus.rows import simplify_path
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.records import Drop, Reason

TRIED = (".webm", ".mp4", ".mkv", ".avi", ".mov")  # behind an id, or a path without an ending, in this order
ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
ENDINGS |= {".vob", ".wmv", *TRIED}
CACHED = re.compile(r"/(?:files/md5|\.dvc/cache)/[0-9a-f]{2}/[0-9a-f]{30}\Z")

BATCH = 64  # videos
LONGEST_ID = 200  # bytes; with an ending still a legal file name

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def find_videos(videos: Path, named: Sequence[tuple[str, str]], workers: int) -> list[str | Drop]:
    """For each (id, path) the path of its video in the folder, or why it has none. The id counts if the path is empty.

    Raises UserError if the folder is absent.
    """
    if not videos.is_dir():
        raise UserError(f"{videos}: no such folder of videos; see dataset.videos")
    folder = VideosFolder(videos)

    def find(source: tuple[str, str]) -> str | Drop:
        name, path = source
        try:
            return folder.find_path(path) if path else folder.find_id(name)
        except NoVideo as error:
            return Drop(name, error.reason, error.detail)

    return _map_in_threads(find, named, workers)


def digest_videos(videos: Path, files: Sequence[str], workers: int) -> list[str]:
    """The SHA-256 of each file; one that is named several times is read once."""
    distinct = list(dict.fromkeys(files))
    digests = _map_in_threads(lambda file: digest_file(videos / file), distinct, workers)
    found = dict(zip(distinct, digests, strict=True))
    return [found[file] for file in files]


def is_usable_id(name: str) -> bool:
    """Whether `<id>.webm` can only be a file directly in the videos folder."""
    safe = name.isprintable() and not re.search(r"[/\\]", name) and not name.startswith(".")
    return safe and 0 < len(name.encode()) <= LONGEST_ID


def has_video_ending(path: str) -> bool:
    """Whether a file is called like a video."""
    return f".{path.rpartition('.')[2].lower()}" in ENDINGS


class VideosFolder:
    """The folder of videos, with what is known about the folders in it."""

    def __init__(self, videos: Path) -> None:
        self._root = os.path.realpath(videos)
        self._holds = cache(self._encloses)  # few folders hold many files

    def find_id(self, name: str) -> str:
        """The file `<id>.webm`, or with the next ending there is. Raises NoVideo."""
        for file in (f"{name}{ending}" for ending in TRIED):
            if self._is_video(file):
                return file
        raise NoVideo("missing_video", f"no {name}{TRIED[0]}, nor with {', '.join(TRIED[1:])}")

    def find_path(self, text: str) -> str:
        """The file at a path that starts from the folder and may lack its ending. Raises NoVideo."""
        fault = _find_path_fault(text)
        if fault:
            raise NoVideo("unusable_path", f"{ascii(text)[:80]} {fault}")
        path = simplify_path(text)
        if has_video_ending(path):
            if self._is_video(path):
                return path
            raise NoVideo("missing_video", f"no {path}")
        try:
            return self.find_id(path)
        except NoVideo as error:
            if error.reason == "missing_video" and os.path.lexists(f"{self._root}/{path}"):
                raise NoVideo("unusable_path", f"{path} does not end like a video") from None
            raise

    def _is_video(self, file: str) -> bool:
        """Whether there is such a file. Raises NoVideo where something of that name is of no use."""
        try:
            found = self._look_at(file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise NoVideo("unusable_path", f"{file[:80]}: {error.strerror}") from None
        # A pipe or a device would keep us reading for ever.
        if not stat.S_ISREG(found.st_mode):
            raise NoVideo("missing_video", f"{file} is not a regular file")
        if found.st_size == 0:
            raise NoVideo("empty_video", f"{file} holds no bytes")
        return True

    def _look_at(self, file: str) -> os.stat_result:
        """What stands there, or what it links to. Raises NoVideo where that is outside."""
        path, (folder, _, _) = f"{self._root}/{file}", file.rpartition("/")
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(path)
            if self._encloses(target) or CACHED.search(target):
                return Path(path).stat()
        elif not folder or self._holds(f"{self._root}/{folder}"):
            return found
        raise NoVideo("unusable_path", f"{file} is a link out of the videos folder, or lies behind one")

    def _encloses(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


class NoVideo(Exception):
    """Why there is no video for a name: a reason and its detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = writable_text(detail)


def _find_path_fault(path: str) -> str:
    """What makes a path unusable before anything is looked up; empty where nothing does."""
    if path.startswith("/"):
        return "is absolute; paths start from dataset.videos"
    if ".." in path.split("/"):
        return "climbs with `..`"
    if "\0" in path:
        return "holds a NUL"
    return "" if writable_text(path) == path else "is not UTF-8"


def _map_in_threads(function: Callable[[Item], Answer], items: Sequence[Item], workers: int) -> list[Answer]:
    """The answers in order, from threads, since reading and hashing let other threads run.

    By the batch: a task of its own for each would cost more than a small file.
    """
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        return list(chain.from_iterable(pool.map(lambda batch: [function(item) for item in batch], batches)))
