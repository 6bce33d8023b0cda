"""Decoded frames of PyAV -> pixels, by filters, and what a frame says about itself."""

from collections.abc import Iterable
from fractions import Fraction

from av.filter import Graph
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame

from pipeline.video import FilterChoice, Pixels
from pipeline.video.colour import read_colour
from pipeline.video.geometry import Filter, Picture, read_orientation

NAMELESS = range(len(Type), 48)  # kinds of side data that FFmpeg has or may have, without a name in PyAV
MOST_IDLE = 16  # filter graphs that wait for the next frame of their kind

_idle: dict[tuple[object, ...], Graph] = {}  # configuring one takes as long as scaling three frames


class Scaler:
    """Filters frames; a video may change its geometry or its colours on the way."""

    def __init__(self, choose: FilterChoice) -> None:
        self._choose = choose
        self._filters: dict[Picture, tuple[Filter, ...]] = {}

    def __call__(self, frame: VideoFrame, picture: Picture) -> Pixels:
        """The frame as the filters show it."""
        if picture not in self._filters:
            self._filters[picture] = tuple(self._choose(picture))
        filters = self._filters[picture]
        kind = filters, frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        # Taken out of the store while in use: a graph in which an error has left a frame is never used again.
        graph = _idle.pop(kind, None) or make_graph(frame, filters)
        graph.vpush(frame)
        pixels: Pixels = graph.vpull().to_ndarray()  # type: ignore[assignment]  # of no floats here
        _idle[kind] = graph
        if len(_idle) > MOST_IDLE:
            del _idle[next(iter(_idle))]
        return pixels


def make_graph(frame: VideoFrame, filters: Iterable[Filter]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
    return graph


def find_orientation(frame: VideoFrame) -> tuple[int, bool]:
    """The turn of a frame, and if it is mirrored."""
    try:
        side_data = frame.side_data
    except ValueError:  # it holds a kind that PyAV cannot name, such as EXIF
        graph = make_graph(frame, [("sidedata", f"mode=delete:type={number}") for number in NAMELESS])
        graph.vpush(frame)
        side_data = graph.vpull().side_data
    matrix = side_data.get("DISPLAYMATRIX")
    return read_orientation(bytes(matrix)) if isinstance(matrix, SideData) else (0, False)


def describe_frame(frame: VideoFrame, pixel_aspect: Fraction, rotation: int, mirrored: bool) -> Picture:
    """What `geometry` needs to know of a frame."""
    steps = 8 // frame.format.chroma_width(8), 8 // frame.format.chroma_height(8)
    colour = read_colour(int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace))
    return Picture(frame.width, frame.height, frame.format.name, steps, pixel_aspect, rotation, mirrored, colour)
