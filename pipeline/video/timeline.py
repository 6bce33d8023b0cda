"""The timeline of a video, and the choice of frames for its clips.

The timeline is built from the timestamps of container and frames. FFmpeg's program repairs them, its library does not;
for both readers, they are repaired here as the program does.

A window is the part of a video that one clip is taken from: the whole video, `clip.seconds` of it, or the frames that
`clip.stride` spans. Frames are counted by decoding. If `clip.spread` is `time`, frames of the whole video are chosen by
their times, except at a constant frame rate: there they are counted, since timestamps are rounded.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import floor, inf
from random import Random
from statistics import median_low
from typing import Literal

from pipeline.params import ClipParams, TranscodeParams
from pipeline.video import DecodeError

MILLISECOND = Fraction(1, 1000)
STEADY_SHARE = 3  # deviations of over 1/3 of a frame from a constant rate are not due to rounding
MISCOUNT_FRAMES, MISCOUNT_SECONDS = 2, Fraction(1, 4)  # tolerated errors of headers, unless the frame rate is low
SLIVER = Fraction(1, 4)  # of a frame: shorter overlaps with a part are due to rounded times
SPARSE_RATE = 5  # maximum frames per second of a recording that has few frames because little happens

TRANSPORTS = ("mpegts", "mpeg")  # containers whose clock may jump where recordings were joined or cut
BARE = "mpegvideo"  # a stream without a container: FFmpeg's timestamps are invented
COUNTED = "avi"  # has a constant frame rate, and states the number of frames
MAX_DELAYED = 16  # frames that a decoder delays; they come without timestamps at the end
LONGEST_GAP, BACK = 10, Fraction(1, 10)  # seconds; larger steps forward or back are jumps of the clock

ShortClips = Literal["drop", "repeat_last"]
SPARSE_SECONDS = Fraction(1)


class OutsideVideo(Exception):
    """A part begins after the end of the video."""


@dataclass(frozen=True)
class Timeline:
    """The times of the frames of a video, in presentation order."""

    timestamps: list[int | None]  # None: not stated
    unit: Fraction  # seconds per step of a timestamp
    end: Fraction | None = None  # end of the last frame, in steps; None: not stated

    @property
    def rounding(self) -> Fraction:
        """The rounding error of times, in steps: containers round to their unit, recorders to milliseconds."""
        return 1 + MILLISECOND / self.unit

    @property
    def last(self) -> Fraction | None:
        """The duration of the last frame in steps; None if it is not stated, or within the rounding of headers."""
        if self.end is None or not self.timestamps or self.timestamps[-1] is None:
            return None
        length = self.end - self.timestamps[-1]
        return length if length > 2 * MILLISECOND / self.unit else None

    @cached_property
    def clock(self) -> "_Clock":
        """The clock of these times, cached. Raises DecodeError if timestamps are missing or unordered."""
        return _read_clock(self)

    def known(self) -> list[int]:
        """The timestamps, at least one. Raises DecodeError if any is missing or they are unordered."""
        timestamps = [timestamp for timestamp in self.timestamps if timestamp is not None]
        if not timestamps or len(timestamps) < len(self.timestamps) or timestamps != sorted(timestamps):
            raise DecodeError("its frames have no times in order; see clip.stride in place of clip.seconds")
        return timestamps


def find_part(timeline: Timeline, start: float, end: float) -> tuple[int, Timeline]:
    """The index of the first frame shown between two times, in seconds from frame 0, and the timeline of the part.

    A frame that is already shown at `start` is included, timed from there, unless it ends at once. Raises OutsideVideo
    if `start` is after the end of the video, and DecodeError if timestamps are missing or unordered.
    """
    clock = timeline.clock
    timestamps, over = clock.timestamps, clock.timestamps[0] + clock.length
    first = timestamps[0] + Fraction(start) / timeline.unit
    last = Fraction(over) if math.isinf(end) else timestamps[0] + Fraction(end) / timeline.unit
    if len(timestamps) > 1 and first >= over:
        length = float(clock.length * timeline.unit)
        raise OutsideVideo(f"begins at {start:g} s, but the video ends at {length:.4g} s")
    begin = max(bisect_right(timestamps, first + clock.frame * SLIVER) - 1, 0)
    stop = max(bisect_left(timestamps, last - clock.frame * SLIVER), begin + 1)
    shown = max(timestamps[begin], round(first)) if stop - begin > 1 else timestamps[begin]
    after = timestamps[stop] if stop < len(timestamps) else over
    return begin, Timeline([shown, *timestamps[begin + 1 : stop]], timeline.unit, min(last, Fraction(after)))


def is_steady(timeline: Timeline) -> bool:
    """Whether the frame rate is constant, up to rounding, and the last frame is not shown for longer."""
    try:
        return timeline.clock.steady
    except DecodeError:
        return False


@dataclass(frozen=True, slots=True)
class _Clock:
    """The times of a video, in steps of its timestamps."""

    timestamps: list[int]
    slack: Fraction  # a frame is shown from this long before its timestamp, which may have been rounded up
    frame: Fraction  # typical duration of a frame
    last: Fraction  # duration of the last frame
    steady: bool  # as of `is_steady`

    @property
    def length(self) -> Fraction:
        """The duration of the video."""
        return self.timestamps[-1] - self.timestamps[0] + self.last

    def find_shown(self, moment: Fraction) -> int:
        """The frame that is shown at this time after the first one."""
        return bisect_right(self.timestamps, self.timestamps[0] + floor(moment + self.slack)) - 1


def _read_clock(timeline: Timeline) -> _Clock:
    """The last frame has its stated duration, or else the typical one.

    Raises DecodeError if timestamps are missing or unordered.
    """
    timestamps, stated = timeline.known(), timeline.last
    slack = min(Fraction(1, 2), MILLISECOND / timeline.unit / 2)
    if _is_evenly_timed(timestamps, stated, timeline):
        frame = Fraction(timestamps[-1] - timestamps[0], max(1, len(timestamps) - 1))
        return _Clock(timestamps, slack, frame, frame, steady=True)
    gaps = [after - before for before, after in pairwise(timestamps)]
    frame = Fraction(median_low(gaps) if gaps else 0)
    return _Clock(timestamps, slack, frame, stated or frame, steady=False)


def _is_evenly_timed(timestamps: list[int], last: Fraction | None, timeline: Timeline) -> bool:
    steps, span = len(timestamps) - 1, timestamps[-1] - timestamps[0]
    if not span:  # a single frame, or all have the same time
        return steps > 0 or last is None
    farthest = floor(min(timeline.rounding * steps, Fraction(span, STEADY_SHARE)))
    off = [timestamp * steps - number * span for number, timestamp in enumerate(timestamps)]
    if max(off) - off[0] > farthest or off[0] - min(off) > farthest:
        return False
    if last is None:
        return True
    step = Fraction(span, steps)
    miscount = step / 10 if step * timeline.unit * SPARSE_RATE > 1 else MISCOUNT_FRAMES * step
    return abs(last - step) <= min(miscount, MISCOUNT_SECONDS / timeline.unit)


@dataclass(slots=True)
class Timestamps:
    """The stated times of frames, in presentation order; None and 0 if not stated."""

    pts: list[int | None] = field(default_factory=list)  # presentation timestamps
    dts: list[int | None] = field(default_factory=list)  # decoding timestamps, equal to `pts` without B-frames
    durations: list[int] = field(default_factory=list)  # invented by FFmpeg if the container does not state them

    def add(self, pts: int | None, dts: int | None, duration: int) -> None:
        """Add one frame."""
        self.pts.append(pts)
        self.dts.append(dts)
        self.durations.append(duration)


@dataclass(frozen=True, slots=True)
class ContainerClock:
    """What a container states about the times of all frames."""

    unit: Fraction  # seconds per step of a timestamp
    container: str  # FFmpeg's name of its format
    end: Fraction | None  # in seconds, of `find_end`

    def build_timeline(self, timestamps: Timestamps) -> Timeline:
        """The timeline of frames with these timestamps."""
        if self.container == BARE:
            timestamps = Timestamps([None] * len(timestamps.pts), [None] * len(timestamps.pts), timestamps.durations)
        shown = [timestamp for timestamp in timestamps.pts if timestamp is not None]
        if len(shown) < len(timestamps.pts) or any(after <= before for before, after in pairwise(shown)):
            shown = _guess(timestamps)
        if self.container in TRANSPORTS:
            shown = _join(shown, self.unit)
        if self.container == COUNTED and self.end is not None and shown:
            shown = _keep_within(shown, floor(self.end / self.unit) + shown[0] - 1)
        timeline = Timeline([*shown], self.unit, None if self.end is None else self.end / self.unit)
        return timeline if timeline.last else replace(timeline, end=_find_end(shown, timestamps.durations))


def _guess(timestamps: Timestamps) -> list[int]:
    """Repaired timestamps: the pts as long as they have no more faults than the dts, else the dts.

    If both are missing, the previous frame's duration is added to its timestamp, or else the last known gap. Never
    fails: a stream without any timestamps gets them by its frame rate.
    """
    guessed: list[int] = []
    last_pts = last_dts = -inf
    faults_pts = faults_dts = 0
    estimate = 1
    for pts, dts, duration in zip(timestamps.pts, timestamps.dts, timestamps.durations, strict=True):
        if dts is not None:
            faults_dts += dts <= last_dts
        if pts is not None:
            faults_pts += pts <= last_pts
        last_dts = next((timestamp for timestamp in (dts, pts) if timestamp is not None), last_dts)
        last_pts = next((timestamp for timestamp in (pts, dts) if timestamp is not None), last_pts)
        timestamp = pts if dts is None or (pts is not None and faults_pts <= faults_dts) else dts
        if timestamp is None:
            timestamp = guessed[-1] + estimate if guessed else 0
        gap = timestamp - guessed[-1] if guessed else 0
        made_up = duration == 1 and gap > 2  # by FFmpeg, if the frame rate is unknown
        estimate = duration if duration > 0 and not made_up else gap if gap > 0 else max(estimate, duration)
        guessed.append(timestamp)
    return guessed


def _join(timestamps: list[int], unit: Fraction) -> list[int]:
    """Timestamps without jumps of the clock: a jump is replaced by the typical gap."""
    gaps = [after - before for before, after in pairwise(timestamps)]
    longest, back = LONGEST_GAP / unit, -BACK / unit
    sound = [gap for gap in gaps if back <= gap <= longest]
    if len(sound) == len(gaps) or not sound:
        return timestamps
    typical = median_low(sound)
    joined = timestamps[:1]
    for gap in gaps:
        joined.append(joined[-1] + (gap if back <= gap <= longest else typical))
    return joined


def _keep_within(timestamps: list[int], latest: int) -> list[int]:
    """Clamp timestamps to `latest`, the last frame that the container counts, and keep them distinct."""
    if sum(timestamp > latest for timestamp in timestamps) > MAX_DELAYED:
        return timestamps
    kept = []
    for timestamp in reversed(timestamps):
        kept.append(min(timestamp, latest))
        latest = kept[-1] - 1 if kept[-1] == latest else latest
    return kept[::-1]


def _find_end(timestamps: list[int], lengths: list[int]) -> Fraction | None:
    """The end by the duration of the last frame, if at least half of the others agree with the gap that follows."""
    if not timestamps or lengths[-1] <= 0:
        return None
    gaps = [after - before for before, after in pairwise(timestamps)]
    true = sum(abs(gap - length) <= 1 for gap, length in zip(gaps, lengths[:-1], strict=True))
    return Fraction(timestamps[-1] + lengths[-1]) if 2 * true >= len(gaps) else None


class ShortClip(Exception):
    """A video, or the wanted part of one, is shorter than one window."""


def choose_windows(timeline: Timeline, shape: ClipParams, options: TranscodeParams, key: str) -> list[list[int]]:
    """Indices of the `shape.frames` frames of each window, at least one window.

    As many windows as fit without overlap, at most `options.windows`. `centre` spreads them evenly over the video,
    `random` draws their positions, seeded by `key`. Raises ShortClip if none fits, unless short clips are kept: then
    the window starts with the video and repeats the last frame.
    """
    if shape.seconds is not None:
        return _choose_timed_windows(timeline, shape, Fraction(shape.seconds), options, key)
    count = len(timeline.timestamps)
    if shape.stride is not None:
        return _choose_strided_windows(count, shape.frames, shape.stride, options, key)
    if shape.spread == "time":
        return [_spread_over_time(timeline, shape.frames, options.short_clips)]
    return [choose_frames(count, shape.frames, options.short_clips)]


def _spread_over_time(timeline: Timeline, wanted: int, short_clips: ShortClips) -> list[int]:
    """Indices of the frames shown in the middle of `wanted` equal spans of the duration of a video.

    If the frame rate is constant or times are unknown, they are those of `choose_frames`. A recording with fewer frames
    is too short only if it is a single frame, lasts less than a second or has more than five frames per second: else
    frames are repeated for as long as they are shown.
    """
    count = len(timeline.timestamps)
    try:
        clock = timeline.clock
    except DecodeError:
        return choose_frames(count, wanted, short_clips)
    enough = max(SPARSE_SECONDS, Fraction(count, SPARSE_RATE)) / timeline.unit
    if count < wanted and (count == 1 or clock.length < enough):
        return choose_frames(count, wanted, short_clips)
    if clock.steady:
        return _list_middles(count, wanted)
    return [clock.find_shown(clock.length * (2 * k + 1) / (2 * wanted)) for k in range(wanted)]


def choose_frames(count: int, wanted: int, short_clips: ShortClips) -> list[int]:
    """Indices of `wanted` frames spread evenly over a video of `count` frames.

    They are the middles of `wanted` equal spans: frame k is floor((k + 1/2) * count / wanted). No frame is taken twice,
    and a video of exactly `wanted` frames is taken as it is. A shorter one raises ShortClip, or with `repeat_last` is
    taken whole, with the last frame repeated.
    """
    if count < wanted and short_clips == "drop":
        raise ShortClip(f"{_tell(count)}, fewer than the {wanted} of clip.frames; see transcode.short_clips")
    if count < wanted:
        return [min(k, count - 1) for k in range(wanted)]
    return _list_middles(count, wanted)


def _tell(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"


def _list_middles(count: int, wanted: int) -> list[int]:
    return [(2 * k + 1) * count // (2 * wanted) for k in range(wanted)]


def _choose_strided_windows(
    count: int, wanted: int, stride: int, options: TranscodeParams, key: str
) -> list[list[int]]:
    """Every `stride`-th frame; a window spans its first to its last frame."""
    span = (wanted - 1) * stride + 1
    if count < span and options.short_clips == "drop":
        raise ShortClip(f"{_tell(count)}, fewer than the {span} that clip.stride asks for; see transcode.short_clips")
    shares = _place_windows(min(options.windows, count // span), options, key)
    room = max(0, count - span * len(shares))
    starts = [number * span + floor(share * (room + 1)) for number, share in enumerate(shares)]
    return [[min(start + k * stride, count - 1) for k in range(wanted)] for start in starts]


def _choose_timed_windows(
    timeline: Timeline, shape: ClipParams, seconds: Fraction, options: TranscodeParams, key: str
) -> list[list[int]]:
    """The frames shown in the middle of equal spans of each window, by their times.

    A frame that is shown for longer than a span is taken several times. A window may be short of half a frame, since
    timestamps are rounded.
    """
    clock = timeline.clock
    frame = Fraction(clock.timestamps[-1] - clock.timestamps[0], max(1, len(clock.timestamps) - 1)) * timeline.unit
    length = clock.length * timeline.unit
    fitting = floor((length + frame / 2) / seconds)
    if fitting < 1 and options.short_clips == "drop":
        raise ShortClip(f"{float(length):.4g} s, shorter than the {shape.seconds:g} of clip.seconds")
    shares = _place_windows(min(options.windows, fitting), options, key)
    room = max(Fraction(0), length - seconds * len(shares))
    starts = [number * seconds + share * room for number, share in enumerate(shares)]
    middles = [Fraction(2 * k + 1, 2 * shape.frames) * seconds for k in range(shape.frames)]
    return [[clock.find_shown((start + middle) / timeline.unit) for middle in middles] for start in starts]


def _place_windows(windows: int, options: TranscodeParams, key: str) -> list[Fraction]:
    """Positions of the windows in the remaining room, 0 to 1; one window at the start if none fits."""
    if windows < 1:
        return [Fraction(0)]
    if options.place == "random":
        draw = Random(key)  # random() is the same in every version of Python
        return sorted(Fraction(draw.random()) for _ in range(windows))
    return [Fraction(2 * number + 1, 2 * windows) for number in range(windows)]
