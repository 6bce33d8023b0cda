"""A video file -> the frames of a clip, decoded in this process by PyAV.

Frames are counted by decoding them, and only the chosen ones are scaled, as they pass: no frame is held. Which ones
they are is guessed from the number of packets; where the guess was wrong, the video is decoded once more.

A video is untrusted: only local files in known containers are opened, and one file may cost only so many pixels and
frames, whatever its header says.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Frames
from pipeline.video.geometry import Picture, clip_filters
from pipeline.video.timing import ShortClips, choose_frames
from pipeline.video.whole import stated_length

CONTAINERS = "matroska,webm,mov,mp4,avi,flv,mpeg,mpegvideo,mpegts,ogg,asf,gif"
PIXELS_PER_FRAME = 8192 * 4352
PIXELS_PER_VIDEO = 20_000_000_000  # about a minute of decoding
FRAMES_PER_VIDEO = 20_000
HELD_BYTES = 64 * 2**20  # of compressed packets; a larger file is decoded twice
REFUSED_SHARE = 0.1  # of the packets: a decoder may refuse these, more means that the motion is damaged


class DecodeError(Exception):
    """A file that is no video, or a video that cannot be decoded within the limits."""


@dataclass(frozen=True, slots=True)
class DecodedVideo:
    """The clips of a video, uint8 [T,H,W,3] each and at least one, and how many frames the whole video has."""

    clips: list[Frames]
    count: int


def decode_video(path: Path, shape: ClipParams, options: TranscodeParams, key: str) -> DecodedVideo:
    """The first video stream of a file as clips, upright and cropped.

    `key` is the only source of randomness, where any is asked for. Raises DecodeError or ShortClip, whose messages
    leave the naming of the file to the caller.
    """
    del key
    try:
        return _decode_clip(path, shape, options.short_clips)
    except av.FFmpegError as error:
        # FFmpeg refuses a format outside the list and a picture above the limit with the same bare words.
        hint = f": not one of {CONTAINERS}, or a picture too large" if isinstance(error, av.ArgumentError) else ""
        raise DecodeError(f"{error.strerror}{hint}") from None


def _decode_clip(path: Path, shape: ClipParams, short_clips: ShortClips) -> DecodedVideo:
    length, stated = path.stat().st_size, stated_length(path)
    if stated is not None and length < stated:
        raise DecodeError(f"cut off: {length} of {stated} bytes are there")
    with _opened(path) as (container, stream):
        packets: Iterable[Packet[VideoStream]] = container.demux(stream)
        shown = 1
        if length <= HELD_BYTES:
            packets = list(packets)
            shown = max(1, sum(packet.size > 0 for packet in packets))
        likely = choose_frames(shown, shape.frames, "repeat_last")
        frames, count = _take(_decoded(packets), _pixel_aspect(stream), shape, likely)
    numbers = choose_frames(count, shape.frames, short_clips)
    if numbers != likely:
        with _opened(path) as (container, stream):
            frames, count = _take(_decoded(container.demux(stream)), _pixel_aspect(stream), shape, numbers)
    return DecodedVideo([frames], count)


def _take(
    video: Iterable[VideoFrame], pixel_aspect: Fraction, shape: ClipParams, numbers: list[int]
) -> tuple[Frames, int]:
    """The frames `numbers` of a video, as far as it has them, and how many it has."""
    frames = np.empty((shape.frames, shape.height, shape.width, 3), np.uint8)
    scaler = _Scaler(shape, pixel_aspect)
    count = pixels = 0
    for frame in video:
        if count in numbers:
            first = numbers.index(count)
            frames[first : first + numbers.count(count)] = scaler(frame)
        count += 1
        pixels += frame.width * frame.height
        if count > FRAMES_PER_VIDEO or pixels > PIXELS_PER_VIDEO:
            raise DecodeError(f"longer than {FRAMES_PER_VIDEO} frames or {PIXELS_PER_VIDEO} pixels; cut it into clips")
    if count == 0:
        raise DecodeError("no frame can be decoded")
    return frames, count


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


def read_pictures(path: Path) -> Iterator[tuple[Picture, VideoFrame]]:
    """Every frame of the video as the decoder gives it, and what it says about itself."""
    with _opened(path) as (container, stream):
        for frame in _decoded(container.demux(stream)):
            yield describe(frame, _pixel_aspect(stream)), frame


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS, "max_pixels": str(PIXELS_PER_FRAME)}
    # The prefix keeps a colon in a file's name from being read as a protocol.
    with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
        stream = _video_stream(list(container.streams.video))
        stream.codec_context.options = {"max_pixels": str(PIXELS_PER_FRAME)}
        stream.codec_context.thread_count = 1
        yield container, stream


def _video_stream(streams: list[VideoStream]) -> VideoStream:
    for stream in streams:
        if stream.disposition & Disposition.attached_pic:  # a cover, not a video
            continue
        if stream.codec_context is None:
            raise DecodeError("its codec is unknown")
        return stream
    raise DecodeError("no video stream")


def _pixel_aspect(stream: VideoStream) -> Fraction:
    return stream.sample_aspect_ratio or Fraction(1)


class _Scaler:
    """Turns decoded frames into RGB of the clip's shape; a video may change its geometry on the way."""

    def __init__(self, shape: ClipParams, pixel_aspect: Fraction) -> None:
        self.shape = shape
        self.pixel_aspect = pixel_aspect
        self.graphs: dict[Picture, Graph] = {}

    def __call__(self, frame: VideoFrame) -> Frames:
        """The frame as uint8 [H,W,3]."""
        picture = describe(frame, self.pixel_aspect)
        if picture not in self.graphs:
            self.graphs[picture] = _graph(frame, clip_filters(picture, self.shape.height, self.shape.width))
        graph = self.graphs[picture]
        graph.vpush(frame)
        return np.asarray(graph.vpull().to_ndarray(), np.uint8)


def describe(frame: VideoFrame, pixel_aspect: Fraction) -> Picture:
    """What `geometry` needs to know of a frame."""
    steps = 8 // frame.format.chroma_width(8), 8 // frame.format.chroma_height(8)
    return Picture(frame.width, frame.height, frame.format.name, steps, pixel_aspect, frame.rotation)


def _graph(frame: VideoFrame, filters: list[tuple[str, str]]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
    return graph
