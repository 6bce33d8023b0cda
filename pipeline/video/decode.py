"""A video file -> the frames of its clips, by one of two readers that give the same bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.params import ClipParams, LimitParams, TranscodeParams
from pipeline.records import Frames
from pipeline.video.ffmpeg_decoder import ByFfmpeg
from pipeline.video.filters import Plan, Taken, View
from pipeline.video.geometry import Filter, Picture, busiest_crop, centre_crop, clip_filters, grey_filters
from pipeline.video.limits import DecodeError, check_file, stated_length
from pipeline.video.pyav_decoder import InProcess
from pipeline.video.timing import ShortClip, Timeline, choose_windows


class Video(Protocol):
    """A video file that can be read several times."""

    def take(self, plan: Plan, view: View) -> Taken: ...


READERS: dict[str, Callable[[Path, LimitParams], Video]] = {"in_process": InProcess, "ffmpeg": ByFfmpeg}


@dataclass(frozen=True, slots=True)
class DecodedVideo:
    """The clips of a video, uint8 [T,H,W,3] each and at least one, and how many frames the whole video has."""

    clips: list[Frames]
    count: int


def decode_video(path: Path, shape: ClipParams, options: TranscodeParams, key: str) -> DecodedVideo:
    """The first video stream of a file as clips, one per window, upright and cropped.

    `key` is the only source of chance, where `transcode.place` asks for any. Raises DecodeError or ShortClip, whose
    messages leave the naming of the file to the caller.
    """
    check_file(path)
    length, stated = path.stat().st_size, stated_length(path)
    if stated is not None and length < stated:
        raise DecodeError(f"cut off: {length} of {stated} bytes are there")
    video = READERS[options.decoder](path, options.limits)

    def choose(timeline: Timeline) -> list[list[int]]:
        return choose_windows(timeline, shape, options, key)

    def centre(picture: Picture) -> list[Filter]:
        return clip_filters(picture, centre_crop(picture, shape.height, shape.width), shape.height, shape.width)

    def likely(timeline: Timeline) -> Iterable[int]:
        try:
            return _numbers(choose(timeline))
        except (DecodeError, ShortClip):  # the decoded frames decide
            return ()

    view = centre if options.crop == "centre" else grey_filters
    taken = video.take(likely, view)
    count = len(taken.timeline.stamps)
    if count == 0:
        raise DecodeError("no frame can be decoded")
    windows = choose(taken.timeline)
    if not _numbers(windows) <= taken.frames.keys():
        taken = video.take(lambda _: _numbers(windows), view)
    if options.crop == "motion":
        return DecodedVideo([_follow(video, taken, window, shape) for window in windows], count)
    return DecodedVideo([_stack(taken, window) for window in windows], count)


def _follow(video: Video, greys: Taken, window: list[int], shape: ClipParams) -> Frames:
    """The clip of a window, cropped to where most of it moves; the centre, where the picture changes its geometry."""
    height, width = shape.height, shape.width
    picture, *others = {greys.pictures[number] for number in window}
    crop = busiest_crop([greys.frames[number] for number in window], picture, height, width)

    def view(frame: Picture) -> list[Filter]:
        return clip_filters(frame, centre_crop(frame, height, width) if others else crop, height, width)

    return _stack(video.take(lambda _: window, view), window)


def _stack(taken: Taken, window: list[int]) -> Frames:
    return np.stack([taken.frames[number] for number in window])


def _numbers(windows: list[list[int]]) -> set[int]:
    return {number for window in windows for number in window}
