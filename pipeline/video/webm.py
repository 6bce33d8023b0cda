"""A plain WebM file -> its video packets, without FFmpeg's demuxer, which would decode some to probe the stream."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pipeline.video.timeline import Timeline

VOID = {0xEC, 0xBF}  # elements to skip: void, checksum

TRACK, VIDEO, COLOUR = 0xAE, 0xE0, 0x55B0
NUMBER, KIND, CODEC = 0xD7, 0x83, 0x86
PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT = 0xB0, 0xBA, 0x54B0, 0x54BA

IN_TRACK = {0x73C5, 0x88, 0x55AA, 0x22B59C, 0x22B59D, 0x536E, 0x23E383, 0x6DE7} | VOID  # id, flags, names, frame rate
IN_TRACK_VALUES = {0xB9: {1}, 0x9C: {0, 1}, 0x55EE: {0}, 0x56AA: {0}, 0x56BB: {0}}  # in use, lacing, additions, delay
IN_VIDEO_VALUES = {0x9A: {0, 2}, 0x54B2: {0}, 0x53B8: {0}, 0x53C0: {0}}  # not interlaced, in pixels, one eye, no alpha
# Limited range, the default of all decoders; unspecified matrix, transfer and primaries.
IN_COLOUR_VALUES = {0x55B9: {0, 1}, 0x55B1: {2}, 0x55BA: {2}, 0x55BB: {2}}
CODECS = {b"V_VP8": "vp8", b"V_VP9": "vp9"}
VIDEO_KIND, OTHER_KINDS = 1, {2, 17}  # audio, subtitles

# Ids as in RFC 9559 (Matroska) and RFC 8794 (EBML).
EBML, SEGMENT, INFO, TRACKS, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
DOC_TYPE, TIMESTAMP_SCALE, DURATION = 0x4282, 0x2AD7B1, 0x4489
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
TIMESTAMP, SIMPLE_BLOCK, GROUP, BLOCK, REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB

HEADER_LIMITS = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8, 0x4287: 9, 0x4285: 4}  # versions and lengths, at most
IN_SEGMENT = {0x1C53BB6B, 0x1254C367} | VOID  # index of times, tags
IN_INFO = {0x4D80, 0x5741, 0x4461, 0x7BA9, 0x73A4} | VOID  # programs, date, title, id
IN_CLUSTER = {0xA7, 0xAB} | VOID  # position, size of the previous one
IN_GROUP = {0x9B} | VOID  # duration
LACING_OR_INVISIBLE, KEY = 0x0E, 0x80
LATEST = 1 << 40  # steps of a timestamp: 35 years in milliseconds


class UnsupportedFile(Exception):
    """Not a plain WebM file; `av.open` may still be able to read it."""


class Packet(NamedTuple):
    """One compressed frame, as stored."""

    timestamp: int
    data: bytes
    key: bool  # depends on no other frame


@dataclass(frozen=True, slots=True)
class PlainWebm:
    """The video track of a file; it starts with a key frame."""

    codec: str  # vp8 | vp9
    packets: list[Packet]
    timeline: Timeline  # of the packets; with an end only if the file states one and has no other track


def read_plain_webm(data: bytes) -> PlainWebm:
    """Parse the content of a file. Raises UnsupportedFile."""
    parts = list(split_elements(data, 0, len(data)))
    if [part.id for part in parts] != [EBML, SEGMENT]:
        raise UnsupportedFile("not one header and one segment")
    _check_header(data, parts[0])
    scale, end = 1_000_000, None
    track: _Track | None = None
    packets: list[Packet] = []
    for part in split_elements(data, parts[1].start, parts[1].end):
        if part.id == INFO and track is None:
            scale, end = _read_information(data, part)
        elif part.id == TRACKS and track is None:
            track = _find_video_track(data, part)
        elif part.id == CLUSTER and track is not None:
            packets += _read_cluster(data, part, track)
        elif part.id == SEEK_HEAD:
            _check_seeks(data, part, parts[1])
        elif part.id not in IN_SEGMENT:
            raise UnsupportedFile(f"element {part.id:x} in the segment")
    if track is None or not packets or not packets[0].key:
        raise UnsupportedFile("no key frame at the start")
    timestamps: list[int | None] = [packet.timestamp for packet in packets]
    timeline = Timeline(timestamps, Fraction(scale, 1_000_000_000), None if track.others else end)
    return PlainWebm(track.codec, packets, timeline)


class _Element(NamedTuple):
    """The position of an element's content in the file."""

    id: int
    start: int  # of its content
    end: int


@dataclass(frozen=True, slots=True)
class _Track:
    """The only video track of a file."""

    number: int  # 1 to 126, so that blocks store it in one byte
    codec: str  # vp8 | vp9
    others: frozenset[int]  # numbers of audio and subtitle tracks


def _check_header(data: bytes, header: _Element) -> None:
    for part in split_elements(data, header.start, header.end):
        if part.id == DOC_TYPE:
            if data[part.start : part.end] not in (b"webm", b"matroska"):
                raise UnsupportedFile("another kind of document")
        elif _read_number(data, part) > HEADER_LIMITS.get(part.id, -1):
            raise UnsupportedFile(f"element {part.id:x} in the header")


def _check_seeks(data: bytes, head: _Element, segment: _Element) -> None:
    """Raise UnsupportedFile if an entry of the seek head is wrong: a demuxer would follow it."""
    for seek in split_elements(data, head.start, head.end):
        parts = {part.id: part for part in split_elements(data, seek.start, seek.end)} if seek.id == SEEK else {}
        if parts.keys() == {SEEK_ID, SEEK_POSITION}:
            name = data[parts[SEEK_ID].start : parts[SEEK_ID].end]
            if data.startswith(name, segment.start + _read_number(data, parts[SEEK_POSITION])):
                continue
        if seek.id not in VOID:
            raise UnsupportedFile("the index of parts is wrong")


def _read_information(data: bytes, info: _Element) -> tuple[int, Fraction | None]:
    """Nanoseconds per step of a timestamp, and the duration of the file in steps, if stated."""
    scale, duration = 1_000_000, None
    for part in split_elements(data, info.start, info.end):
        if part.id == TIMESTAMP_SCALE:
            scale = _read_number(data, part)
        elif part.id == DURATION:
            duration = read_duration(data[part.start : part.end])
        elif part.id not in IN_INFO:
            raise UnsupportedFile(f"element {part.id:x} in the information")
    if not 0 < scale <= 1_000_000_000:
        raise UnsupportedFile(f"{scale} ns per step")
    return scale, duration


def read_duration(data: bytes) -> Fraction | None:
    """A duration in steps, stored as a float; None if it is invalid."""
    if len(data) not in (4, 8):
        return None
    (value,) = struct.unpack(">f" if len(data) == 4 else ">d", data)
    return Fraction(value) if 0 < value < LATEST else None


def _find_video_track(data: bytes, tracks: _Element) -> _Track:
    """The only video track. Raises UnsupportedFile if there is none, several, or one that is not plain."""
    found: list[tuple[int, str]] = []
    numbers: list[int] = []
    for track in split_elements(data, tracks.start, tracks.end):
        if track.id in VOID:
            continue
        parts = {part.id: part for part in split_elements(data, track.start, track.end)}
        if track.id != TRACK or not parts.keys() >= {NUMBER, KIND, CODEC}:
            raise UnsupportedFile("an incomplete track")
        numbers.append(_read_number(data, parts[NUMBER]))
        kind = _read_number(data, parts[KIND])
        if kind == VIDEO_KIND:
            found.append((numbers[-1], _read_codec(data, track)))
        elif kind not in OTHER_KINDS:
            raise UnsupportedFile(f"a track of kind {kind}")
    if len(found) != 1 or len({*numbers}) < len(numbers) or not all(0 < number < 127 for number in numbers):
        raise UnsupportedFile("not one video track with a number of its own")
    return _Track(*found[0], frozenset(numbers) - {found[0][0]})


def _read_codec(data: bytes, track: _Element) -> str:
    """The codec of a video track. Raises UnsupportedFile if the track has any property that is not plain."""
    codec = ""
    for part in split_elements(data, track.start, track.end):
        if part.id == CODEC:
            codec = CODECS.get(data[part.start : part.end], "")
        elif part.id == VIDEO:
            _check_video(data, part)
        elif part.id not in IN_TRACK | {NUMBER, KIND}:
            _check_value(data, part, IN_TRACK_VALUES)
    if not codec:
        raise UnsupportedFile("another codec")
    return codec


def _check_video(data: bytes, video: _Element) -> None:
    sides: dict[int, int] = {}
    for part in split_elements(data, video.start, video.end):
        if part.id in (PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT):
            sides[part.id] = _read_number(data, part)
        elif part.id == COLOUR:
            for value in split_elements(data, part.start, part.end):
                _check_value(data, value, IN_COLOUR_VALUES)
        elif part.id not in VOID:
            _check_value(data, part, IN_VIDEO_VALUES)
    width, height = sides.get(PIXEL_WIDTH, 0), sides.get(PIXEL_HEIGHT, 0)
    shown = sides.get(DISPLAY_WIDTH, width), sides.get(DISPLAY_HEIGHT, height)
    if not width or not height or shown != (width, height):
        raise UnsupportedFile("pixels that are not square")


def _check_value(data: bytes, element: _Element, values: dict[int, set[int]]) -> None:
    if _read_number(data, element) not in values.get(element.id, ()):
        raise UnsupportedFile(f"element {element.id:x}")


def _read_cluster(data: bytes, cluster: _Element, track: _Track) -> Iterator[Packet]:
    base, at = None, cluster.start
    while at < cluster.end:
        if base is not None:
            packets, at = _read_blocks(data, at, cluster.end, track, base)
            yield from packets
            if at == cluster.end:
                return
        part = next(split_elements(data, at, cluster.end))
        at = part.end
        if part.id == SIMPLE_BLOCK and base is not None:
            yield from _read_packet(data, part, track, base, bool(data[min(part.start + 3, part.end - 1)] & KEY))
        elif part.id == GROUP and base is not None:
            yield from _read_group(data, part, track, base)
        elif part.id == TIMESTAMP and base is None:
            base = _read_number(data, part)
        elif part.id not in IN_CLUSTER:
            raise UnsupportedFile(f"element {part.id:x} in a cluster")


def _read_blocks(data: bytes, at: int, end: int, track: _Track, base: int) -> tuple[list[Packet], int]:
    """The packets of consecutive simple blocks, and the offset of the first other element.

    Parsed inline, because nearly all elements of a file are simple blocks.
    """
    packets, owner = [], 0x80 | track.number
    while at + 1 < end and data[at] == SIMPLE_BLOCK and data[at + 1]:
        content = at + 10 - data[at + 1].bit_length()
        mask = (1 << 7 * (content - at - 1)) - 1
        size = int.from_bytes(data[at + 1 : content]) & mask
        stop = content + size
        if size < 5 or size == mask or stop > end or data[content] != owner:
            break
        timestamp = base + int.from_bytes(data[content + 1 : content + 3], signed=True)
        flags = data[content + 3]
        if flags & LACING_OR_INVISIBLE or not 0 <= timestamp < LATEST:
            break
        packets.append(Packet(timestamp, data[content + 4 : stop], bool(flags & KEY)))
        at = stop
    return packets, at


def _read_group(data: bytes, group: _Element, track: _Track, base: int) -> Iterator[Packet]:
    """A block with attributes; one with a reference is not a key frame."""
    parts = list(split_elements(data, group.start, group.end))
    ids = {part.id for part in parts}
    blocks = [part for part in parts if part.id == BLOCK]
    if len(blocks) != 1:
        raise UnsupportedFile("a group of blocks that holds another number than one")
    for packet in _read_packet(data, blocks[0], track, base, REFERENCE not in ids):
        if not ids <= IN_GROUP | {BLOCK, REFERENCE}:
            raise UnsupportedFile("a block with an addition")
        yield packet


def _read_packet(data: bytes, block: _Element, track: _Track, base: int, key: bool) -> Iterator[Packet]:
    """The packet in a block (track, timestamp relative to the cluster, flags, data); none if of another track."""
    if block.end - block.start < 5:
        raise UnsupportedFile(f"a block of {block.end - block.start} bytes")
    owner = data[block.start] & 0x7F if data[block.start] & 0x80 else 0
    if owner in track.others:
        return
    timestamp = base + int.from_bytes(data[block.start + 1 : block.start + 3], signed=True)
    if owner != track.number or data[block.start + 3] & LACING_OR_INVISIBLE or not 0 <= timestamp < LATEST:
        raise UnsupportedFile("a block of no track, of several frames, none to be shown, or at an impossible time")
    yield Packet(timestamp, data[block.start + 4 : block.end], key)


def split_elements(data: bytes, start: int, end: int) -> Iterator[_Element]:
    """The elements that exactly fill a range of the file, with known sizes. Raises UnsupportedFile."""
    while start < end:
        id_length = 9 - data[start].bit_length()
        size_at = start + id_length
        if id_length > 4 or size_at >= end or not data[size_at]:
            raise UnsupportedFile(f"no element at {start}")
        content = size_at + 9 - data[size_at].bit_length()
        mask = (1 << 7 * (content - size_at)) - 1
        size = int.from_bytes(data[size_at:content]) & mask
        if size == mask or content + size > end:
            raise UnsupportedFile(f"the element at {start} has no end, or reaches too far")
        yield _Element(int.from_bytes(data[start:size_at]), content, content + size)
        start = content + size


def _read_number(data: bytes, element: _Element) -> int:
    """The value of an integer element. Raises UnsupportedFile."""
    if not 1 <= element.end - element.start <= 8:
        raise UnsupportedFile(f"element {element.id:x} is not a number")
    return int.from_bytes(data[element.start : element.end])
