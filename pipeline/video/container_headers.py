"""Facts from container headers that FFmpeg's library does not expose, or not as its program does.

These are the visible part of the stored frames (PixelCrop of Matroska, the box `clap` of MP4 and MOV) and the end of
the video. A duration stated for all tracks together is used only if the video is the only track: audio is often longer.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from math import floor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.video.pixels import Filter
from pipeline.video.truncation import (
    ASF_HEADER,
    MATROSKA,
    MAX_ASF_HEADER,
    MP4_BOXES,
    OGG_PAGE,
    TAIL_BYTES,
    read_asf_properties,
    read_flv_seconds,
    walk_boxes,
    walk_segment,
)
from pipeline.video.webm import (
    CLUSTER,
    DURATION,
    INFO,
    KIND,
    TIMESTAMP_SCALE,
    TRACK,
    TRACKS,
    VIDEO,
    VIDEO_KIND,
    UnsupportedFile,
    read_duration,
    split_elements,
)

CROPS = {"left": 0x54CC, "right": 0x54DD, "top": 0x54BB, "bottom": 0x54AA}
ENTRIES_AT, ENTRY_BYTES = 8, 78  # offset of the entries of a box stsd; fixed part of a video entry before its boxes
MAX_BYTES = 2**26  # of a header

MAX_AVI_HEADER = 2**16
ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
FLV_SOUND = 4
THEORA = b"\x80theora"
UNKNOWN = (0, 2**32 - 1, 2**63 - 1, 2**64 - 1)
SPEED = 1 << 16  # normal playback, in 16.16 fixed point
MALFORMED = struct.error, IndexError, KeyError, ValueError, StopIteration, ZeroDivisionError  # or truncated headers


class Margins(NamedTuple):
    """Columns and rows of the stored frames that are not shown."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def filter(self) -> Filter:
        """A filter that removes them as ffmpeg's program does: the corner is aligned to chroma samples."""
        return "crop", f"iw-{self.left}-{self.right}:ih-{self.top}-{self.bottom}:{self.left}:{self.top}"


class Header(NamedTuple):
    """The headers of an MP4 or Matroska file; empty for other containers."""

    movie: bytes = b""  # content of the box `moov` of MP4
    parts: Sequence[tuple[int, bytes]] = ()  # ids of Matroska elements; contents of INFO and TRACKS, else empty


def read_container_header(path: Path) -> Header:
    """The header of a file."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == MATROSKA:
            return Header(parts=[*_read_segment(file)])
        return Header(movie=_read_movie(file)) if head[4:] in MP4_BOXES else Header()


def find_margins(header: Header, number: int) -> Margins:
    """The margins of a video track, by its index among the video tracks; zeros if none are stated."""
    tracks = next((content for name, content in header.parts if name == TRACKS), b"")
    found = [*_read_tracks(tracks), *_read_apertures(header.movie)]
    return found[number] if number < len(found) else Margins()


def _read_segment(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for part in islice(walk_segment(file, file.seek(0, 2)), 1, None):
        if part.name == CLUSTER or part.size is None:
            return
        yield part.name, file.read(min(part.size, MAX_BYTES)) if part.name in (INFO, TRACKS) else b""


def _read_tracks(data: bytes) -> Iterator[Margins]:
    for name, track in _read_parts(data):
        parts = dict(_read_parts(track)) if name == TRACK else {}
        if int.from_bytes(parts.get(KIND, b"")) == VIDEO_KIND:
            video = dict(_read_parts(parts.get(VIDEO, b"")))
            yield Margins(**{side: int.from_bytes(video.get(name, b"")) for side, name in CROPS.items()})


def _read_parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The ids and contents of EBML elements, up to the first malformed one."""
    with suppress(UnsupportedFile):
        yield from ((part.id, data[part.start : part.end]) for part in split_elements(data, 0, len(data)))


def _read_movie(file: BinaryIO) -> bytes:
    length = file.seek(0, 2)
    for box in walk_boxes(file, length):
        if box.name == b"moov":
            content = (box.size or length - box.start) - box.header
            file.seek(box.start + box.header)
            return file.read(min(max(content, 0), MAX_BYTES))
    return b""


def _read_apertures(data: bytes) -> Iterator[Margins]:
    for name, track in _split_boxes(data):
        media = dict(_split_boxes(dict(_split_boxes(track)).get(b"mdia", b""))) if name == b"trak" else {}
        if media.get(b"hdlr", b"")[8:12] != b"vide":
            continue
        table = dict(_split_boxes(media.get(b"minf", b""))).get(b"stbl", b"")
        entries = dict(_split_boxes(table)).get(b"stsd", b"")[ENTRIES_AT:]
        entry = next((content for _, content in _split_boxes(entries)), b"")
        aperture = dict(_split_boxes(entry[ENTRY_BYTES:])).get(b"clap", b"")
        yield _read_aperture(aperture, *struct.unpack(">24x2H", entry[:28])) if len(aperture) >= 32 else Margins()


def _split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and contents of boxes, up to the first malformed one."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if size < 8:
            return
        yield name, data[at + 8 : at + size]
        at += size


def _read_aperture(data: bytes, width: int, height: int) -> Margins:
    """Width, height and offset of the centre from the frame's, as fractions -> margins, rounded as FFmpeg does."""
    numbers = struct.unpack(">8i", data[:32])
    if not all(below > 0 for below in numbers[1::2]):
        return Margins()
    shown_width, shown_height, right, down = (
        Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True)
    )
    sides = []
    for length, shown, off in ((width, shown_width, right), (height, shown_height, down)):
        middle = Fraction(length - 1, 2) + off
        first, last = floor(middle - (shown - 1) / 2), floor(middle + (shown - 1) / 2)
        sides += [first, length - 1 - last]
    return Margins(*sides) if min(sides) >= 0 else Margins()


def find_end(path: Path, header: Header, track: int) -> Fraction | None:
    """The end of a video in seconds, on the clock of its timestamps; None if the container does not state it.

    `track` is the track id in MP4; other containers must have a single video track.
    """
    with suppress(*MALFORMED):
        if header.movie:
            return _find_mp4_end(header.movie, track)
        if header.parts:
            return _find_matroska_end(header.parts)
        with path.open("rb") as file:
            head = file.read(16)
            file.seek(0)
            read = next((read for kind, read in DURATION_READERS.items() if head.startswith(kind)), None)
            return read(file) if read else None
    return None


def _find_mp4_end(data: bytes, track: int) -> Fraction | None:
    """The duration in a track's header, if it has edits and all have normal speed; else None."""
    movie = list(_split_boxes(data))
    scale = _unpack(dict(movie)[b"mvhd"], ">12xI", ">20xI")
    for name, content in movie:
        boxes = dict(_split_boxes(content)) if name == b"trak" else {}
        if b"tkhd" not in boxes or _unpack(boxes[b"tkhd"], ">12xI", ">20xI") != track:
            continue
        edits = dict(_split_boxes(boxes.get(b"edts", b""))).get(b"elst", b"\0")
        length = _unpack(boxes[b"tkhd"], ">20xI", ">28xQ")
        speeds = {speed for *_, speed in struct.iter_unpack(">Qqi" if edits[0] else ">Iii", edits[8:])}
        return Fraction(length, scale) if speeds == {SPEED} and length not in UNKNOWN else None
    return None


def _unpack(box: bytes, short: str, long: str) -> int:
    """A number in a box; boxes of version 1 have 64-bit times."""
    (number,) = struct.unpack_from(long if box[0] else short, box)
    return int(number)


def _find_matroska_end(header: Sequence[tuple[int, bytes]]) -> Fraction | None:
    scale, steps, tracks = 1_000_000, None, 0
    for name, content in header:
        if name == INFO:
            parts = dict(_read_parts(content))
            scale = int.from_bytes(parts[TIMESTAMP_SCALE]) if TIMESTAMP_SCALE in parts else scale
            steps = read_duration(parts.get(DURATION, b""))
        elif name == TRACKS:
            tracks += sum(kind == TRACK for kind, _ in _read_parts(content))
    return steps * scale / 10**9 if steps and tracks == 1 else None


def _read_avi(file: BinaryIO) -> Fraction | None:
    """The frame count of the only video stream, including repeated frames, over its frame rate."""
    headers = file.read(MAX_AVI_HEADER).split(b"strh")[1:]
    videos = [header for header in headers if header[4:8] == b"vids"]
    scale, rate, start, frames = struct.unpack_from("<24x4I", videos[0])
    return Fraction((start + frames) * scale, rate) if len(videos) == 1 else None


def _read_flv(file: BinaryIO) -> Fraction | None:
    """The duration in the script tag at the start, if the file has no audio."""
    head = file.read(TAIL_BYTES)
    seconds = Fraction(read_flv_seconds(head))
    return seconds if seconds and not head[4] & FLV_SOUND else None


def _read_asf(file: BinaryIO) -> Fraction | None:
    """The play duration minus the preroll."""
    header = file.read(MAX_ASF_HEADER)
    stated = read_asf_properties(header)
    if not stated or header.count(ASF_STREAM) != 1:
        return None
    return Fraction(stated.playing, 10**7) - Fraction(stated.filling, 1000)


def _read_theora(file: BinaryIO) -> Fraction | None:
    """The frame count up to the last page of the stream, including repeated frames, over its frame rate."""
    head = file.read(4096)
    start = head.index(THEORA)
    serial = head[head.rindex(OGG_PAGE, 0, start) :][14:18]
    rate, scale = struct.unpack_from(">22x2I", head, start)
    shift = int.from_bytes(head[start + 40 : start + 42]) >> 5 & 31
    file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
    pages = file.read().split(OGG_PAGE)[1:]
    granule_position = next(int.from_bytes(page[2:10], "little") for page in reversed(pages) if page[10:14] == serial)
    return Fraction(((granule_position >> shift) + (granule_position & (1 << shift) - 1)) * scale, rate)


DURATION_READERS: dict[bytes, Callable[[BinaryIO], Fraction | None]] = {
    b"RIFF": _read_avi,
    b"FLV": _read_flv,
    ASF_HEADER: _read_asf,
    OGG_PAGE: _read_theora,
}
