"""Opens the video of a clip: a file, a folder of images, a member of an archive, or a cell of a table.

The path tells which: `a/b.mp4` is a file, `clip1/img_*.jpg` are images in a folder, `shard.tar/b.mp4` and
`frames.zip/clip1/*.jpg` are in an archive, `part.parquet/video/17` is the cell of a column in a row, counted from 0.
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
from pipeline.sources.archives import ARCHIVE_ENDINGS, Archive, open_archive
from pipeline.sources.common import SourceFault, refuse_lfs_content
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
from pipeline.sources.tables import TABLE_ENDINGS, is_table, read_cell

CONTAINER = re.compile(rf"(?:{'|'.join(map(re.escape, (*ARCHIVE_ENDINGS, *TABLE_ENDINGS)))})(?=/)", re.IGNORECASE)


def split_container(path: str) -> tuple[Path, str] | None:
    """Split a path at an archive or table: its own path, and the path in it; None if there is none on the path."""
    for found in CONTAINER.finditer(path):
        if os.path.isfile(path[: found.end()]):  # noqa: PTH113  faster, and called for every clip
            return Path(path[: found.end()]), path[found.end() + 1 :]
    return None


def index_archive(videos: Path, video: str) -> None:
    """Index the archive that a video is in: slow for a large one, and cached in this process.

    Errors are ignored here; they are raised when the video is opened.
    """
    container = split_container(f"{videos}/{video}")
    if container and not is_table(container[0]):
        with suppress(SourceFault):
            open_archive(container[0])


def digest_source(videos: Path, video: str) -> str:
    """SHA-256 of the bytes of a video; for images, of their names and some of their sizes.

    Raises OSError if it does not exist, and SourceFault if it cannot be read.
    """
    path = f"{videos}/{video}"
    if "*" not in video and not CONTAINER.search(path):  # the common case
        return digest_file(path)
    container = split_container(path)
    if container is None:
        found = _read_pictures(path)
        return found.digest if found else digest_file(path)
    file, inside = container
    if is_table(file):
        content = read_cell(file, inside)
        refuse_lfs_content(video, content)
        return hashlib.sha256(content).hexdigest()
    archive = open_archive(file)
    return _digest_members(archive, inside) if is_pattern(inside) else _digest_member(archive, inside)


def _digest_member(archive: Archive, path: str) -> str:
    """SHA-256 of a file in an archive. Raises SourceFault if it is damaged."""
    digest = hashlib.sha256()
    length = 0
    for piece in archive.read(path):
        if not length and len(piece) <= LONGEST_POINTER:
            refuse_lfs_content(path, piece)
        length += len(piece)
        digest.update(piece)
    if not length:
        raise SourceFault(f"{path} holds no bytes")
    return digest.hexdigest()


def _digest_members(archive: Archive, path: str) -> str:
    """The digest of images in an archive, equal to that of the same images in a folder."""
    folder, _, pattern = path.rpartition("/")
    return digest_pictures(_order_members(archive, folder, pattern), lambda name: _measure(archive, folder, name))


def find_roots(videos: Path, video: str) -> set[str]:
    """The folders that contain everything read for a video: the videos folder, and DVC's cache if links lead there.

    Of a folder of images, one link is followed: all links of a dataset lead to the same cache.
    """
    root = _resolve(str(videos))
    path = f"{videos}/{video}"
    container = split_container(path)
    file = str(container[0]) if container else path
    return {root} | {cached[1] for target in _follow_links(file) if (cached := CACHED.match(target))}


def _follow_links(path: str) -> Iterator[str]:
    """The target of a linked file, or of the first link in a folder of images."""
    if is_pattern(path) and not os.path.lexists(path):
        with suppress(OSError), os.scandir(path.rpartition("/")[0]) as entries:
            yield from islice((os.path.realpath(entry.path) for entry in entries if entry.is_symlink()), 1)
    elif os.path.islink(path):  # noqa: PTH114  faster, and called for every clip
        yield os.path.realpath(path)


@lru_cache(64)
def _resolve(folder: str) -> str:
    return os.path.realpath(folder)


def needs_copies(videos: Path, video: str) -> bool:
    """Whether the video may have to be copied to be decoded."""
    return CONTAINER.search(f"{videos}/{video}") is not None


@contextmanager
def open_video(videos: Path, video: str, scratch: Path) -> Iterator[Path | Pictures]:
    """Yield the file to decode, which may be a copy in the folder `scratch`, or the images.

    Raises OSError if it does not exist, and SourceFault if it cannot be read.
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
    """The images in a folder if the path ends with a pattern; None for the path of a file."""
    if not is_pattern(path) or os.path.lexists(path):
        return None
    folder, _, pattern = path.rpartition("/")
    found = read_folder(folder, pattern)
    assert found is not None  # with a pattern, no match raises SourceFault
    return found


def _order_members(archive: Archive, folder: str, pattern: str) -> Numbered:
    ordered = order_pictures(archive.list_names(folder), pattern)
    assert ordered is not None  # with a pattern, no match raises SourceFault
    return ordered[1]


def _measure(archive: Archive, folder: str, name: str) -> int:
    path = f"{folder}/{name}".lstrip("/")
    found = archive.find(path)
    if found is None or not found.size:
        raise SourceFault(f"{name} holds no bytes")
    if found.size <= LONGEST_POINTER:
        refuse_lfs_content(name, b"".join(archive.read(path)))
    return found.size


@contextmanager
def _copied(pieces: Iterator[bytes], scratch: Path, ending: str) -> Iterator[Path]:
    """Yield a copy in `scratch`, named by the process id, so that a killed process leaves at most one behind."""
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
                file.truncate()  # a sandboxed process may not remove files
            with suppress(PermissionError):
                copy.unlink()
