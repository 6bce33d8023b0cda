"""Decoded frames -> arrays, through filters that depend on what each frame says about itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from pipeline.records import Frames
from pipeline.video.geometry import Filter, Picture
from pipeline.video.timing import Timeline

View = Callable[[Picture], list[Filter]]  # ends in gbrp or gray
Plan = Callable[[Timeline], Iterable[int]]  # numbers of the frames that are wanted, from what is known before decoding


@dataclass(frozen=True, slots=True)
class Taken:
    """The wanted frames of a video, as far as it has them, and when each of all its frames is shown."""

    frames: dict[int, Frames]  # uint8, by number: [H,W,3], or [H,W] where the view is grey
    pictures: dict[int, Picture]
    timeline: Timeline


def describe(frame: VideoFrame, pixel_aspect: Fraction) -> Picture:
    """What `geometry` needs to know of a frame."""
    steps = 8 // frame.format.chroma_width(8), 8 // frame.format.chroma_height(8)
    return Picture(frame.width, frame.height, frame.format.name, steps, pixel_aspect, frame.rotation)


class Scaler:
    """Applies a view to frames; a video may change its geometry or its colours on the way."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._filters: dict[Picture, tuple[Filter, ...]] = {}

    def __call__(self, frame: VideoFrame, picture: Picture) -> Frames:
        """The frame as the view shows it."""
        if picture not in self._filters:
            self._filters[picture] = tuple(self._view(picture))
        filters = self._filters[picture]
        kind = filters, frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        # Out of the store while at work: a graph in which an error has left a frame is never used again.
        graph = _idle.pop(kind, None) or _graph(frame, filters)
        graph.vpush(frame)
        view = np.asarray(graph.vpull().to_ndarray(), np.uint8)
        _idle[kind] = graph
        if len(_idle) > MOST_IDLE:
            del _idle[next(iter(_idle))]
        return view


MOST_IDLE = 16


_idle: dict[tuple[object, ...], Graph] = {}  # configuring one takes as long as scaling three frames


def _graph(frame: VideoFrame, filters: Iterable[Filter]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
    return graph
