"""Whether a file has been cut off, told from the sizes that its container states.

A decoder shows the first half of half a WebM without a word; its motion would be half of what the caption says.
"""

from pathlib import Path
from typing import BinaryIO

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"styp", b"uuid", b"meta", b"mfra"}


def stated_length(path: Path) -> int | None:
    """Bytes that a Matroska, WebM or MP4 file says it has; None where it does not say, or is something else."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == EBML:
            return _matroska_length(file)
        return _mp4_length(file, path.stat().st_size) if head[4:] in MP4_BOXES else None


def _matroska_length(file: BinaryIO) -> int | None:
    """End of the segment; unknown in a live recording."""
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != SEGMENT:
        return None
    size = _ebml_size(file)
    return None if size is None else file.tell() + size


def _ebml_size(file: BinaryIO) -> int | None:
    """A number of 1 to 8 bytes, of which the leading zero bits tell how many; all ones means unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    following = 8 - first[0].bit_length()
    mask = (1 << (7 * (following + 1))) - 1
    value = int.from_bytes(first + file.read(following)) & mask
    return None if value == mask else value


def _mp4_length(file: BinaryIO, length: int) -> int | None:
    """End of the last known box; a box of size 0 reaches to the end, one of size 1 has its size in 8 more bytes."""
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:16])
        if head[4:8] not in MP4_BOXES or size < 8:
            return None
        end += size
    return end
