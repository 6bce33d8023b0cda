"""A plain WebM file -> its video packets, without a demuxer, which would decode some of them to see what they are.

Only what is understood wholly is taken: one segment of known size, one track of VP8 or VP9, one frame per block, and
nothing that changes how frames are shown. Any other element, value or order makes a file odd, and `av.open` reads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pipeline.video.ebml import Element, OddFile, elements, number

# Ids as in RFC 9559 (Matroska) and RFC 8794 (EBML).
EBML, SEGMENT, INFO, TRACKS, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
DOC_TYPE, TIMESTAMP_SCALE, TRACK, VIDEO, COLOUR = 0x4282, 0x2AD7B1, 0xAE, 0xE0, 0x55B0
NUMBER, KIND, CODEC = 0xD7, 0x83, 0x86
TIMESTAMP, SIMPLE_BLOCK, GROUP, BLOCK, REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT = 0xB0, 0xBA, 0x54B0, 0x54BA

VOID = {0xEC, 0xBF}  # filling, checksum
HEADER_LIMITS = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8, 0x4287: 9, 0x4285: 4}  # versions and lengths, at most
IN_SEGMENT = {0x114D9B74, 0x1C53BB6B, 0x1254C367} | VOID  # index of parts, index of times, tags
IN_INFO = {0x4489, 0x4D80, 0x5741, 0x4461, 0x7BA9, 0x73A4} | VOID  # duration, programs, date, title, id
IN_TRACK = {0x73C5, 0x88, 0x55AA, 0x22B59C, 0x22B59D, 0x536E, 0x23E383, 0x6DE7} | VOID  # id, flags, names, frame rate
IN_TRACK_VALUES = {0xB9: {1}, 0x9C: {0, 1}, 0x55EE: {0}, 0x56AA: {0}, 0x56BB: {0}}  # in use, lacing, additions, delay
IN_VIDEO_VALUES = {0x9A: {0, 2}, 0x54B2: {0}, 0x53B8: {0}, 0x53C0: {0}}  # not interlaced, in pixels, one eye, no alpha
# The range of broadcasting, which every decoder takes unless told otherwise; matrix, transfer and primaries unknown.
IN_COLOUR_VALUES = {0x55B9: {0, 1}, 0x55B1: {2}, 0x55BA: {2}, 0x55BB: {2}}
IN_CLUSTER = {0xA7, 0xAB} | VOID  # place, length of the one before
IN_GROUP = {0x9B} | VOID  # duration
CODECS = {b"V_VP8": "vp8", b"V_VP9": "vp9"}
VIDEO_KIND, OTHER_KINDS = 1, {2, 17}  # audio, subtitles
LACING_OR_INVISIBLE, KEY = 0x0E, 0x80
LATEST = 1 << 40  # steps of a timestamp: 35 years in milliseconds


class Packet(NamedTuple):
    """One compressed frame, as stored."""

    timestamp: int
    data: bytes
    key: bool  # needs no other frame


@dataclass(frozen=True, slots=True)
class PlainWebm:
    """The video track of a file; it begins with a key frame."""

    codec: str  # vp8 | vp9
    unit: Fraction  # seconds per step of a timestamp
    packets: list[Packet]


def read_plain_webm(data: bytes) -> PlainWebm:
    """The video packets of a whole file. Raises OddFile."""
    parts = list(elements(data, 0, len(data)))
    if [part.id for part in parts] != [EBML, SEGMENT]:
        raise OddFile("not one header and one segment")
    _check_header(data, parts[0])
    scale, track = 1_000_000, None
    packets: list[Packet] = []
    for part in elements(data, parts[1].start, parts[1].end):
        if part.id == INFO and track is None:
            scale = _info(data, part)
        elif part.id == TRACKS and track is None:
            track = _video_track(data, part)
        elif part.id == CLUSTER and track is not None:
            packets += _cluster(data, part, track[0])
        elif part.id not in IN_SEGMENT:
            raise OddFile(f"element {part.id:x} in the segment")
    if track is None or not packets or not packets[0].key:
        raise OddFile("no key frame at the start")
    return PlainWebm(track[1], Fraction(scale, 1_000_000_000), packets)


def _check_header(data: bytes, header: Element) -> None:
    for part in elements(data, header.start, header.end):
        if part.id == DOC_TYPE:
            if data[part.start : part.end] not in (b"webm", b"matroska"):
                raise OddFile("another kind of document")
        elif number(data, part) > HEADER_LIMITS.get(part.id, -1):
            raise OddFile(f"element {part.id:x} in the header")


def _info(data: bytes, info: Element) -> int:
    """Nanoseconds per step of a timestamp."""
    scale = 1_000_000
    for part in elements(data, info.start, info.end):
        if part.id == TIMESTAMP_SCALE:
            scale = number(data, part)
        elif part.id not in IN_INFO:
            raise OddFile(f"element {part.id:x} in the information")
    if not 0 < scale <= 1_000_000_000:
        raise OddFile(f"{scale} ns per step")
    return scale


def _video_track(data: bytes, tracks: Element) -> tuple[int, str]:
    """Number and codec of the only video track."""
    found: list[tuple[int, str]] = []
    numbers: list[int] = []
    for track in elements(data, tracks.start, tracks.end):
        if track.id in VOID:
            continue
        parts = {part.id: part for part in elements(data, track.start, track.end)}
        if track.id != TRACK or not parts.keys() >= {NUMBER, KIND, CODEC}:
            raise OddFile("no whole track")
        numbers.append(number(data, parts[NUMBER]))
        kind = number(data, parts[KIND])
        if kind == VIDEO_KIND:
            found.append((numbers[-1], _codec(data, track)))
        elif kind not in OTHER_KINDS:
            raise OddFile(f"a track of kind {kind}")
    if len(found) != 1 or len({*numbers}) < len(numbers) or not 0 < found[0][0] < 127:
        raise OddFile("not one video track with a number of its own")
    return found[0]


def _codec(data: bytes, track: Element) -> str:
    """The decoder of a video track. Raises OddFile where anything else is said that matters."""
    codec = ""
    for part in elements(data, track.start, track.end):
        if part.id == CODEC:
            codec = CODECS.get(data[part.start : part.end], "")
        elif part.id == VIDEO:
            _check_video(data, part)
        elif part.id not in IN_TRACK | {NUMBER, KIND}:
            _check_value(data, part, IN_TRACK_VALUES)
    if not codec:
        raise OddFile("another codec")
    return codec


def _check_video(data: bytes, video: Element) -> None:
    sides: dict[int, int] = {}
    for part in elements(data, video.start, video.end):
        if part.id in (PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT):
            sides[part.id] = number(data, part)
        elif part.id == COLOUR:
            for value in elements(data, part.start, part.end):
                _check_value(data, value, IN_COLOUR_VALUES)
        elif part.id not in VOID:
            _check_value(data, part, IN_VIDEO_VALUES)
    width, height = sides.get(PIXEL_WIDTH, 0), sides.get(PIXEL_HEIGHT, 0)
    shown = sides.get(DISPLAY_WIDTH, width), sides.get(DISPLAY_HEIGHT, height)
    if not width or not height or shown != (width, height):
        raise OddFile("pixels that are not square")


def _check_value(data: bytes, element: Element, values: dict[int, set[int]]) -> None:
    if number(data, element) not in values.get(element.id, ()):
        raise OddFile(f"element {element.id:x}")


def _cluster(data: bytes, cluster: Element, track: int) -> Iterator[Packet]:
    base = None
    for part in elements(data, cluster.start, cluster.end):
        if part.id == SIMPLE_BLOCK and base is not None:
            yield from _packet(data, part, track, base, bool(data[min(part.start + 3, part.end - 1)] & KEY))
        elif part.id == GROUP and base is not None:
            yield from _grouped_packet(data, part, track, base)
        elif part.id == TIMESTAMP and base is None:
            base = number(data, part)
        elif part.id not in IN_CLUSTER:
            raise OddFile(f"element {part.id:x} in a cluster")


def _grouped_packet(data: bytes, group: Element, track: int, base: int) -> Iterator[Packet]:
    """A block with what is said about it; a block that needs another one is no key frame."""
    parts = list(elements(data, group.start, group.end))
    ids = {part.id for part in parts}
    blocks = [part for part in parts if part.id == BLOCK]
    if len(blocks) != 1:
        raise OddFile("a group of blocks that holds another number than one")
    for packet in _packet(data, blocks[0], track, base, REFERENCE not in ids):
        if not ids <= IN_GROUP | {BLOCK, REFERENCE}:
            raise OddFile("a block with an addition")
        yield packet


def _packet(data: bytes, block: Element, track: int, base: int, key: bool) -> Iterator[Packet]:
    """The packet in a block, none if it is of another track: track, timestamp after the cluster's, flags, data."""
    if block.end - block.start < 5:
        raise OddFile(f"a block of {block.end - block.start} bytes")
    if data[block.start] != 0x80 | track:
        return
    timestamp = base + int.from_bytes(data[block.start + 1 : block.start + 3], signed=True)
    if data[block.start + 3] & LACING_OR_INVISIBLE or not 0 <= timestamp < LATEST:
        raise OddFile("a block of several frames, none to be shown, or at an impossible time")
    yield Packet(timestamp, data[block.start + 4 : block.end], key)
