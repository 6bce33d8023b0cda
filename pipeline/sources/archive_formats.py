"""The formats tar (plain or gzipped) and zip: the list of members, and their bytes without unpacking the archive.

Names are never used as paths on disk. The zip list of the standard library takes a kilobyte per member, and datasets of
frames have millions.
"""

import os
import stat
import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.sources.common import PIECE, Bytes, Entry, SourceFault, check_growth

BLOCK = 512  # bytes; a member has a header of one block and content padded to whole blocks
CHUNK = 1 << 16  # bytes of a compressed archive read at once
CHECKPOINT = 1 << 22  # bytes of content between checkpoints
LONGEST_HEADER = 1 << 20  # bytes of an extended header
FILES, DIRECTORY = b"0\x007", b"5"  # regular files: of POSIX, of V7 (NUL), and contiguous ones (7)
GZIP = b"\x1f\x8b"  # the first bytes
LONG_NAME, LONG_LINK, PAX, PAX_ALL = b"L", b"K", b"x", b"g"

END, END_64, LOCATOR_64, LISTED, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
END_BYTES, LOCATOR_BYTES, END_64_BYTES, LISTED_BYTES, LOCAL_BYTES = 22, 20, 56, 46, 30
LONGEST_COMMENT = 1 << 16
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 1, 1 << 11  # flags
FULL = 0xFFFFFFFF  # the value is in the zip64 field, in 8 bytes
UNIX = 3


class PlainBytes:
    """The bytes of an uncompressed file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, or fewer at the end. Thread-safe."""
        return os.pread(self._file.fileno(), length, offset)


class _Checkpoint(NamedTuple):
    """A state from which decompression can resume."""

    content: int  # decompressed bytes before it
    packed: int  # compressed bytes before it
    state: "zlib._Decompress"


class GzipBytes:
    """The content of a gzipped file; to go back, it is decompressed again from the preceding checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        self._checkpoints = [_Checkpoint(0, 0, zlib.decompressobj(wbits=31))]
        self._content, self._packed, self._state = self._checkpoints[0]
        self._state = self._state.copy()
        self._rest = b""  # decompressed but not read yet; ends at `_content`

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, or fewer at the end. Thread-safe. Raises SourceFault if it is damaged."""
        with self._lock:
            try:
                return self._read(offset, length)
            except zlib.error as error:
                raise SourceFault(f"{self._path.name} is damaged: {error}") from None

    def _read(self, offset: int, length: int) -> bytes:
        start = self._content - len(self._rest)
        checkpoint = self._checkpoints[bisect_right(self._checkpoints, offset, key=lambda point: point.content) - 1]
        if offset < start or checkpoint.content > self._content:
            self._content, self._packed, state = checkpoint
            self._state, self._rest = state.copy(), b""
        while self._content < offset + length and (block := self._advance()) is not None:
            start = self._content - len(block) - len(self._rest)
            self._rest = (self._rest + block)[max(0, offset - start) :]
        start = self._content - len(self._rest)
        return self._rest[offset - start : offset - start + length]

    def _advance(self) -> bytes | None:
        """The next bytes of content; None at the end."""
        packed = os.pread(self._file.fileno(), CHUNK, self._packed)
        if self._state.eof:
            if not packed.startswith(GZIP):  # padding, if anything
                return None
            self._state = zlib.decompressobj(wbits=31)
        if not packed:
            raise SourceFault(f"{self._path.name} is cut off")
        block = self._state.decompress(packed)
        self._packed += len(packed) - len(self._state.unused_data)
        self._content += len(block)
        check_growth(self._path.name, self._packed, self._content)
        if self._content >= self._checkpoints[-1].content + CHECKPOINT and not self._state.eof:
            self._checkpoints.append(_Checkpoint(self._content, self._packed, self._state.copy()))
        return block


def walk_tar(name: str, source: Bytes) -> Iterator[Entry]:
    """The files and links of an archive, without folders. Raises SourceFault if it is not a tar archive, or damaged."""
    offset = 0
    given: dict[str, str] = {}
    while header := source.read(offset, BLOCK):
        if not header.strip(b"\0"):
            return
        _check_header(name, header, offset)
        kind, size = header[156:157], _read_number(name, header[124:136])
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_ALL):
            if size > LONGEST_HEADER:
                raise SourceFault(f"{name} has names of {size} bytes at byte {offset}")
            data = source.read(offset + BLOCK, size)
            given |= {"path": _decode_tar_name(data.rstrip(b"\0"))} if kind == LONG_NAME else {}
            given |= _read_pax(name, data) if kind == PAX else {}
        else:
            size = int(given.get("size", size))
            path = given.get("path") or _read_name(header)
            if kind != DIRECTORY and not path.endswith("/"):  # V7 has no type for directories
                yield Entry(path, offset + BLOCK, size, kind in FILES and "sparse" not in given)
            given = {}
        # Links, devices and folders have no content, even if they state a size.
        size = 0 if kind in b"123456" else size
        offset += BLOCK + -(-size // BLOCK) * BLOCK
    if offset == 0:
        raise SourceFault(f"{name} holds no bytes")


def _check_header(name: str, header: bytes, offset: int) -> None:
    if len(header) < BLOCK:
        raise SourceFault(f"{name} is cut off")
    stated = _read_number(name, header[148:156])
    blank = header[:148] + b" " * 8 + header[156:]
    if sum(blank) != stated:
        fault = f"is damaged at byte {offset}" if offset else "is not a tar archive"
        raise SourceFault(f"{name} {fault}")


def _read_number(name: str, field: bytes) -> int:
    """Octal digits, or big-endian binary for large numbers."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:])
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise SourceFault(f"{name} is not a tar archive, or a damaged one") from None


def _read_name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _decode_tar_name(prefix + b"/" + name if prefix else name)


def _read_pax(name: str, data: bytes) -> dict[str, str]:
    """Records `<length> <key>=<value>\\n`."""
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : max(length - 1, 0)].partition(b"=")
        if not equals or not length:
            raise SourceFault(f"{name} has a damaged header")
        if key in (b"path", b"size"):
            found[key.decode()] = _decode_tar_name(value)
        elif key.startswith(b"GNU.sparse"):  # sparse content is not stored contiguously
            found["sparse"] = "yes"
        data = data[length:]
    if not found.get("size", "0").isdecimal():
        raise SourceFault(f"{name} has a damaged header")
    return found


def _decode_tar_name(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


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
        path = _decode_zip_name(spelt, flags)
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


def _decode_zip_name(name: bytes, flags: int) -> str:
    """UTF-8 even without its flag, which many programs do not set; else cp437."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode(errors="surrogateescape") if flags & UTF8 else name.decode("cp437")
