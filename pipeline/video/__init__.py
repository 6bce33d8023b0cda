"""Videos without torch: decoding, encoding, geometry and timing. PyAV and ffmpeg-python are imported here only.

A reader is opened with the path of a video and the limits, and `read` may be called several times: `pyav_decoder` reads
in this process, `ffmpeg_decoder` in processes of its own, and both give the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # they read params, which what only writes a video can do without
    from pipeline.video.geometry import Filter, Picture
    from pipeline.video.limits import Budget
    from pipeline.video.timeline import Timeline

Pixels = NDArray[np.uint8] | NDArray[np.uint16]  # of 16 bits where the colours are wide
FrameChoice = Callable[["Timeline"], Iterable[int]]  # numbers of the wanted frames, from what is known before decoding
FilterChoice = Callable[["Picture"], list["Filter"]]  # filters for a frame, the last of them to gbrp or gray


class PickedFrame(NamedTuple):
    """One wanted frame of a video."""

    number: int
    pixels: Pixels  # [H,W,3], or [H,W] where the filters make them grey
    picture: "Picture"


@dataclass(frozen=True, slots=True)
class FramesRead:
    """The wanted frames of a video, as far as it has them, and when each of all its frames is shown."""

    frames: dict[int, Pixels]  # by number: [H,W,3], or [H,W] where the filters make them grey
    pictures: "dict[int, Picture]"
    timeline: "Timeline"

    def pick(self, numbers: Iterable[int]) -> Iterator[PickedFrame]:
        """The frames of these numbers, which have been read."""
        return (PickedFrame(number, self.frames[number], self.pictures[number]) for number in numbers)


def collect_frames(picked: Iterable[PickedFrame], timeline: "Timeline") -> FramesRead:
    """All of the picked frames together."""
    read = FramesRead({}, {}, timeline)
    for number, pixels, picture in picked:
        read.frames[number], read.pictures[number] = pixels, picture
    return read


class VideoReader(Protocol):
    """A video file that can be read several times."""

    def read(self, choose: FrameChoice, filters: FilterChoice) -> FramesRead:
        """Decode the whole video and filter the chosen frames. Raises DecodeError."""
        ...

    def read_timeline(self) -> "Timeline":
        """When each frame is shown, without decoding them. Raises Inexact where only decoding can tell."""
        ...

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: "Budget", /) -> Iterator[PickedFrame]:
        """The frames of these ascending numbers, decoding no more than they need. Raises DecodeError.

        Raises Inexact where the video turns out to have other frames than `read_timeline` says.
        """
        ...
