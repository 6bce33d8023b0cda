"""Headers of JPEG, PNG and WebP files, read without decoding them."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.video.limits import DecodeError

JPEG, PNG, WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG's frame headers
BARE = {1, *range(0xD0, 0xD9)}  # markers without a length
SCAN, EXIF = 0xDA, 0xE1
ORIENTATION = 0x112


class PictureHeader(NamedTuple):
    """What a picture says about itself."""

    codec: str  # by FFmpeg's name
    width: int  # pixels, as stored
    height: int
    orientation: int  # as EXIF counts: 1 to 8, 1 is upright


def read_header(content: bytes) -> PictureHeader:
    """The header of a picture. Raises DecodeError where it is none of the three, or no whole one."""
    try:
        if content.startswith(JPEG):
            return _read_jpeg(content)
        if content.startswith(PNG):
            return _read_png(content)
        if content.startswith(WEBP) and content[8:12] == b"WEBP":
            return _read_webp(content)
    except (struct.error, IndexError):
        raise DecodeError("its header is not whole") from None
    raise DecodeError("it is no JPEG, PNG or WebP picture")


def _read_jpeg(content: bytes) -> PictureHeader:
    orientation, at = 1, 2
    while True:
        if content[at] != 0xFF:
            raise DecodeError("its header is damaged")
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in BARE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker in FRAMES:
            height, width = struct.unpack_from(">2H", content, at + 5)
            return PictureHeader("mjpeg", width, height, orientation)
        if marker == SCAN:
            raise DecodeError("it has no frame header")
        if marker == EXIF and content[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _read_orientation(content[at + 10 : at + 2 + length])
        at += 2 + length


def _read_png(content: bytes) -> PictureHeader:
    width, height = struct.unpack_from(">2I", content, 16)
    chunks = _walk_chunks(content, len(PNG), ">I4s", 4)
    exif = next((body for name, body in chunks if name == b"eXIf"), b"")
    return PictureHeader("png", width, height, _read_orientation(exif))


def _read_webp(content: bytes) -> PictureHeader:
    size, exif = None, b""
    for name, body in _walk_chunks(content, 12, "<4sI", 0):
        if name == b"VP8X":
            width, height = (1 + int.from_bytes(body[start : start + 3], "little") for start in (4, 7))
            size = width, height
        elif name == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", body, 1)
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif name == b"VP8 " and size is None:
            width, height = struct.unpack_from("<2H", body, 6)
            size = width & 0x3FFF, height & 0x3FFF
        elif name == b"EXIF":
            exif = body.removeprefix(b"Exif\0\0")
    if size is None:
        raise DecodeError("it has no frame header")
    return PictureHeader("webp", *size, _read_orientation(exif))


def _walk_chunks(content: bytes, at: int, layout: str, after: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk; `after` bytes follow each, and WebP's are padded to an even length."""
    while at + 8 <= len(content):
        one, other = struct.unpack_from(layout, content, at)
        name, length = (one, other) if isinstance(one, bytes) else (other, one)
        yield name, content[at + 8 : at + 8 + length]
        at += 8 + length + after + (length % 2 if not after else 0)


def _read_orientation(tiff: bytes) -> int:
    """The orientation that an EXIF block states; 1 where it states none, or is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}2HIH", tiff, start + 2 + 12 * entry)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
