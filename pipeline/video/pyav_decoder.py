"""A video read by PyAV in this process: plain WebM packet by packet, everything else through `av.open`.

Only the wanted frames are scaled, as they pass, and none is held. Which ones they are is planned on what the packets
say; where that was wrong, the video is decoded once more.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.params import LimitParams
from pipeline.records import Frames
from pipeline.video.filters import Plan, Scaler, Taken, View, describe
from pipeline.video.geometry import Picture
from pipeline.video.limits import CONTAINERS, REFUSED_SHARE, DecodeError, Meter, open_options
from pipeline.video.timing import Timeline
from pipeline.video.webm import OddFile, PlainWebm, read_plain_webm

HELD_BYTES = 64 * 2**20  # of a file; of a larger one nothing is known before it is decoded


@dataclass(frozen=True, slots=True)
class Source:
    """An opened video."""

    timeline: Timeline  # as far as the packets tell
    pixel_aspect: Fraction
    frames: Iterator[VideoFrame]


class InProcess:
    """A video file, each reading of which opens it anew."""

    def __init__(self, path: Path, limits: LimitParams) -> None:
        self._path = path
        self._limits = limits
        self._small = path.stat().st_size <= HELD_BYTES
        self._plain = self._read_plain() if self._small else None

    def take(self, plan: Plan, view: View) -> Taken:
        """Decode the whole video and view the frames of the plan. Raises DecodeError."""
        if self._plain:
            try:
                return _take(_plain_source(self._plain, self._limits), plan, view, self._limits)
            except av.FFmpegError:
                self._plain = None  # damaged: let `av.open` find out how much of it is still a video
        try:
            with _opened(self._path, self._limits, ahead=self._small) as source:
                return _take(source, plan, view, self._limits)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):  # of this process, which is for the caller to judge
                raise
            # FFmpeg refuses a format outside the lists and a picture above the limit with the same bare words.
            hint = f": not one of {CONTAINERS}, or a picture too large" if isinstance(error, av.ArgumentError) else ""
            raise DecodeError(f"{error.strerror}{hint}") from None

    def _read_plain(self) -> PlainWebm | None:
        try:
            return read_plain_webm(self._path.read_bytes())
        except OddFile:
            return None


def _take(source: Source, plan: Plan, view: View, limits: LimitParams) -> Taken:
    wanted = set(plan(source.timeline))
    frames: dict[int, Frames] = {}
    pictures: dict[int, Picture] = {}
    stamps: list[int | None] = []
    meter, scaler = Meter(limits), Scaler(view)
    for number, frame in enumerate(source.frames):
        meter.add(frame.width, frame.height)
        stamps.append(frame.pts)
        if number in wanted:
            pictures[number] = describe(frame, source.pixel_aspect)
            frames[number] = scaler(frame, pictures[number])
    return Taken(frames, pictures, Timeline(stamps, source.timeline.unit))


def _plain_source(plain: PlainWebm, limits: LimitParams) -> Source:
    """The decoder is a new one for every file: one kept open saves nothing, and a bad file could spoil the next."""
    decoder = av.CodecContext.create(plain.codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(limits.frame_pixels)}
    decoder.thread_count = 1

    def frames() -> Iterator[VideoFrame]:
        for stored in plain.packets:
            packet = Packet(stored.data)
            packet.pts = stored.timestamp
            packet.time_base = plain.unit
            yield from decoder.decode(packet)
        yield from decoder.decode(None)

    stamps = [packet.timestamp for packet in plain.packets]
    return Source(Timeline([*stamps], plain.unit), Fraction(1), frames())


@contextmanager
def _opened(path: Path, limits: LimitParams, *, ahead: bool) -> Iterator[Source]:
    """Yield the first video stream, with `ahead` after reading all its packets into memory."""
    # The prefix keeps a colon in a file's name from being read as a protocol.
    with av.open(f"file:{path}", options=open_options(limits), metadata_errors="replace") as container:
        stream = _video_stream(list(container.streams.video))
        stream.codec_context.options = open_options(limits)
        stream.codec_context.thread_count = 1
        packets: Iterable[Packet[VideoStream]] = container.demux(stream)
        stamps: list[int | None] = []
        if ahead:
            packets = list(packets)
            stamps = _sorted([packet.pts for packet in packets if packet.size])
        unit = stream.time_base or Fraction(1)
        yield Source(Timeline(stamps, unit), stream.sample_aspect_ratio or Fraction(1), _decoded(packets))


def _sorted(stamps: list[int | None]) -> list[int | None]:
    """In the order of showing, where they are all there."""
    known = sorted(stamp for stamp in stamps if stamp is not None)
    return [*known] if len(known) == len(stamps) else stamps


def _video_stream(streams: list[VideoStream]) -> VideoStream:
    for stream in streams:
        if stream.disposition & Disposition.attached_pic:  # a cover, not a video
            continue
        if stream.codec_context is None:
            raise DecodeError("its codec is unknown")
        return stream
    raise DecodeError("no video stream")


def _decoded(packets: Iterable["Packet[VideoStream]"]) -> Iterator[VideoFrame]:
    """Frame by frame, in the order of showing."""
    fed = refused = 0
    for packet in packets:
        fed += 1
        try:
            yield from packet.decode()
        except av.InvalidDataError:  # one damaged packet costs its own frame, as in ffmpeg
            refused += 1
    if refused > fed * REFUSED_SHARE:
        raise DecodeError(f"the decoder refused {refused} of {fed} packets")
