"""Shared by all sources: entries of archives, limits on decompressed sizes, and SourceFault."""

from typing import NamedTuple, Protocol

from pipeline.files import POINTER

PIECE = 1 << 20  # bytes of a member read at once
MAX_GROWTH = 100  # maximum compression ratio; images and videos hardly compress
FREE_GROWTH = 1 << 26  # bytes; content up to this size is not limited


class SourceFault(Exception):
    """Why a folder of images, an archive or a member of one cannot be used as a video."""


class Entry(NamedTuple):
    """A member of an archive."""

    name: str
    offset: int  # of the content in a tar, of the local header in a zip; bytes from the start of the archive
    size: int  # bytes of the content
    is_file: bool = True  # a regular file; no link or device
    packed: int = 0  # compressed size in a zip, in bytes
    method: int = 0  # compression method of a zip; negative: encrypted
    crc: int = 0  # CRC-32 of the content in a zip


class Bytes(Protocol):
    """Bytes with random access."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, or fewer at the end."""
        ...


def check_growth(name: str, packed: int, content: int) -> None:
    """Raise SourceFault if `content` bytes from `packed` bytes exceed the maximum compression ratio."""
    if content > FREE_GROWTH and content > packed * MAX_GROWTH:
        raise SourceFault(f"{name} unpacks to over {MAX_GROWTH} times its size; unpack it yourself")


def refuse_lfs_content(name: str, content: bytes) -> None:
    """Raise SourceFault if the content is a pointer of Git LFS."""
    if content.startswith(POINTER):
        raise SourceFault(f"{name} is a pointer of Git LFS; `git lfs pull` fetches the file")
