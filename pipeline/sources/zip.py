"""Zip archives: the list of members, and the content of one. Names are never used as paths on disk.

The list of the standard library takes a kilobyte per member, and datasets of frames have millions.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.sources.common import PIECE, Bytes, Entry, SourceFault, check_growth

END, END_64, LOCATOR_64, LISTED, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
END_BYTES, LOCATOR_BYTES, END_64_BYTES, LISTED_BYTES, LOCAL_BYTES = 22, 20, 56, 46, 30
LONGEST_COMMENT = 1 << 16
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 1, 1 << 11  # flags
FULL = 0xFFFFFFFF  # the value is in the zip64 field, in 8 bytes
UNIX = 3


class _Directory(NamedTuple):
    """The position of the central directory."""

    start: int  # bytes from the start of the file
    length: int  # bytes
    shift: int  # bytes that precede the archive in the file


def walk_zip(name: str, source: Bytes, length: int) -> Iterator[Entry]:
    """The files and links of an archive of `length` bytes. Raises SourceFault if it is not a zip, or damaged."""
    start, size, shift = _find_directory(name, source, length)
    listed = source.read(start, size)
    at = 0
    while at < size:
        head = listed[at : at + LISTED_BYTES]
        if len(head) < LISTED_BYTES or head[:4] != LISTED:
            raise SourceFault(f"{name} has a damaged list of members")
        system, flags, method, crc, packed, content = struct.unpack("<5xB2x2H4x3I", head[:28])
        name_length, extra_length, comment_length, _, _, mode, offset = struct.unpack("<5H2I", head[28:])
        at += LISTED_BYTES
        spelt = listed[at : at + name_length]
        extra = listed[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        if FULL in (packed, content, offset):
            content, packed, offset = _read_large(name, extra, [content, packed, offset])
        path = _decode(spelt, flags)
        if path.endswith(("/", "\\")):
            continue
        is_file = system != UNIX or stat.S_IFMT(mode >> 16) in (0, stat.S_IFREG)  # 0: not stated
        way = -1 if flags & ENCRYPTED else method
        yield Entry(path, offset + shift, content, is_file, packed, way, crc)


def read_zip(name: str, path: str, source: Bytes, entry: Entry) -> Iterator[bytes]:
    """The content of a member, in pieces. Raises SourceFault if it is damaged or its method is unsupported."""
    head = source.read(entry.offset, LOCAL_BYTES)
    if len(head) < LOCAL_BYTES or head[:4] != LOCAL:
        raise SourceFault(f"{name} is damaged at {path}")
    if entry.method not in (STORED, DEFLATED):
        way = "encrypted" if entry.method < 0 else f"packed by method {entry.method}, not by deflate"
        raise SourceFault(f"{name}: {path} is {way}; unpack the archive")
    start = entry.offset + LOCAL_BYTES + sum(struct.unpack("<2H", head[26:]))
    unpack = zlib.decompressobj(-15) if entry.method == DEFLATED else None
    length, crc = 0, 0
    for at in range(0, entry.packed, PIECE):
        piece = source.read(start + at, min(PIECE, entry.packed - at))
        try:
            piece = unpack.decompress(piece) if unpack else piece
        except zlib.error as error:
            raise SourceFault(f"{name}: {path} is damaged: {error}") from None
        length, crc = length + len(piece), zlib.crc32(piece, crc)
        check_growth(f"{name}: {path}", min(at + PIECE, entry.packed), length)
        if piece:
            yield piece
    if (length, crc) != (entry.size, entry.crc):
        raise SourceFault(f"{name}: {path} is damaged: it is not what the list of members says")


def _find_directory(name: str, source: Bytes, length: int) -> _Directory:
    tail_start = max(0, length - LONGEST_COMMENT - END_BYTES)
    tail = source.read(tail_start, length - tail_start)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + END_BYTES:
        raise SourceFault(f"{name} is not a zip archive, or is cut off")
    size, start = struct.unpack("<2I", tail[at + 12 : at + 20])
    end = tail_start + at
    locator = source.read(max(0, end - LOCATOR_BYTES), LOCATOR_BYTES)
    if locator[:4] == LOCATOR_64:
        end -= LOCATOR_BYTES + END_64_BYTES
        large = source.read(end, END_64_BYTES)
        if large[:4] != END_64:
            raise SourceFault(f"{name} is a damaged zip archive, or one in several files")
        size, start = struct.unpack("<2Q", large[40:])
    shift = end - size - start
    if shift < 0:
        raise SourceFault(f"{name} is a damaged zip archive, or one in several files")
    return _Directory(start + shift, size, shift)


def _read_large(name: str, extra: bytes, values: list[int]) -> list[int]:
    """Size, packed size and offset: those that are FULL are read from the zip64 extra field, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4])
        if kind == 1:
            wide = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 :][: length // 8 * 8].ljust(length // 8 * 8)))
            return [next(wide, value) if value == FULL else value for value in values]
        at += 4 + length
    raise SourceFault(f"{name} has a damaged list of members")


def _decode(name: bytes, flags: int) -> str:
    """UTF-8 even without its flag, which many programs do not set; else cp437."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode(errors="surrogateescape") if flags & UTF8 else name.decode("cp437")
