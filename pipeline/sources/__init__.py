"""Where the video of a clip is: a file, a folder of pictures, a member of an archive, or a cell of a table.

A path says which. `a/b.mp4` is a file, `clip1/img_*.jpg` are pictures in a folder, `shard.tar/b.mp4` and
`frames.zip/clip1/*.jpg` lie in an archive, `part.parquet/video/17` is the cell of a column in a row, counted from 0.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path

from pipeline.files import CACHED, LONGEST_POINTER, digest_file
from pipeline.sources.archives import ENDINGS as ARCHIVES
from pipeline.sources.archives import Archive, open_archive
from pipeline.sources.limits import SourceFault, refuse_lfs_pointer
from pipeline.sources.pictures import (
    FolderRead,
    Numbered,
    Pictures,
    digest_pictures,
    is_pattern,
    order_pictures,
    read_folder,
    read_picture,
)
from pipeline.sources.tables import ENDINGS as TABLES
from pipeline.sources.tables import is_table, read_cell

CONTAINER = re.compile(rf"(?:{'|'.join(map(re.escape, (*ARCHIVES, *TABLES)))})(?=/)", re.IGNORECASE)


def split_container(path: str) -> tuple[Path, str] | None:
    """The archive or the table on the way that a path leads, and the path in it; None if it leads through none."""
    for found in CONTAINER.finditer(path):
        if os.path.isfile(path[: found.end()]):  # noqa: PTH113  a path of text is looked at for every clip
            return Path(path[: found.end()]), path[found.end() + 1 :]
    return None


def index_archive(videos: Path, video: str) -> None:
    """List the archive that a video is in, which takes long for a large one and is done once in a process.

    What is the matter with it is told when the video is opened.
    """
    container = split_container(f"{videos}/{video}")
    if container and not is_table(container[0]):
        with suppress(SourceFault):
            open_archive(container[0])


def digest_source(videos: Path, video: str) -> str:
    """SHA-256 of the bytes of a video; of pictures that of their names and of some sizes.

    Raises OSError if there is none, and SourceFault if it cannot be read.
    """
    path = f"{videos}/{video}"
    if "*" not in video and not CONTAINER.search(path):  # as nearly always
        return digest_file(path)
    container = split_container(path)
    if container is None:
        found = _read_pictures(path)
        return found.digest if found else digest_file(path)
    file, inside = container
    if is_table(file):
        content = read_cell(file, inside)
        refuse_lfs_pointer(video, content)
        return hashlib.sha256(content).hexdigest()
    archive = open_archive(file)
    return digest_members(archive, inside) if is_pattern(inside) else digest_member(archive, inside)


def digest_member(archive: Archive, path: str) -> str:
    """SHA-256 of a file in an archive. Raises SourceFault if it is damaged."""
    digest = hashlib.sha256()
    length = 0
    for piece in archive.read(path):
        if not length and len(piece) <= LONGEST_POINTER:
            refuse_lfs_pointer(path, piece)
        length += len(piece)
        digest.update(piece)
    if not length:
        raise SourceFault(f"{path} holds no bytes")
    return digest.hexdigest()


def digest_members(archive: Archive, path: str) -> str:
    """The digest of pictures in an archive, equal to that of the same pictures in a folder."""
    folder, _, pattern = path.rpartition("/")
    return digest_pictures(_order_members(archive, folder, pattern), lambda name: _measure(archive, folder, name))


def find_roots(videos: Path, video: str) -> set[str]:
    """The folders that hold all that is read of a video: the videos folder, and DVC's cache where a link leads there.

    Links are followed once for a folder, as those of a set lead to one place.
    """
    root = _resolve(str(videos))
    path = f"{videos}/{video}"
    container = split_container(path)
    file = str(container[0]) if container else path
    return {root} | {cached[1] for target in _follow_links(file) if (cached := CACHED.match(target))}


def _follow_links(path: str) -> Iterator[str]:
    """What a file leads to, and the first link among pictures: all of a folder are linked in one way."""
    if is_pattern(path) and not os.path.lexists(path):
        with suppress(OSError), os.scandir(path.rpartition("/")[0]) as entries:
            yield from islice((os.path.realpath(entry.path) for entry in entries if entry.is_symlink()), 1)
    elif os.path.islink(path):  # noqa: PTH114  a path of text is looked at for every clip
        yield os.path.realpath(path)


@lru_cache(64)
def _resolve(folder: str) -> str:
    return os.path.realpath(folder)


def needs_copies(videos: Path, video: str) -> bool:
    """Whether a copy of the video is made to decode it."""
    return CONTAINER.search(f"{videos}/{video}") is not None


@contextmanager
def open_video(videos: Path, video: str, scratch: Path) -> Iterator[Path | Pictures]:
    """Yield the file to decode, which may be a copy in the folder `scratch`, or the pictures.

    Raises OSError if there is none, and SourceFault if it cannot be read.
    """
    path = f"{videos}/{video}"
    container = split_container(path)
    if container is None:
        found = _read_pictures(path)
        if found is None:
            yield Path(path)
        else:
            frames = Path(path).parent
            yield Pictures(found.numbered, lambda name: read_picture(frames / name, videos), scratch)
        return
    file, inside = container
    if is_table(file):
        pieces = iter([read_cell(file, inside)])
    else:
        archive = open_archive(file)
        if is_pattern(inside):
            folder, _, pattern = inside.rpartition("/")
            numbered = _order_members(archive, folder, pattern)
            yield Pictures(numbered, lambda name: b"".join(archive.read(f"{folder}/{name}".lstrip("/"))), scratch)
            return
        pieces = archive.read(inside)
    with _copied(pieces, scratch, Path(inside).suffix) as copy:
        yield copy


def _read_pictures(path: str) -> FolderRead | None:
    """The pictures in a folder that a path names by a pattern; None for the path of a file."""
    if not is_pattern(path) or os.path.lexists(path):
        return None
    folder, _, pattern = path.rpartition("/")
    found = read_folder(folder, pattern)
    assert found is not None  # with a pattern there are pictures or a fault
    return found


def _order_members(archive: Archive, folder: str, pattern: str) -> Numbered:
    ordered = order_pictures(archive.list_names(folder), pattern)
    assert ordered is not None  # with a pattern there are pictures or a fault
    return ordered[1]


def _measure(archive: Archive, folder: str, name: str) -> int:
    path = f"{folder}/{name}".lstrip("/")
    found = archive.find(path)
    if found is None or not found.size:
        raise SourceFault(f"{name} holds no bytes")
    if found.size <= LONGEST_POINTER:
        refuse_lfs_pointer(name, b"".join(archive.read(path)))
    return found.size


@contextmanager
def _copied(pieces: Iterator[bytes], scratch: Path, ending: str) -> Iterator[Path]:
    """Yield a copy in `scratch`; its name is that of the process, so that a killed one leaves no second."""
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / f".video-{os.getpid()}{ending if ending.isascii() and ending[1:].isalnum() else ''}"
    try:
        with copy.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        yield copy
    finally:
        with suppress(FileNotFoundError):
            with copy.open("r+b") as file:
                file.truncate()  # a sandboxed process may not remove it
            with suppress(PermissionError):
                copy.unlink()
