"""Videos or numbered images, or parts of them -> frames of clips, by one of two decoders that give the same bytes."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.params import ClipParams, LimitParams, TranscodeParams
from pipeline.records import Frames
from pipeline.sources.pictures import Pictures
from pipeline.video import (
    REFUSED_SHARE,
    Budget,
    DecodeError,
    FilterChoice,
    FramesRead,
    PickedFrame,
    VideoReader,
    check_file,
    collect_frames,
)
from pipeline.video.ffmpeg import find_executable
from pipeline.video.ffmpeg_decoder import FfmpegReader
from pipeline.video.picture_reader import FfmpegPictureReader, PictureReader
from pipeline.video.pixels import (
    Filter,
    Picture,
    convert_to_srgb,
    find_busiest_crop,
    find_centre_crop,
    find_matrix,
    list_clip_filters,
    list_grey_filters,
)
from pipeline.video.pyav_parts import Inexact, PyavPartReader
from pipeline.video.timeline import OutsideVideo, ShortClip, Timeline, choose_windows, find_part
from pipeline.video.truncation import refuse_truncated

READERS: dict[str, Callable[[Path, LimitParams], VideoReader]] = {"in_process": PyavPartReader, "ffmpeg": FfmpegReader}
PROGRAM_ENDINGS = {".webp"}  # of videos that only the program can decode
PICTURE_READERS = {"in_process": PictureReader, "ffmpeg": FfmpegPictureReader}

Fault = DecodeError | ShortClip | OutsideVideo  # why a video, or a part of one, gives no clips


def find_programs(options: TranscodeParams, videos: Iterable[str]) -> list[str]:
    """The paths of the programs needed to decode these videos."""
    if options.decoder == "ffmpeg" or any(video.lower().endswith(tuple(PROGRAM_ENDINGS)) for video in videos):
        return [find_executable()]
    return []


@dataclass(frozen=True, slots=True)
class DecodedVideo:
    """The clips of a video or part, uint8 [T,H,W,3] each and at least one, and its number of frames."""

    clips: list[Frames]
    count: int


def decode_video(source: Path | Pictures, shape: ClipParams, options: TranscodeParams, key: str) -> DecodedVideo:
    """The first video stream of a file as clips, one per window, upright and cropped.

    `key` seeds the random choice of windows, if `transcode.place` is `random`. Raises DecodeError or ShortClip, whose
    messages do not name the file.
    """
    video = _open_reader(source, options, timed=shape.seconds is not None)

    chosen: list[tuple[Timeline, list[list[int]]]] = []

    def choose(timeline: Timeline) -> list[list[int]]:
        if not chosen or chosen[-1][0] != timeline:
            chosen.append((timeline, choose_windows(timeline, shape, options, key)))
        return chosen[-1][1]

    def guess(timeline: Timeline) -> Iterable[int]:
        try:
            return _list_numbers(choose(timeline))
        except (DecodeError, ShortClip):  # decided again by the decoded frames
            return ()

    filters = partial(_choose_centre_filters, shape, options) if options.crop == "centre" else list_grey_filters
    read = video.read(guess, filters)
    count = len(read.timeline.timestamps)
    if count == 0:
        raise DecodeError("no frame can be decoded")
    windows = choose(read.timeline)
    if not _list_numbers(windows) <= read.frames.keys():
        read = video.read(lambda _: _list_numbers(windows), filters)
    if options.crop == "motion":
        fetch = partial(_read_whole, video)
        return DecodedVideo([_follow(fetch, read, window, shape, options) for window in windows], count)
    return DecodedVideo([_stack(read, window) for window in windows], count)


class Part(NamedTuple):
    """A part of a video from `start` to `end`, in seconds from the first frame; `key` as in `decode_video`."""

    start: float
    end: float
    key: str


def decode_parts(
    source: Path | Pictures, parts: Sequence[Part], shape: ClipParams, options: TranscodeParams
) -> Generator[DecodedVideo | Fault, None, None]:
    """The clips of each part in turn, or why it has none; decodes no more than necessary. Parts are sorted by start.

    If the packets do not determine the frames, the whole video is decoded. If the file is not a complete video, that
    fault is returned for every part.
    """
    try:
        video = _open_reader(source, options, timed=True)
    except DecodeError as error:
        yield from [error] * len(parts)
        return
    done = 0
    try:
        for decoded in _PartDecoder(video, video.read_timeline(), shape, options).decode(parts):
            yield decoded
            done += 1
        return
    except (Inexact, DecodeError):
        pass
    decode_timeline = cache(partial(_decode_timeline, video))
    for part in parts[done:]:  # one by one: damage in one part does not affect the others
        yield from _decode_alone(video, decode_timeline, part, shape, options)


def _open_reader(source: Path | Pictures, options: TranscodeParams, *, timed: bool) -> VideoReader:
    """Open a reader. Raises DecodeError if a file is not a complete video, or images need times and have none."""
    if isinstance(source, Pictures):
        if timed and options.picture_rate is None:
            raise DecodeError("pictures have no frame rate of their own; set transcode.picture_rate")
        return PICTURE_READERS[options.decoder](source, options.limits, options.picture_rate)
    check_file(source)
    refuse_truncated(source)
    decoder = "ffmpeg" if source.suffix.lower() in PROGRAM_ENDINGS else options.decoder
    return READERS[decoder](source, options.limits)


def _decode_timeline(video: VideoReader) -> Timeline | DecodeError:
    """The timeline found by decoding all frames, or why they cannot be decoded."""
    try:
        return video.read(lambda _: (), _choose_no_filters).timeline
    except DecodeError as error:
        return error


def _decode_alone(
    video: VideoReader,
    decode_timeline: Callable[[], Timeline | DecodeError],
    part: Part,
    shape: ClipParams,
    options: TranscodeParams,
) -> Iterator[DecodedVideo | Fault]:
    try:
        yield from _PartDecoder(video, video.read_timeline(), shape, options).decode([part])
    except DecodeError as error:
        yield error
    except Inexact:
        timeline = decode_timeline()
        if isinstance(timeline, DecodeError):
            yield timeline
            return
        try:
            _require_frames(video, timeline, part)
            yield from _WholeDecoder(video, timeline, shape, options).decode([part])
        except DecodeError as error:
            yield error


def _require_frames(video: VideoReader, decoded: Timeline, part: Part) -> None:
    """Raise DecodeError if many frames that the packets list within the part were not decoded.

    The check per video misses this: the loss in a short part is a small share of a long video. Parts are timed from the
    first decoded frame, which a recording that was cut between two key frames shows only some packets after its start.
    """
    try:
        packets = video.read_timeline()
        skipped = float((decoded.known()[0] - packets.known()[0]) * packets.unit)
        stated = find_part(packets, part.start + skipped, part.end + skipped)[1]
        found = find_part(decoded, part.start, part.end)[1]
    except (Inexact, OutsideVideo):  # the packets list no frames to compare with
        return
    detail, seen = len(stated.timestamps), len(found.timestamps)
    if detail - seen > max(1, REFUSED_SHARE * detail):
        raise DecodeError(f"damaged: {seen} of {detail} frames of the part can be decoded")


class _PartDecoder:
    """Decodes parts of a video whose timeline is known."""

    def __init__(self, video: VideoReader, timeline: Timeline, shape: ClipParams, options: TranscodeParams) -> None:
        self._video, self._timeline = video, timeline
        self._shape, self._options = shape, options
        self._budget = Budget(options.limits)

    def decode(self, parts: Sequence[Part]) -> Iterator[DecodedVideo | Fault]:
        """The clips of each part in turn, or why it has none; all in one pass. Raises the errors of `pick`."""
        plans = [self._plan(part) for part in parts]
        motion = self._options.crop == "motion"
        filters = list_grey_filters if motion else partial(_choose_centre_filters, self._shape, self._options)
        wanted = sorted({n for plan in plans if isinstance(plan, _Plan) for n in plan.numbers})
        picked = self._pick(wanted, filters) if wanted else iter(())
        read, reached = FramesRead({}, {}, self._timeline), -1
        for plan, later in zip(plans, _find_later_needs(plans), strict=True):
            if not isinstance(plan, _Plan):
                yield plan
                continue
            while reached < plan.numbers[-1]:
                reached, pixels, picture = next(picked)
                read.frames[reached], read.pictures[reached] = pixels, picture
            self._budget.renew()
            yield self._finish(plan, read)
            for number in [n for n in read.frames if n < later]:
                del read.frames[number], read.pictures[number]

    def _plan(self, part: Part) -> "_Plan | Fault":
        """Which frames the part needs."""
        try:
            first, timeline = find_part(self._timeline, part.start, part.end)
            windows = choose_windows(timeline, self._shape, self._options, part.key)
        except (DecodeError, ShortClip, OutsideVideo) as fault:
            return fault
        windows = [[first + number for number in window] for window in windows]
        return _Plan(windows, sorted(_list_numbers(windows)), len(timeline.timestamps))

    def _finish(self, plan: "_Plan", read: FramesRead) -> DecodedVideo:
        if self._options.crop == "motion":
            return DecodedVideo(
                [_follow(self._fetch, read, w, self._shape, self._options) for w in plan.windows], plan.frames
            )
        return DecodedVideo([_stack(read, window) for window in plan.windows], plan.frames)

    def _pick(self, numbers: Sequence[int], filters: FilterChoice) -> Iterator[PickedFrame]:
        return self._video.pick(numbers, filters, self._budget)

    def _fetch(self, numbers: Iterable[int], filters: FilterChoice) -> FramesRead:
        return collect_frames(self._pick(sorted(set(numbers)), filters), self._timeline)


class _WholeDecoder(_PartDecoder):
    """Decodes the whole video for each part."""

    def _pick(self, numbers: Sequence[int], filters: FilterChoice) -> Iterator[PickedFrame]:
        read = self._video.read(lambda _: numbers, filters)
        if not set(numbers) <= read.frames.keys():
            raise DecodeError("decoding it twice gives different frames")
        return read.pick(numbers)


class _Plan(NamedTuple):
    """The frames of the windows of a part."""

    windows: list[list[int]]
    numbers: list[int]  # of all windows, ascending
    frames: int  # of the whole part


def _find_later_needs(plans: "Sequence[_Plan | Fault]") -> list[float]:
    """For each part, the first frame that later parts need; infinity if they need none."""
    firsts = [plan.numbers[0] if isinstance(plan, _Plan) else inf for plan in reversed(plans)]
    return [*accumulate(firsts, min, initial=inf)][-2::-1]


def _choose_no_filters(_: Picture) -> list[Filter]:
    return []


def _read_whole(video: VideoReader, numbers: Iterable[int], filters: FilterChoice) -> FramesRead:
    return video.read(lambda _: numbers, filters)


Fetch = Callable[[list[int], FilterChoice], FramesRead]


def _choose_centre_filters(shape: ClipParams, options: TranscodeParams, picture: Picture) -> list[Filter]:
    height, width = shape.height, shape.width
    matrix = find_matrix(picture, options.untagged_hd)
    return list_clip_filters(picture, find_centre_crop(picture, height, width), height, width, matrix)


def _follow(fetch: Fetch, greys: FramesRead, window: list[int], shape: ClipParams, options: TranscodeParams) -> Frames:
    """The clip of a window, cropped to where most movement is, or to the centre if the frame geometry changes."""
    height, width = shape.height, shape.width
    picture, *others = {greys.pictures[number] for number in window}
    crop = find_busiest_crop([np.asarray(greys.frames[number], np.uint8) for number in window], picture, height, width)

    def filters(frame: Picture) -> list[Filter]:
        if others:
            return _choose_centre_filters(shape, options, frame)
        return list_clip_filters(frame, crop, height, width, find_matrix(frame, options.untagged_hd))

    return _stack(fetch(window, filters), window)


def _stack(read: FramesRead, window: list[int]) -> Frames:
    return np.array([_read_frame(read, number) for number in window])


def _read_frame(read: FramesRead, number: int) -> Frames:
    """A frame in sRGB."""
    frame, colour = read.frames[number], read.pictures[number].colour
    return convert_to_srgb(frame, colour) if colour.wide else np.asarray(frame, np.uint8)


def _list_numbers(windows: list[list[int]]) -> set[int]:
    return {number for window in windows for number in window}
