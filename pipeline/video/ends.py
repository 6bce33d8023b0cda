"""When a container says that its video is over: FFmpeg's library and program tell it in other words, or not at all.

What a header states of all its tracks together counts only where the video is its sole track: sound is often longer.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from pipeline.video.tracks import Header, read_parts, split_boxes
from pipeline.video.webm import DURATION, INFO, TIMESTAMP_SCALE, TRACK, TRACKS, read_duration
from pipeline.video.whole_files import (
    ASF_HEADER,
    MOST_ASF_HEADER,
    OGG_PAGE,
    TAIL_BYTES,
    read_asf_properties,
    read_flv_seconds,
)

MOST_AVI_HEADER = 2**16
ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
FLV_SOUND = 4
THEORA = b"\x80theora"
UNKNOWN = (0, 2**32 - 1, 2**63 - 1, 2**64 - 1)
SPEED = 1 << 16  # the normal one
NONSENSE = struct.error, IndexError, KeyError, ValueError, StopIteration, ZeroDivisionError  # or a header cut short


def find_end(path: Path, header: Header, track: int) -> Fraction | None:
    """The end of a video in seconds, on the clock of its stamps; None where the container does not state it.

    `track` is the number that MP4 gives the video's track; other containers have to have one video only.
    """
    with suppress(*NONSENSE):
        if header.movie:
            return _find_mp4_end(header.movie, track)
        if header.parts:
            return _find_matroska_end(header.parts)
        with path.open("rb") as file:
            head = file.read(16)
            file.seek(0)
            read = next((read for kind, read in KINDS.items() if head.startswith(kind)), None)
            return read(file) if read else None
    return None


def _find_mp4_end(data: bytes, track: int) -> Fraction | None:
    """The sum of the edits of a track, if all leave its speed as it is; a track without edits states none."""
    movie = list(split_boxes(data))
    scale = _unpack(dict(movie)[b"mvhd"], ">12xI", ">20xI")
    for name, content in movie:
        boxes = dict(split_boxes(content)) if name == b"trak" else {}
        if b"tkhd" not in boxes or _unpack(boxes[b"tkhd"], ">12xI", ">20xI") != track:
            continue
        edits = dict(split_boxes(boxes.get(b"edts", b""))).get(b"elst", b"\0")
        length = _unpack(boxes[b"tkhd"], ">20xI", ">28xQ")
        speeds = {speed for *_, speed in struct.iter_unpack(">Qqi" if edits[0] else ">Iii", edits[8:])}
        return Fraction(length, scale) if speeds == {SPEED} and length not in UNKNOWN else None
    return None


def _unpack(box: bytes, short: str, long: str) -> int:
    """A number in a box, whose version 1 has times of 64 bits."""
    (number,) = struct.unpack_from(long if box[0] else short, box)
    return int(number)


def _find_matroska_end(header: Sequence[tuple[int, bytes]]) -> Fraction | None:
    scale, steps, tracks = 1_000_000, None, 0
    for name, content in header:
        if name == INFO:
            parts = dict(read_parts(content))
            scale = int.from_bytes(parts[TIMESTAMP_SCALE]) if TIMESTAMP_SCALE in parts else scale
            steps = read_duration(parts.get(DURATION, b""))
        elif name == TRACKS:
            tracks += sum(kind == TRACK for kind, _ in read_parts(content))
    return steps * scale / 10**9 if steps and tracks == 1 else None


def _read_avi(file: BinaryIO) -> Fraction | None:
    """Frames of the only video, with those that repeat the one before, at the rate of its stream."""
    headers = file.read(MOST_AVI_HEADER).split(b"strh")[1:]
    videos = [header for header in headers if header[4:8] == b"vids"]
    scale, rate, start, frames = struct.unpack_from("<24x4I", videos[0])
    return Fraction((start + frames) * scale, rate) if len(videos) == 1 else None


def _read_flv(file: BinaryIO) -> Fraction | None:
    """What the words about the file say, which come first."""
    head = file.read(TAIL_BYTES)
    seconds = Fraction(read_flv_seconds(head))
    return seconds if seconds and not head[4] & FLV_SOUND else None


def _read_asf(file: BinaryIO) -> Fraction | None:
    """The time of playing less that of filling the buffer."""
    header = file.read(MOST_ASF_HEADER)
    stated = read_asf_properties(header)
    if not stated or header.count(ASF_STREAM) != 1:
        return None
    return Fraction(stated.playing, 10**7) - Fraction(stated.filling, 1000)


def _read_theora(file: BinaryIO) -> Fraction | None:
    """Frames up to the last page of the stream, with those that repeat the one before, at its rate."""
    head = file.read(4096)
    start = head.index(THEORA)
    serial = head[head.rindex(OGG_PAGE, 0, start) :][14:18]
    rate, scale = struct.unpack_from(">22x2I", head, start)
    shift = int.from_bytes(head[start + 40 : start + 42]) >> 5 & 31
    file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
    pages = file.read().split(OGG_PAGE)[1:]
    place = next(int.from_bytes(page[2:10], "little") for page in reversed(pages) if page[10:14] == serial)
    return Fraction(((place >> shift) + (place & (1 << shift) - 1)) * scale, rate)


KINDS: dict[bytes, Callable[[BinaryIO], Fraction | None]] = {
    b"RIFF": _read_avi,
    b"FLV": _read_flv,
    ASF_HEADER: _read_asf,
    OGG_PAGE: _read_theora,
}
