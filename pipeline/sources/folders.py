"""A folder of pictures on disk."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.files import LONGEST_POINTER
from pipeline.sources.limits import SourceFault, refuse_pointer
from pipeline.sources.pictures import Numbered, digest_pictures, order_pictures


class FolderRead(NamedTuple):
    """What a folder of pictures is."""

    pattern: str  # of the pictures
    numbered: Numbered
    digest: str
    links: list[str]  # names that are links


def read_folder(path: str | Path, pattern: str = "") -> FolderRead | None:
    """The pictures in a folder, by the pattern if one is given; None where no picture has a number.

    Raises SourceFault where its pictures are no frames of a clip, and OSError where it is no folder.
    """
    with _opened(path) as folder:
        links: list[str] = []
        names: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if entry.is_symlink():
                    links.append(entry.name)
        ordered = order_pictures(names, pattern)
        if ordered is None:
            return None
        found, numbered = ordered
        meant = {*numbered.names} if links else set()
        digest = digest_pictures(numbered, lambda name: _measure(folder, name))
        return FolderRead(found, numbered, digest, [name for name in links if name in meant])


def read_picture(path: Path) -> bytes:
    """The bytes of a picture. Raises SourceFault where it is no file any more."""
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


def _measure(folder: int, name: str) -> int:
    """The size of a file in bytes. Raises SourceFault where it is none, or none with a picture in it."""
    try:
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
