"""Detects truncated files, by the lengths that containers state."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.video import REFUSED_SHARE, DecodeError
from pipeline.video.webm import CLUSTER, EBML, SEGMENT

MATROSKA = EBML.to_bytes(4)
PACKET_BYTES, SYNC = 188, b"G"  # of an MPEG transport stream
PACK, PROGRAM_END = b"\0\0\1\xba", 0xB9  # of an MPEG program stream
OGG_PAGE = b"OggS"
TAIL_BYTES = 2**18  # at the end of a file; its last pack or page begins there
FLV_TAGS = (8, 9, 18)  # audio, video, script data
LONGEST = 1e6  # seconds; longer durations are ignored
AVI_SLACK = 8  # bytes: some writers include those of the header
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
MAX_ASF_HEADER = 2**16
GIF, GIF_EXTENSION, GIF_PICTURE, GIF_END = b"GIF8", 0x21, 0x2C, 0x3B
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
DV, DV_SEQUENCES, DV_SEQUENCE_BYTES = (
    b"\x1f\x07\0",
    (10, 12),
    12_000,
)  # per frame of 525 and of 625 lines; bytes of each
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"styp", b"uuid", b"meta", b"mfra"}


def refuse_truncated(path: Path) -> None:
    """Raise DecodeError if the container shows that the file is truncated."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(0)
        head = file.read(PACKET_BYTES + 1)
        stated = _read_stated_length(file, head, length)
        if stated is not None and length < stated:
            raise DecodeError(f"cut off: {length} of {stated} bytes are there")
        if head[:3] == b"FLV":
            _check_flv(file, length)
        elif head[:1] == SYNC == head[PACKET_BYTES:] and length % PACKET_BYTES:
            raise DecodeError(f"cut off: its last packet is {length % PACKET_BYTES} bytes of {PACKET_BYTES}")
        elif head[:3] == DV and (rest := length % (DV_SEQUENCES[head[3] >> 7] * DV_SEQUENCE_BYTES)):
            raise DecodeError(f"cut off: {rest} bytes of its last frame are there")
        elif head[:4] in (PACK, OGG_PAGE):
            _check_last_packet(file, length, head[:4])
        elif head[:4] == GIF or head[:8] == PNG:
            file.seek(0)
            _check_gif(file.read()) if head[:4] == GIF else _check_png(file.read())


def _read_stated_length(file: BinaryIO, head: bytes, length: int) -> int | None:
    """The length in bytes stated by a Matroska, WebM, MP4, AVI, WebP or ASF file; None if it states none."""
    if head[:4] == MATROSKA:
        return _read_matroska_length(file, length)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return 8 + int.from_bytes(head[4:8], "little")
    file.seek(0)
    if head[:16] == ASF_HEADER:
        properties = read_asf_properties(file.read(MAX_ASF_HEADER))
        return properties.length if properties else None
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _read_avi_length(file, length)
    return _read_mp4_length(file, length) if head[4:8] in MP4_BOXES else None


class Element(NamedTuple):
    """The header of the segment of a Matroska file, or of an element in it."""

    name: int
    start: int  # of its content, bytes from the start of the file
    size: int | None  # bytes of its content; None: unknown


def _read_matroska_length(file: BinaryIO, length: int) -> int | None:
    """End of the segment; if it is unknown, as in live recordings, end of its last element."""
    parts = walk_segment(file, length)
    segment = next(parts, None)
    if segment is None:
        return None
    return _find_last_part(segment, parts, length) if segment.size is None else segment.start + segment.size


def _find_last_part(segment: Element, parts: Iterator[Element], length: int) -> int | None:
    """End of the last element of a segment of unknown size; None if that element's size is unknown."""
    at = segment.start
    for part in parts:
        at = part.start + (part.size or 0)
        if part.size is None and part.name != CLUSTER:
            return length + 1 if at >= length else None
    return at


def walk_segment(file: BinaryIO, length: int) -> Iterator[Element]:
    """The segment of a Matroska file and its elements, up to an invalid id; elements of unknown size are entered.

    After each yield, the file is at the start of that element's content.
    """
    file.seek(4)
    header = _read_ebml_size(file)
    if header is None or header > length:  # perhaps too far to seek
        return
    at, segment = file.tell() + header, True
    while at < length:
        file.seek(at)
        first = file.read(1)
        if first[0] < 0x10:  # ids have at most 4 bytes
            return
        name = int.from_bytes(first + file.read(8 - first[0].bit_length()))
        if segment and name != SEGMENT:
            return
        size = _read_ebml_size(file)
        part = Element(name, file.tell(), size)
        yield part
        at, segment = part.start + (0 if segment else size or 0), False


def _read_ebml_size(file: BinaryIO) -> int | None:
    """A number of 1 to 8 bytes; the leading zero bits encode its length, and all ones mean unknown (None)."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    following = 8 - first[0].bit_length()
    mask = (1 << (7 * (following + 1))) - 1
    value = int.from_bytes(first + file.read(following)) & mask
    return None if value == mask else value


def _read_mp4_length(file: BinaryIO, length: int) -> int | None:
    """End of the last box; None if a box is unknown, extends to the end of the file or has an invalid size."""
    end = 0
    for box in walk_boxes(file, length):
        if box.name not in MP4_BOXES or box.size < 8:
            return None
        end = box.start + box.size
    return end


class Box(NamedTuple):
    """The header of a top-level box of an MP4 or MOV file."""

    name: bytes
    start: int  # of its header, bytes from the start of the file
    header: int  # bytes
    size: int  # bytes including the header; 0: to the end of the file


def walk_boxes(file: BinaryIO, length: int) -> Iterator[Box]:
    """The top-level boxes of a file, up to one with an invalid size; size 1 means that 8 bytes of size follow."""
    start = 0
    while start < length:
        file.seek(start)
        head = file.read(16)
        size, header = int.from_bytes(head[:4]), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16]), 16
        yield Box(head[4:8], start, header, size)
        if size < 8:
            return
        start += size


def _read_avi_length(file: BinaryIO, length: int) -> int | None:
    """End of the last RIFF chunk, of which large files have several; None if the header was never completed."""
    end = 0
    while end < length:
        file.seek(end)
        name, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        if name != b"RIFF":
            break
        if size in (0, 0xFFFFFFFF):
            return None
        end += 8 + size
    return end - AVI_SLACK


class AsfProperties(NamedTuple):
    """The properties in the header of a finished ASF file."""

    length: int  # bytes
    playing: int  # play duration including the preroll, in 100 ns
    filling: int  # preroll, in ms


def read_asf_properties(header: bytes) -> AsfProperties | None:
    """The properties; None if they are missing or the file is flagged as a broadcast, without a known end."""
    at = header.find(ASF_PROPERTIES)
    if at < 0 or len(header) < at + 92:
        return None
    length, playing, filling, flags = struct.unpack_from("<40xQ16xQ8xQI", header, at)
    return None if flags & 1 else AsfProperties(length, playing, filling)


def _check_flv(file: BinaryIO, length: int) -> None:
    """Follow the tags of an FLV file to the end, and compare the last time with the stated duration."""
    file.seek(5)
    at, latest, stated = int.from_bytes(file.read(4)) + 4, 0, 0.0
    while at < length:
        file.seek(at)
        head = file.read(11).ljust(11, b"\0")
        kind, size = head[0] & 0x1F, int.from_bytes(head[1:4])
        if kind not in FLV_TAGS:  # invalid: left to FFmpeg
            return
        if kind == FLV_TAGS[-1] and not stated:
            stated = read_flv_seconds(file.read(min(size, 4096)))
        latest = max(latest, int.from_bytes(head[7:8] + head[4:7]))
        at += 11 + size + 4
    if at > length:
        raise DecodeError(f"cut off: {length} of at least {at} bytes are there")
    if latest / 1000 < stated - max(1.0, stated * REFUSED_SHARE):
        raise DecodeError(f"cut off: {latest / 1000:.4g} of {stated:.4g} seconds are there")


def read_flv_seconds(script: bytes) -> float:
    """The value of `duration` in AMF data; 0 if there is none."""
    at = script.find(b"\x00\x08duration\x00")
    if at < 0 or len(script) < at + 19:
        return 0.0
    (seconds,) = struct.unpack(">d", script[at + 11 : at + 19])
    return float(seconds) if 0 < seconds < LONGEST else 0.0


def _check_last_packet(file: BinaryIO, length: int, sign: bytes) -> None:
    """Follow the packets after the last pack of an MPEG program stream, or the last Ogg page, to the end."""
    start = max(0, length - TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(sign)
    end = at
    while 0 <= end <= len(tail) - 6:
        if sign == OGG_PAGE:
            end = _find_page_end(tail, at)
            break
        if tail[end : end + 3] != b"\0\0\1":
            return
        code = tail[end + 3]
        if code == PROGRAM_END:
            return
        pack_length = 12 if tail[end + 4] >> 6 != 1 else 14
        end += pack_length if code == PACK[3] else 6 + int.from_bytes(tail[end + 4 : end + 6])
    if end > len(tail):
        raise DecodeError(f"cut off: {length} of at least {start + end} bytes are there")


def _find_page_end(tail: bytes, at: int) -> int:
    """End of an Ogg page; beyond the tail if its header is truncated."""
    count = tail[at + 26] if at + 26 < len(tail) else 255
    lengths = tail[at + 27 : at + 27 + count]
    return at + 27 + count + (sum(lengths) if len(lengths) == count else 1)


def _check_gif(data: bytes) -> None:
    """Follow the blocks of a GIF to its trailer; an unknown block is left to FFmpeg."""
    at = 13 + _count_colours(data[10:11]) * 3
    while at < len(data) and data[at] in (GIF_EXTENSION, GIF_PICTURE):
        at += 2 if data[at] == GIF_EXTENSION else 11 + _count_colours(data[at + 9 : at + 10]) * 3
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    if at >= len(data):
        raise DecodeError("cut off: a GIF without an end")


def _count_colours(flags: bytes) -> int:
    return 2 << (flags[0] & 7) if flags and flags[0] & 0x80 else 0


def _check_png(data: bytes) -> None:
    """Follow the chunks of an animated PNG to IEND."""
    at = len(PNG)
    while at < len(data):
        if data[at + 4 : at + 8] == PNG_END:
            return
        at += 12 + int.from_bytes(data[at : at + 4])
    raise DecodeError("cut off: a PNG without an end")
