"""A video file -> the frames of its clips, by one of two readers that give the same bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.params import ClipParams, LimitParams, TranscodeParams
from pipeline.records import Frames
from pipeline.video import FramesRead, VideoReader
from pipeline.video.colour import convert_to_srgb
from pipeline.video.ffmpeg_decoder import FfmpegReader
from pipeline.video.geometry import Filter, Picture, busiest_crop, centre_crop, clip_filters, grey_filters
from pipeline.video.limits import DecodeError, check_file, check_whole
from pipeline.video.pyav_decoder import PyavReader
from pipeline.video.timing import ShortClip, Timeline, choose_windows

READERS: dict[str, Callable[[Path, LimitParams], VideoReader]] = {"in_process": PyavReader, "ffmpeg": FfmpegReader}


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
    check_whole(path)
    video = READERS[options.decoder](path, options.limits)

    def choose(timeline: Timeline) -> list[list[int]]:
        return choose_windows(timeline, shape, options, key)

    def centre(picture: Picture) -> list[Filter]:
        return clip_filters(picture, centre_crop(picture, shape.height, shape.width), shape.height, shape.width)

    def guess(timeline: Timeline) -> Iterable[int]:
        try:
            return _numbers(choose(timeline))
        except (DecodeError, ShortClip):  # the decoded frames decide
            return ()

    filters = centre if options.crop == "centre" else grey_filters
    read = video.read(guess, filters)
    count = len(read.timeline.stamps)
    if count == 0:
        raise DecodeError("no frame can be decoded")
    windows = choose(read.timeline)
    if not _numbers(windows) <= read.frames.keys():
        read = video.read(lambda _: _numbers(windows), filters)
    if options.crop == "motion":
        return DecodedVideo([_follow(video, read, window, shape) for window in windows], count)
    return DecodedVideo([_stack(read, window) for window in windows], count)


def _follow(video: VideoReader, greys: FramesRead, window: list[int], shape: ClipParams) -> Frames:
    """The clip of a window, cropped to where most of it moves; the centre, where the picture changes its geometry."""
    height, width = shape.height, shape.width
    picture, *others = {greys.pictures[number] for number in window}
    crop = busiest_crop([np.asarray(greys.frames[number], np.uint8) for number in window], picture, height, width)

    def filters(frame: Picture) -> list[Filter]:
        return clip_filters(frame, centre_crop(frame, height, width) if others else crop, height, width)

    return _stack(video.read(lambda _: window, filters), window)


def _stack(read: FramesRead, window: list[int]) -> Frames:
    return np.stack([_read_frame(read, number) for number in window])


def _read_frame(read: FramesRead, number: int) -> Frames:
    """A frame as sRGB."""
    frame, colour = read.frames[number], read.pictures[number].colour
    return convert_to_srgb(frame, colour) if colour.wide else np.asarray(frame, np.uint8)


def _numbers(windows: list[list[int]]) -> set[int]:
    return {number for window in windows for number in window}
