"""Decoding by the ffmpeg program: one process lists all frames, and another one fetches the wanted ones.

Slower than decoding in this process, and safer: a decoder that crashes or hangs affects only its own process. In tests,
it is the reference for the frames of a video.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import ffmpeg
import numpy as np

from pipeline.params import LimitParams
from pipeline.video import (
    REFUSED_SHARE,
    Budget,
    DecodeError,
    FilterChoice,
    FrameChoice,
    FramesRead,
    PickedFrame,
    Pixels,
    check_damage,
    open_options,
    refuse_codec,
    refuse_container,
)
from pipeline.video.container_headers import find_end, read_container_header
from pipeline.video.ffmpeg import FfmpegError, read_log, run
from pipeline.video.pixels import (
    BT709,
    BT2020,
    DCI_P3,
    DEINTERLACE,
    DISPLAY_P3,
    HLG,
    PQ,
    SRGB,
    UNSPECIFIED,
    WITHOUT_COLOUR,
    Filter,
    Picture,
    find_chroma_steps,
    read_colour,
    read_orientation,
)
from pipeline.video.timeline import ContainerClock, Timeline, Timestamps

LINE = r"^\[Parsed_showinfo_0 @ \w+\] "  # anchored: metadata from the file never stands at the start of a line
UNIT = re.compile(LINE + r"config in time_base: (\d+/\d+)")
FRAME = re.compile(
    LINE + r"n: *(\d+) pts: *(-?\d+|NOPTS) .* duration: *(-?\d+) .* fmt:(\w+) .*sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\w) "
)
COLOURS = re.compile(LINE + r"color_range:\S+ color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
CODES = {  # by FFmpeg's names; others need no conversion
    "unknown": UNSPECIFIED,
    "bt2020": BT2020,
    "smpte431": DCI_P3,
    "smpte432": DISPLAY_P3,
    "iec61966-2-1": SRGB,
    "smpte2084": PQ,
    "arib-std-b67": HLG,
}
MAPPED = re.compile(r"^  Stream #0:(\d+) -> #0:0 \((\w+) ")
INPUT = re.compile(r"^Input #0, (\S+), from ")
TRACK = re.compile(r"^  Stream #0:(\d+)\[0x(\w+)\]")
STREAM = re.compile(r"^  Stream #0:(\d+)[^ ]*: Video: .*?, \w+\((?:(tv|pc), )?(?:(\w+)(?:/\w+/\w+)?, )?\w+\)")
# Another thread may write these in the middle of a line of showinfo, without a prefix.
DAMAGED, REFUSED = "corrupt decoded frame", "Error submitting packet to decoder: "
MANY_REFUSED = re.compile(r"Decode error rate [\d.]+ exceeds maximum [\d.]+")
REFUSED_CONTAINER, TOO_LARGE = "] Format not on whitelist", "exceeds specified max pixel count"
REFUSED_CODEC = re.compile(r"Codec \((\w+)\) not on whitelist")
MATRIX = re.compile(LINE + r" *side data - 3x3 displaymatrix: ")  # the angle that follows does not tell mirroring
CHANGING = "changes its geometry on the way; transcode.decoder in_process can follow it"
PAM_END = b"ENDHDR\n"
DEFAULT_STREAMS = "V:disp:default:0", "V:disp:default:1"  # V: videos without attached pictures
FIRST_STREAM = "V:0"
MATRIX_AT, MATRIX_BYTES = 44, 36  # in a MOV track header, relative to its name
BYTES_PER_FRAME, BYTES_BEFORE = 4000, 2**20  # bounds on the log; files with more metadata per frame are refused


class NoSuchStream(DecodeError):
    """There is no video stream, or none marked as the default."""


class FfmpegReader:
    """A video file; each read starts a process."""

    demuxing: ClassVar[Mapping[str, object]] = {}  # options that override those for video files

    def __init__(self, path: Path, limits: LimitParams) -> None:
        self._path = path
        self._limits = limits
        survey = self._choose_stream()
        self._pictures, self._timeline = survey.pictures, survey.timeline
        self._interlaced, self._colour = survey.interlaced, survey.colour

    def read(self, choose: FrameChoice, filters: FilterChoice) -> FramesRead:
        """Decode the whole video and filter the chosen frames. Raises DecodeError."""
        wanted = sorted({*choose(self._timeline)} & {*range(len(self._pictures))})
        pictures = {number: self._pictures[number] for number in wanted}
        frames = self._fetch(wanted, filters(self._pictures[0])) if wanted else {}
        return FramesRead(frames, pictures, self._timeline)

    def read_timeline(self) -> Timeline:
        """The timeline of all frames, as ffmpeg listed them."""
        return self._timeline

    def pick(self, numbers: Sequence[int], filters: FilterChoice, _: Budget) -> Iterator[PickedFrame]:
        """The frames at these ascending indices, by one process; the budget was applied when they were listed."""
        return self.read(lambda _: numbers, filters).pick(numbers)

    def _choose_stream(self) -> "_Survey":
        """Survey the first stream marked as the default, or the second if the first is a still image."""
        self._stream = DEFAULT_STREAMS[0]
        try:
            survey = self._survey()
        except NoSuchStream:
            self._stream = FIRST_STREAM
            return self._survey()
        if len(survey.pictures) == 1:
            with suppress(NoSuchStream):
                self._stream = DEFAULT_STREAMS[1]
                return self._survey()
            self._stream = DEFAULT_STREAMS[0]
        return survey

    def _survey(self) -> "_Survey":
        """List all frames of the video, and their times."""
        frames = self._limits.video_frames
        command = self._build_command("showinfo=checksum=0", f="null", **{"frames:v": frames + 1})
        kept = BYTES_BEFORE + frames * BYTES_PER_FRAME
        with _refusing():
            text = read_log(command, seconds=self._limits.seconds, at_most=kept)
        survey = _parse(text.splitlines(), None if self.demuxing else self._path, self._limits)
        if not survey.turned:
            return survey
        rotation, mirrored = read_orientation(self._read_matrix())
        pictures = [replace(picture, rotation=rotation, mirrored=mirrored) for picture in survey.pictures]
        return replace(survey, pictures=pictures)

    def _read_matrix(self) -> bytes:
        """The display matrix of the first frame, taken from the header of a MOV file written with it, scaled down."""
        options = {"f": "mov", "vcodec": "rawvideo", "pix_fmt": "rgb24", "movflags": "empty_moov", "frames:v": 1}
        with _refusing():
            data = run(self._build_command("scale=16:16", **options), seconds=self._limits.seconds)
        start = data.index(b"tkhd") + MATRIX_AT
        return struct.pack("=9i", *struct.unpack(">9i", data[start : start + MATRIX_BYTES]))

    def _fetch(self, numbers: list[int], filters: list[Filter]) -> dict[int, Pixels]:
        """The frames, transferred as PAM images, which state their size."""
        steps = [f"{name}={value}" if value else name for name, value in filters]
        chosen = _join_conditions([f"eq(n\\,{number})" for number in numbers])
        before = [self._colour] if self._colour else []
        before += ["=".join(DEINTERLACE)] if self._interlaced else []
        chain = ",".join([*before, f"select={chosen}", *steps])
        with _refusing():
            data = run(self._build_command(chain, f="image2pipe", vcodec="pam"), seconds=self._limits.seconds)
        start = data.find(PAM_END) + len(PAM_END)
        numbers_of = rb"(?:WIDTH|HEIGHT|DEPTH|MAXVAL) (\d+)"
        width, height, depth, largest = (int(value) for value in re.findall(numbers_of, data[:start]))
        kind = np.dtype(np.uint8) if largest < 256 else np.dtype(">u2")
        size = start + width * height * depth * kind.itemsize
        if len(data) != size * len(numbers):
            raise DecodeError(f"{len(data)} bytes of pixels instead of {len(numbers)} times {size}")
        pixels = np.frombuffer(data, np.uint8).reshape(len(numbers), size)[:, start:]
        shape = (height, width, depth) if depth > 1 else (height, width)
        native = kind.newbyteorder("=")
        frames = [row.copy().view(kind).astype(native).reshape(shape) for row in pixels]
        return dict(zip(numbers, frames, strict=True))

    def _build_command(self, filters: str, **options: Any) -> Any:
        reading: dict[str, Any] = {**open_options(self._limits), "noautorotate": None, "copyts": None, "threads": 1}
        reading["flags"] = "+unaligned"  # else the left margin is rounded to multiples of 64 columns
        reading["reinit_filter"] = 0  # an orientation message with a single frame is no change of geometry
        reading |= self.demuxing
        # The prefix keeps a colon in a file's name from being read as a protocol.
        video = ffmpeg.input(f"file:{self._path}", **reading)[self._stream]
        return video.output("pipe:", vf=filters, fps_mode="passthrough", max_error_rate=REFUSED_SHARE, **options)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn FfmpegError into DecodeError with one line, without the memory addresses, which differ between runs."""
    try:
        yield
    except FfmpegError as error:
        if "matches no streams" in error.tail:
            raise NoSuchStream("no video stream") from None
        if found := REFUSED_CODEC.search(error.tail):
            raise refuse_codec(found[1]) from None
        if TOO_LARGE in error.tail:
            raise DecodeError("a picture too large; see transcode.limits.frame_pixels") from None
        if REFUSED_CONTAINER in error.tail:
            raise refuse_container() from None
        if refused := MANY_REFUSED.search(error.tail):
            raise DecodeError(refused[0]) from None
        last = error.tail.splitlines()[-1:] or [str(error)]
        raise DecodeError(re.sub(r"^\[[^]]* @ \w+\] ", "", last[0])) from None


def _join_conditions(conditions: list[str]) -> str:
    """An expression that is true if any condition is, as a balanced tree: ffmpeg refuses deeply nested ones."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({_join_conditions(conditions[:middle])}+{_join_conditions(conditions[middle:])})"


@dataclass(frozen=True, slots=True)
class _Survey:
    """The output of `showinfo` about the frames."""

    pictures: list[Picture]
    timeline: Timeline
    turned: bool  # the first frame has a display matrix
    interlaced: bool  # whether any frame is
    colour: str  # filter that sets the colour encoding that only the container states, or ""


def _parse(lines: list[str], path: Path | None, limits: LimitParams) -> _Survey:
    """The log of `showinfo` -> the frames. Raises DecodeError if there are too many, or lines are missing."""
    unit = Fraction(1)
    timestamps = Timestamps()
    pictures: list[Picture] = []
    budget, turned, interlaced = Budget(limits), False, False
    damaged, refused = (sum(words in line for line in lines) for words in (DAMAGED, REFUSED))
    matrix = ""
    for line in lines:
        if found := FRAME.match(line):
            number, timestamp, length, pixel_format, across, down, width, height, order = found.groups()
            if int(number) != len(pictures):
                raise DecodeError(f"ffmpeg lost count of its frames at {number}")
            timestamps.add(None if timestamp == "NOPTS" else int(timestamp), None, int(length))
            aspect = Fraction(int(across), int(down)) if int(across) else Fraction(1)
            steps = find_chroma_steps(pixel_format)
            pictures.append(Picture(int(width), int(height), pixel_format, steps, aspect, rotation=0))
            interlaced |= order != "P"
            if replace(pictures[-1], colour=pictures[0].colour) != pictures[0]:
                raise DecodeError(CHANGING)
            budget.add(int(width), int(height))
        elif MATRIX.match(line):
            turned |= len(pictures) == 1
        elif found := COLOURS.search(line):
            matrix = matrix or found[1]
            tags = [CODES.get(name, BT709) for name in found.groups()]
            if pictures:
                pictures[-1] = replace(pictures[-1], colour=read_colour(tags[2], tags[1], tags[0]))
        elif (found := UNIT.match(line)) and not pictures:
            unit = Fraction(found[1])
    check_damage(damaged, refused)
    timeline = _read_clock(lines, path, unit).build_timeline(timestamps)
    stated = _read_stated_colour(lines, matrix)
    if "colorspace=" in stated:
        pictures = [replace(picture, colour=picture.colour._replace(untagged=False)) for picture in pictures]
    return _Survey(pictures, timeline, turned, interlaced, stated)


def _read_clock(lines: list[str], path: Path | None, unit: Fraction) -> ContainerClock:
    """What ffmpeg and the container state about the times of all frames."""
    container = next((found[1] for found in map(INPUT.match, lines) if found), "")
    stream = next((found[1] for found in map(MAPPED.match, lines) if found), "")
    tracks = {found[1]: int(found[2], 16) for found in map(TRACK.match, lines) if found}
    return ContainerClock(
        unit, container, find_end(path, read_container_header(path), tracks.get(stream, 0)) if path else None
    )


def _read_stated_colour(lines: list[str], matrix: str) -> str:
    """A filter that sets the colour encoding stated by the container, as FFmpeg logs it, if the codec has none."""
    number, codec = next((found.groups() for found in map(MAPPED.match, lines) if found), ("", ""))
    if codec not in WITHOUT_COLOUR or (codec != "vp8" and matrix != "unknown"):
        return ""
    streams = (found for found in map(STREAM.match, lines) if found)
    levels, stated = next((found.groups()[1:] for found in streams if found[1] == number), (None, None))
    stated = None if stated == "unknown" else stated
    if not stated and levels != "pc":
        return ""
    values = {"colorspace": stated, "range": levels}
    return "setparams=" + ":".join(f"{name}={value}" for name, value in values.items() if value)
