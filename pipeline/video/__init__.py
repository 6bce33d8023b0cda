"""Videos without torch: decoding, encoding, geometry and timing. PyAV and ffmpeg-python are imported here only.

A reader is opened with the path of a video and the limits, and `read` may be called several times: `pyav_decoder`
decodes in this process, `ffmpeg_decoder` in child processes, and both return the same bytes. Videos are untrusted: the
accepted containers, codecs and numbers of frames and pixels are defined here, too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # modules that only write videos do not need params
    from pipeline.params import LimitParams
    from pipeline.video.pixels import Filter, Picture
    from pipeline.video.timeline import Timeline

Pixels = NDArray[np.uint8] | NDArray[np.uint16]  # 16 bits for HDR and wide-gamut colours
FrameChoice = Callable[
    ["Timeline"], Iterable[int]
]  # indices of the wanted frames, from the timeline known before decoding
FilterChoice = Callable[["Picture"], list["Filter"]]  # filters for a frame, the last of them to gbrp or gray

# Demuxers and decoders by FFmpeg's names. Playlists, scripts and stream descriptions, which could open other files, are
# not listed, nor are rare decoders, which have the most vulnerabilities.
CONTAINERS = "matroska,webm,mov,mp4,avi,flv,mpeg,mpegvideo,mpegts,ogg,asf,gif,apng,dv,webp_anim"
CODECS = (
    "apng,av1,cinepak,dnxhd,dvvideo,ffv1,ffvhuff,flv,gif,h263,h264,hevc,huffyuv,libdav1d,mjpeg,mpeg1video,mpeg2video,"
    "mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,prores,qtrle,rawvideo,theora,vc1,vp6f,vp8,vp9,webp_anim,wmv1,wmv2,wmv3"
)
REFUSED_SHARE = 0.1  # of the packets that a decoder may refuse; with more, the motion is damaged


class PickedFrame(NamedTuple):
    """One wanted frame of a video."""

    number: int
    pixels: Pixels  # [H,W,3], or [H,W] after a grey filter
    picture: "Picture"


@dataclass(frozen=True, slots=True)
class FramesRead:
    """Those of the wanted frames that the video has, and the timeline of all its frames."""

    frames: dict[int, Pixels]  # by index: [H,W,3], or [H,W] after a grey filter
    pictures: "dict[int, Picture]"
    timeline: "Timeline"

    def pick(self, numbers: Iterable[int]) -> Iterator[PickedFrame]:
        """The frames at these indices, which must have been read."""
        return (PickedFrame(number, self.frames[number], self.pictures[number]) for number in numbers)


def collect_frames(picked: Iterable[PickedFrame], timeline: "Timeline") -> FramesRead:
    """Collect all picked frames."""
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
        """When each frame is shown, without decoding them. Raises Inexact if only decoding can tell."""
        ...

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: "Budget", /) -> Iterator[PickedFrame]:
        """The frames at these ascending indices, decoding no more than necessary. Raises DecodeError.

        Raises Inexact if the video turns out to have other frames than `read_timeline` says.
        """
        ...


class DecodeError(Exception):
    """A file is not a video, or a video cannot be decoded within the limits."""


def open_options(limits: "LimitParams") -> dict[str, str]:
    """Options of FFmpeg, for the library and the program, that allow only local files of listed formats."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": CODECS,
        "max_pixels": str(limits.frame_pixels),
    }


def check_file(path: Path) -> None:
    """Raise DecodeError for anything but a regular file: a decoder could hang on it."""
    if not path.is_file():
        raise DecodeError("no such file, or not a regular one")


def refuse_container() -> DecodeError:
    """The error for a container that is not listed."""
    return DecodeError(f"its container is none of {CONTAINERS}, or its header is damaged")


def refuse_codec(name: str) -> DecodeError:
    """The error for a codec that is not listed."""
    return DecodeError(f"its codec is {name}, not one of {CODECS}")


def check_damage(damaged: int, refused: int) -> None:
    """Raise DecodeError if more frames are damaged than packets were refused: each lost packet explains one."""
    if damaged > refused:
        raise DecodeError(f"damaged: {damaged} frames show what was not stored")


class Budget:
    """Counts the frames and pixels of a video against the limits."""

    def __init__(self, limits: "LimitParams") -> None:
        self._most_frames, self._most_pixels = limits.video_frames, limits.video_pixels
        self._frames = 0
        self._pixels = 0

    def renew(self) -> None:
        """Reset the counts, for the next part of a video."""
        self._frames = self._pixels = 0

    def add(self, width: int, height: int) -> None:
        """Count one more frame. Raises DecodeError if a limit is exceeded."""
        self._frames += 1
        self._pixels += width * height
        if self._frames > self._most_frames or self._pixels > self._most_pixels:
            raise DecodeError(
                f"longer than {self._most_frames} frames or {self._most_pixels} pixels; cut it into clips, or raise "
                "transcode.limits"
            )
