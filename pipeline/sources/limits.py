"""Shared by all sources: members of archives, limits on what they may unpack to, and the error of unusable ones."""

from typing import NamedTuple, Protocol

from pipeline.files import POINTER

PIECE = 1 << 20  # bytes of a member read at once
MOST_GROWTH = 100  # times the size in the archive; pictures and videos hardly shrink at all
FREE_GROWTH = 1 << 26  # bytes that may grow as they like


class SourceFault(Exception):
    """Why a folder of pictures, an archive or a member of one is no video."""


class Entry(NamedTuple):
    """A member of an archive."""

    name: str
    offset: int  # of a tar's content, or of a member's header in a zip; bytes from the start of the archive
    size: int  # bytes of its content
    is_file: bool = True  # no link, device or other oddity
    packed: int = 0  # bytes that the content takes in a zip
    method: int = 0  # of packing in a zip; negative: encrypted
    crc: int = 0  # of the content in a zip


class Bytes(Protocol):
    """The content of a file, of which any part can be read."""

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there, fewer at the end."""
        ...


def check_growth(name: str, packed: int, content: int) -> None:
    """Raise SourceFault if the content is larger than a video can be that packs into these bytes."""
    if content > FREE_GROWTH and content > packed * MOST_GROWTH:
        raise SourceFault(f"{name} unpacks to over {MOST_GROWTH} times its size; unpack it yourself")


def refuse_lfs_pointer(name: str, content: bytes) -> None:
    """Raise SourceFault if the beginning of a file is that of what Git LFS puts in place of it."""
    if content.startswith(POINTER):
        raise SourceFault(f"{name} is a pointer of Git LFS; `git lfs pull` fetches the file")
