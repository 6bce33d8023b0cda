"""A plain WebM file -> its video packets, without a demuxer, which would decode some of them to see what they are.

Only what is understood wholly is taken: one segment of known size, one track of VP8 or VP9, one frame per block, and
nothing that changes how frames are shown. Any other element, value or order makes a file odd, and `av.open` reads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pipeline.video.ebml import VOID, Element, OddFile, elements, number
from pipeline.video.webm_track import Track, video_track

# Ids as in RFC 9559 (Matroska) and RFC 8794 (EBML).
EBML, SEGMENT, INFO, TRACKS, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
DOC_TYPE, TIMESTAMP_SCALE = 0x4282, 0x2AD7B1
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
TIMESTAMP, SIMPLE_BLOCK, GROUP, BLOCK, REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB

HEADER_LIMITS = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8, 0x4287: 9, 0x4285: 4}  # versions and lengths, at most
IN_SEGMENT = {0x1C53BB6B, 0x1254C367} | VOID  # index of times, tags
IN_INFO = {0x4489, 0x4D80, 0x5741, 0x4461, 0x7BA9, 0x73A4} | VOID  # duration, programs, date, title, id
IN_CLUSTER = {0xA7, 0xAB} | VOID  # place, length of the one before
IN_GROUP = {0x9B} | VOID  # duration
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
    scale = 1_000_000
    track: Track | None = None
    packets: list[Packet] = []
    for part in elements(data, parts[1].start, parts[1].end):
        if part.id == INFO and track is None:
            scale = _info(data, part)
        elif part.id == TRACKS and track is None:
            track = video_track(data, part)
        elif part.id == CLUSTER and track is not None:
            packets += _cluster(data, part, track)
        elif part.id == SEEK_HEAD:
            _check_seeks(data, part, parts[1])
        elif part.id not in IN_SEGMENT:
            raise OddFile(f"element {part.id:x} in the segment")
    if track is None or not packets or not packets[0].key:
        raise OddFile("no key frame at the start")
    return PlainWebm(track.codec, Fraction(scale, 1_000_000_000), packets)


def _check_header(data: bytes, header: Element) -> None:
    for part in elements(data, header.start, header.end):
        if part.id == DOC_TYPE:
            if data[part.start : part.end] not in (b"webm", b"matroska"):
                raise OddFile("another kind of document")
        elif number(data, part) > HEADER_LIMITS.get(part.id, -1):
            raise OddFile(f"element {part.id:x} in the header")


def _check_seeks(data: bytes, head: Element, segment: Element) -> None:
    """Raise OddFile where the index of parts points at anything else: a demuxer would go there."""
    for seek in elements(data, head.start, head.end):
        parts = {part.id: part for part in elements(data, seek.start, seek.end)} if seek.id == SEEK else {}
        if parts.keys() == {SEEK_ID, SEEK_POSITION}:
            name = data[parts[SEEK_ID].start : parts[SEEK_ID].end]
            if data.startswith(name, segment.start + number(data, parts[SEEK_POSITION])):
                continue
        if seek.id not in VOID:
            raise OddFile("the index of parts is wrong")


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


def _cluster(data: bytes, cluster: Element, track: Track) -> Iterator[Packet]:
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


def _grouped_packet(data: bytes, group: Element, track: Track, base: int) -> Iterator[Packet]:
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


def _packet(data: bytes, block: Element, track: Track, base: int, key: bool) -> Iterator[Packet]:
    """The packet in a block, none if it is of another track: track, timestamp after the cluster's, flags, data."""
    if block.end - block.start < 5:
        raise OddFile(f"a block of {block.end - block.start} bytes")
    owner = data[block.start] & 0x7F if data[block.start] & 0x80 else 0
    if owner in track.others:
        return
    timestamp = base + int.from_bytes(data[block.start + 1 : block.start + 3], signed=True)
    if owner != track.number or data[block.start + 3] & LACING_OR_INVISIBLE or not 0 <= timestamp < LATEST:
        raise OddFile("a block of no track, of several frames, none to be shown, or at an impossible time")
    yield Packet(timestamp, data[block.start + 4 : block.end], key)
