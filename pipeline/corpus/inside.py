"""A name from the labels -> a file in the videos folder. No name leads out of it, whatever the labels say.

A path that climbs, a link that leads out of the folder, and what is no regular file are refused with a reason. The
folder itself may be a link, and so may a file whose target lies in the cache of DVC: with `cache.type = symlink` DVC
puts such links in place of the files it tracks. The cache names a file by its contents, so whoever can name one there
has it already.
"""

import errno
import os
import re
import stat
from functools import cache
from pathlib import Path

from pipeline.corpus.cleaning import writable_text
from pipeline.corpus.ids import plain_path
from pipeline.records import Reason

TRIED = (".webm", ".mp4", ".mkv", ".avi", ".mov")  # behind an id, or a path without an ending, in this order
ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
ENDINGS |= {".vob", ".wmv", *TRIED}
CACHED = re.compile(r"/(?:files/md5|\.dvc/cache)/[0-9a-f]{2}/[0-9a-f]{30}\Z")


class Refused(Exception):
    """Why there is no video for a name: a reason and its detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = writable_text(detail)


def has_ending(path: str) -> bool:
    """Whether a file is called like a video."""
    return f".{path.rpartition('.')[2].lower()}" in ENDINGS


class VideosFolder:
    """The folder of videos, with what was learnt about the folders in it."""

    def __init__(self, videos: Path) -> None:
        self._root = os.path.realpath(videos)
        self._holds = cache(self._encloses)  # few folders hold many files

    def find_id(self, name: str) -> str:
        """The file `<id>.webm`, or with the next ending there is. Raises Refused."""
        for file in (f"{name}{ending}" for ending in TRIED):
            if self._is_video(file):
                return file
        raise Refused("missing_video", f"no {name}{TRIED[0]}, nor with {', '.join(TRIED[1:])}")

    def find_path(self, text: str) -> str:
        """The file at a path that starts from the folder and may lack its ending. Raises Refused."""
        fault = _fault_of(text)
        if fault:
            raise Refused("unusable_path", f"{ascii(text)[:80]} {fault}")
        path = plain_path(text)
        if has_ending(path):
            if self._is_video(path):
                return path
            raise Refused("missing_video", f"no {path}")
        try:
            return self.find_id(path)
        except Refused as refused:
            if refused.reason == "missing_video" and os.path.lexists(f"{self._root}/{path}"):
                raise Refused("unusable_path", f"{path} does not end like a video") from None
            raise

    def _is_video(self, file: str) -> bool:
        """Whether there is such a file. Raises Refused where something of that name is of no use."""
        try:
            found = self._look_at(file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise Refused("unusable_path", f"{file[:80]}: {error.strerror}") from None
        # A pipe or a device would keep us reading for ever.
        if not stat.S_ISREG(found.st_mode):
            raise Refused("missing_video", f"{file} is not a regular file")
        if found.st_size == 0:
            raise Refused("empty_video", f"{file} holds no bytes")
        return True

    def _look_at(self, file: str) -> os.stat_result:
        """What stands there, or what it links to. Raises Refused where that is outside."""
        path, (folder, _, _) = f"{self._root}/{file}", file.rpartition("/")
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(path)
            if self._encloses(target) or CACHED.search(target):
                return Path(path).stat()
        elif not folder or self._holds(f"{self._root}/{folder}"):
            return found
        raise Refused("unusable_path", f"{file} is a link out of the videos folder, or lies behind one")

    def _encloses(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _fault_of(path: str) -> str:
    """What makes a path unusable before anything is looked up; empty where nothing does."""
    if path.startswith("/"):
        return "is absolute; paths start from dataset.videos"
    if ".." in path.split("/"):
        return "climbs with `..`"
    if "\0" in path:
        return "holds a NUL"
    return "" if writable_text(path) == path else "is not UTF-8"
