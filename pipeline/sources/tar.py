"""Tar archives, plain or gzipped: offsets of the members, and random access to their bytes without unpacking."""

import os
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.sources.common import Bytes, Entry, SourceFault, check_growth

BLOCK = 512  # bytes; a member has a header of one block and content padded to whole blocks
CHUNK = 1 << 16  # bytes of a compressed archive read at once
CHECKPOINT = 1 << 22  # bytes of content between checkpoints
LONGEST_HEADER = 1 << 20  # bytes of an extended header
FILES, DIRECTORY = b"0\x007", b"5"  # regular files: of POSIX, of V7 (NUL), and contiguous ones (7)
GZIP = b"\x1f\x8b"  # the first bytes
LONG_NAME, LONG_LINK, PAX, PAX_ALL = b"L", b"K", b"x", b"g"


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
            given |= {"path": _decode(data.rstrip(b"\0"))} if kind == LONG_NAME else {}
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
    return _decode(prefix + b"/" + name if prefix else name)


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
            found[key.decode()] = _decode(value)
        elif key.startswith(b"GNU.sparse"):  # sparse content is not stored contiguously
            found["sparse"] = "yes"
        data = data[length:]
    if not found.get("size", "0").isdecimal():
        raise SourceFault(f"{name} has a damaged header")
    return found


def _decode(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
