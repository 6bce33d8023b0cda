"""Decoding by PyAV in this process: plain WebM files packet by packet, others by `av.open`.

Only the wanted frames are scaled, right after they are decoded, so that no decoded frame is kept. They are chosen by
the times of the packets; if those were wrong, the caller reads the video again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import chain, groupby, islice
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.params import LimitParams
from pipeline.video import (
    CODECS,
    REFUSED_SHARE,
    Budget,
    DecodeError,
    FilterChoice,
    FrameChoice,
    FramesRead,
    Pixels,
    check_damage,
    open_options,
    refuse_codec,
    refuse_container,
)
from pipeline.video.container_headers import Margins, find_end, find_margins, read_container_header
from pipeline.video.pixels import (
    DEINTERLACE,
    UNSPECIFIED,
    WITHOUT_COLOUR,
    Filter,
    Picture,
    Scaler,
    StatedColour,
    describe_frame,
    find_orientation,
    make_graph,
)
from pipeline.video.timeline import ContainerClock, Timeline, Timestamps, is_steady
from pipeline.video.truncation import MATROSKA
from pipeline.video.webm import PlainWebm, UnsupportedFile, read_plain_webm

SHOWN_AS_STORED = Fraction(1), 0, False  # square pixels, upright, not mirrored
HELD_BYTES = 64 * 2**20  # of a file; packets of a larger one are not read ahead of decoding
# The header of an MP4 file states all that is needed; by default, FFmpeg would decode frames to probe it.
STATED = {"skip_frame": "all", "probesize": "32", "analyzeduration": "0"}


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened video."""

    timeline: Timeline  # by the packets
    frames: Iterator[VideoFrame]
    build_timeline: Callable[[], Timeline]  # of the decoded frames
    describe: Callable[[VideoFrame], tuple[Fraction, int, bool]]  # by the first frame: pixel aspect, rotation, mirrored


class PyavReader:
    """A video file, opened again for each read."""

    def __init__(self, path: Path, limits: LimitParams) -> None:
        self._path = path
        self._limits = limits
        self._small = path.stat().st_size <= HELD_BYTES

    def read(self, choose: FrameChoice, filters: FilterChoice) -> FramesRead:
        """Decode the whole video and filter the chosen frames. Raises DecodeError."""
        if self._plain:
            try:
                source = _open_plain(self._plain, self._limits)
                read = _read(source, choose, filters, self._limits)
                if read.timeline == source.timeline or is_steady(read.timeline):
                    return read
            except av.FFmpegError:
                pass
            self._plain = None  # damaged: `av.open` determines how much can be decoded
        with refusing(_refuse), _opened(self._path, self._limits, ahead=self._small) as source:
            return _read(source, choose, filters, self._limits)

    @cached_property
    def _plain(self) -> PlainWebm | None:
        """The parsed file; None if it is not plain WebM or has a variable frame rate, which FFmpeg must handle."""
        if not self._small:
            return None
        with self._path.open("rb", buffering=0) as file:
            if file.read(len(MATROSKA)) != MATROSKA:
                return None
            file.seek(0)
            data = file.readall()
        try:
            plain = read_plain_webm(data)
        except UnsupportedFile:
            return None
        return plain if is_steady(plain.timeline) else None


def read_library_version() -> str:
    """The version of the FFmpeg libraries in PyAV."""
    return str(av.ffmpeg_version_info)


@contextmanager
def refusing(build_refusal: Callable[[av.FFmpegError], Exception]) -> Iterator[None]:
    """Replace errors of FFmpeg, except for MemoryError."""
    try:
        yield
    except MemoryError:  # FFmpeg's own is a subclass; the caller handles it
        raise
    except av.FFmpegError as error:
        raise build_refusal(error) from None


def _refuse(error: av.FFmpegError) -> DecodeError:
    large = isinstance(error, av.ArgumentError)
    hint = ": a picture too large; see transcode.limits.frame_pixels" if large else ""
    return DecodeError(f"{error.strerror}{hint}")


def _read(source: _Source, choose: FrameChoice, filters: FilterChoice, limits: LimitParams) -> FramesRead:
    wanted = set(choose(source.timeline))
    frames: dict[int, Pixels] = {}
    pictures: dict[int, Picture] = {}
    budget, scaler = Budget(limits), Scaler(filters)
    shown: tuple[Fraction, int, bool] = SHOWN_AS_STORED
    for number, frame in enumerate(source.frames):
        if number == 0:  # an SEI message comes with one frame and applies to all
            shown = source.describe(frame)
        budget.add(frame.width, frame.height)
        if number in wanted:
            pictures[number] = describe_frame(frame, *shown)
            frames[number] = scaler(frame, pictures[number])
    return FramesRead(frames, pictures, source.build_timeline())


def _open_plain(plain: PlainWebm, limits: LimitParams) -> _Source:
    """Create a new decoder for every file: reusing one saves nothing, and a bad file could affect the next."""
    decoder = av.CodecContext.create(plain.codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(limits.frame_pixels)}
    decoder.thread_count = 1

    timestamps: list[int | None] = []

    def frames() -> Iterator[VideoFrame]:
        for stored in (*plain.packets, None):
            packet = None
            if stored is not None:
                packet = Packet(stored.data)
                packet.pts = stored.timestamp
                packet.time_base = plain.timeline.unit
            for frame in decoder.decode(packet):
                timestamps.append(frame.pts)
                yield frame

    build_timeline = partial(replace, plain.timeline, timestamps=timestamps)
    return _Source(plain.timeline, frames(), build_timeline, lambda _: SHOWN_AS_STORED)


@contextmanager
def _opened(path: Path, limits: LimitParams, *, ahead: bool) -> Iterator[_Source]:
    """Yield the main video stream; with `ahead`, after reading all its packets into memory."""
    with open_stream(path, limits) as opened:
        packets: Iterable[Packet[VideoStream]] = opened.demux()
        timeline = Timeline([], opened.clock.unit)
        if ahead:
            packets = list(packets)
            timeline = _guess_timeline(packets, opened.clock)
        timestamps = Timestamps()
        frames = opened.refine(_decode(packets, timestamps))
        yield _Source(timeline, frames, partial(opened.clock.build_timeline, timestamps), opened.describe)


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """The video stream of an open file, and the facts that its container states."""

    container: InputContainer
    stream: VideoStream
    stated: StatedColour
    margins: Margins
    clock: ContainerClock

    def describe(self, first: VideoFrame) -> tuple[Fraction, int, bool]:
        """How all frames are shown: pixel aspect, rotation in degrees counter-clockwise, and if mirrored.

        The pixel aspect is the container's, or else the codec's, which is known after the first frame.
        """
        aspect = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        return aspect or Fraction(1), *find_orientation(first)

    def demux(self) -> Iterator["Packet[VideoStream]"]:
        """The packets, without empty ones (Theora's repeated frames) except the last, which flushes the decoder."""
        packets = self.container.demux(self.stream)
        return (packet for packet in packets if packet.size or (packet.pts is None and packet.dts is None))

    def refine(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """The decoded frames, tagged with the container's colours, deinterlaced and without its margins."""
        name = self.stream.codec_context.name
        if name in WITHOUT_COLOUR and self.stated.matters:
            frames = _tag_colours(frames, self.stated, always=name == "vp8")
        frames = _deinterlace(frames)
        return _filter(frames, self.margins.filter()) if any(self.margins) else frames


@contextmanager
def open_stream(path: Path, limits: LimitParams, *, made_up: bool = False) -> Iterator[OpenedStream]:
    """Open a file by FFmpeg at its main video stream. Raises DecodeError if there is none.

    With `made_up`, FFmpeg generates missing presentation timestamps, which may be wrong for AVI.
    """
    # The prefix keeps a colon in a file's name from being read as a protocol.
    header = read_container_header(path)
    options = {**open_options(limits), "fflags": "+genpts" if made_up else "-genpts"}
    if header.movie:
        options |= STATED
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.ArgumentError:
        raise refuse_container() from None
    with container:
        streams = list(container.streams.video)
        stream = _choose_video_stream(streams)
        context = stream.codec_context
        context.options = open_options(limits)
        context.flags |= Flags.unaligned  # else the left margin is rounded to multiples of 64 columns
        context.thread_count = 1
        stated = StatedColour(context.colorspace, context.color_range)  # before decoding: decoders overwrite it
        clock = ContainerClock(
            stream.time_base or Fraction(1), container.format.name, find_end(path, header, stream.id)
        )
        yield OpenedStream(container, stream, stated, find_margins(header, streams.index(stream)), clock)


def _guess_timeline(packets: Iterable["Packet[VideoStream]"], clock: ContainerClock) -> Timeline:
    """By the presentation timestamps of the packets; if any is missing, by the decoding timestamps."""
    stored = [packet for packet in packets if packet.size]
    times = [(packet.pts, packet.duration) for packet in stored]
    if any(shown is None for shown, _ in times):
        times = [(packet.dts, packet.duration) for packet in stored]
    timestamps = Timestamps()
    for shown, length in sorted(times, key=lambda time: time[0] or 0):
        timestamps.add(shown, None, length or 0)
    return clock.build_timeline(timestamps)


def _choose_video_stream(streams: list[VideoStream]) -> VideoStream:
    """The first marked as the default, as enabled tracks of MP4 are; else the first that is no attached picture.

    A default stream that is a still image, as the first of an AVIF sequence, is skipped. Raises DecodeError.
    """
    videos = [stream for stream in streams if not stream.disposition & Disposition.attached_pic]
    if not videos:
        raise DecodeError("no video stream")
    defaults = [stream for stream in videos if stream.disposition & Disposition.default] or videos
    still = len(defaults) > 1 and defaults[0].frames == 1
    stream = defaults[1] if still else defaults[0]
    if stream.codec_context is None:
        raise DecodeError("its codec is unknown")
    if stream.codec_context.name not in CODECS.split(","):
        raise refuse_codec(stream.codec_context.name)
    return stream


def _decode(packets: Iterable["Packet[VideoStream]"], timestamps: Timestamps) -> Iterator[VideoFrame]:
    """Frames in presentation order; their times are recorded before filters change them. Raises DecodeError."""
    fed = refused = damaged = 0
    for packet in packets:
        fed += 1
        try:
            for frame in packet.decode():
                damaged += frame.is_corrupt
                timestamps.add(frame.pts, frame.dts, frame.duration)
                yield frame
        except av.InvalidDataError:  # a damaged packet loses only its own frame, as in ffmpeg
            refused += 1
    if refused > fed * REFUSED_SHARE:
        raise DecodeError(f"the decoder refused {refused} of {fed} packets")
    check_damage(damaged, refused)


def _tag_colours(frames: Iterable[VideoFrame], stated: StatedColour, *, always: bool) -> Iterator[VideoFrame]:
    """Set the colours that the container states on frames that do not state them, or on all."""
    for frame in frames:
        if always or frame.colorspace == UNSPECIFIED:
            frame.colorspace = frame.colorspace if stated.matrix == UNSPECIFIED else stated.matrix
            frame.color_range = stated.range or frame.color_range
        yield frame


def _deinterlace(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The same number of frames; those flagged as interlaced are interpolated with the help of their neighbours."""
    before: VideoFrame | None = None
    for frame in frames:
        if frame.interlaced_frame:
            first = [frame] if before is None else [before, frame]
            yield from islice(_filter(chain(first, frames), DEINTERLACE), len(first) - 1, None)
        else:
            yield frame
            before = frame


def _filter(frames: Iterable[VideoFrame], step: Filter) -> Iterator[VideoFrame]:
    """The filtered frames; a new filter graph is built if the geometry changes."""
    for _, group in groupby(frames, lambda frame: (frame.width, frame.height, frame.format.name)):
        graph: Graph | None = None
        timestamps: deque[int | None] = deque()
        for frame in chain(group, [None]):
            if frame is not None:
                graph = graph or make_graph(frame, [step])
                timestamps.append(frame.pts)
            assert graph is not None
            graph.vpush(frame)
            with suppress(av.BlockingIOError, av.EOFError):
                while True:
                    filtered = graph.vpull()
                    filtered.pts = timestamps.popleft()  # bwdif counts in half steps
                    yield filtered
