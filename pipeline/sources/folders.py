"""A folder of pictures on disk."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.files import LONGEST_POINTER
from pipeline.sources.limits import SourceFault, refuse_pointer
from pipeline.sources.pictures import Numbered, digest_pictures, order_pictures

CACHED = re.compile(r"(.*/(?:files/md5|\.dvc/cache))/[0-9a-f]{2}/[0-9a-f]{30}\Z", re.DOTALL)


class FolderRead(NamedTuple):
    """What a folder of pictures is."""

    pattern: str  # of the pictures
    numbered: Numbered
    digest: str
    links: list[str]  # names that are links, where one of those whose size is in the digest is


def read_folder(path: str | Path, pattern: str = "") -> FolderRead | None:
    """The pictures in a folder, by the pattern if one is given; None where no picture has a number.

    Raises SourceFault where its pictures are no frames of a clip, and OSError where it is no folder.
    """
    with _opened(path) as folder:
        ordered = order_pictures(os.listdir(folder), pattern)  # noqa: PTH208  by its descriptor
        if ordered is None:
            return None
        found, numbered = ordered
        links: list[str] = []
        digest = digest_pictures(numbered, lambda name: _measure(folder, name, links))
        if links:
            with os.scandir(folder) as entries:
                linked = {entry.name for entry in entries if entry.is_symlink()}
            links = [name for name in numbered.names if name in linked]
        return FolderRead(found, numbered, digest, links)


def may_lead(target: str, root: str) -> bool:
    """Whether a link in the videos folder may lead to a path: within it, or to what DVC keeps of tracked files."""
    return target == root or target.startswith(f"{root}/") or CACHED.match(target) is not None


def read_picture(path: Path, root: Path) -> bytes:
    """The bytes of a picture in the videos folder. Raises SourceFault where it is no file, or a link out of there."""
    if path.is_symlink() and not may_lead(os.path.realpath(path), os.path.realpath(root)):
        raise SourceFault(f"{path.name} is a link out of the videos folder")
    if not path.is_file():  # a pipe would keep us reading for ever
        raise SourceFault(f"{path.name} is not a regular file")
    content = path.read_bytes()
    refuse_pointer(path.name, content)
    return content


@contextmanager
def _opened(path: str | Path) -> Iterator[int]:
    # By its descriptor: to walk the path for each of its files would take half of the time.
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def _measure(folder: int, name: str, links: list[str]) -> int:
    """The size of a file in bytes; a link is put into the list. Raises SourceFault where there is no picture in it."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            links.append(name)
            found = os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        raise SourceFault(f"{name} is a link to nothing") from None
    if not stat.S_ISREG(found.st_mode):
        raise SourceFault(f"{name} is not a regular file")
    if found.st_size == 0:
        raise SourceFault(f"{name} holds no bytes")
    if found.st_size <= LONGEST_POINTER:
        with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder), "rb") as file:  # noqa: PTH123  by descriptor
            refuse_pointer(name, file.read(LONGEST_POINTER))
    return found.st_size
