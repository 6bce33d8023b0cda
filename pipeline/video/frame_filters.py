"""Frames decoded by PyAV -> pixels, by filter graphs, and the properties of frames."""

from collections.abc import Iterable
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData, Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from pipeline.video import FilterChoice, Pixels
from pipeline.video.pixels import Filter, Picture, read_colour, read_orientation

NAMELESS = range(len(Type), 48)  # types of side data, present or future, that PyAV has no name for
KEPT_PICTURES = 64  # cached frame descriptions
MAX_IDLE = 16  # cached filter graphs

_idle: dict[tuple[object, ...], Graph] = {}  # configuring a graph takes as long as scaling three frames


class Scaler:
    """Filters frames; their geometry or colours may change within a video."""

    def __init__(self, choose: FilterChoice) -> None:
        self._choose = choose
        self._known: tuple[object, ...] = ()  # about the last frame
        self._kind: tuple[object, ...] = ()
        self._filters: tuple[Filter, ...] = ()

    def __call__(self, frame: VideoFrame, picture: Picture) -> Pixels:
        """The pixels of the filtered frame."""
        known = picture, frame.colorspace, frame.color_range
        if known != self._known:
            self._known, self._filters = known, tuple(self._choose(picture))
            self._kind = self._filters, frame.width, frame.height, frame.format.name, *known[1:]
        kind, filters = self._kind, self._filters
        # Removed from the cache while in use: after an error, a graph that still holds a frame is not reused.
        graph = _idle.pop(kind, None) or make_graph(frame, filters)
        graph.vpush(frame)
        pixels = _read_pixels(graph.vpull())
        _idle[kind] = graph
        if len(_idle) > MAX_IDLE:
            del _idle[next(iter(_idle))]
        return pixels


def _read_pixels(frame: VideoFrame) -> Pixels:
    """The result of PyAV's `to_ndarray`, in two thirds of its time for planar RGB stored from top to bottom."""
    planes = frame.planes
    if frame.format.name != "gbrp" or planes[0].line_size <= 0:  # vflip makes line sizes negative
        return frame.to_ndarray()  # type: ignore[return-value]  # never floats here
    pixels = np.empty((frame.height, frame.width, 3), np.uint8)
    for channel, plane in zip((1, 2, 0), planes, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        pixels[:, :, channel] = rows[:, : frame.width]
    return pixels


def make_graph(frame: VideoFrame, filters: Iterable[Filter]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
    return graph


def find_orientation(frame: VideoFrame) -> tuple[int, bool]:
    """The rotation of a frame in degrees counter-clockwise, and whether it is mirrored."""
    try:
        side_data = frame.side_data
    except ValueError:  # it has a type that PyAV does not know, such as EXIF
        graph = make_graph(frame, [("sidedata", f"mode=delete:type={number}") for number in NAMELESS])
        graph.vpush(frame)
        side_data = graph.vpull().side_data
    matrix = side_data.get("DISPLAYMATRIX")
    return read_orientation(bytes(matrix)) if isinstance(matrix, SideData) else (0, False)


def describe_frame(frame: VideoFrame, pixel_aspect: Fraction, rotation: int, mirrored: bool) -> Picture:
    """The properties of a frame that `pixels` needs; cached."""
    tags = int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace)
    return _describe(frame.width, frame.height, frame.format.name, tags, pixel_aspect, rotation, mirrored)


@lru_cache(KEPT_PICTURES)
def _describe(
    width: int, height: int, name: str, tags: tuple[int, int, int], aspect: Fraction, rotation: int, mirrored: bool
) -> Picture:
    return Picture(width, height, name, find_chroma_steps(name), aspect, rotation, mirrored, read_colour(*tags))


@cache
def find_chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Pixels per chroma sample, across and down."""
    layout = VideoFormat(pixel_format)
    return 8 // layout.chroma_width(8), 8 // layout.chroma_height(8)
