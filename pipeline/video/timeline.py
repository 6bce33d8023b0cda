"""When each frame of a video is shown, and which frames become its clips.

The timeline is made of the timestamps that container and frames have. FFmpeg's program mends what decoders say, its
library leaves that to others; so it is done here as the program does it, for both readers alike.

A window is the part of a video that one clip is taken from: the whole of it, `clip.seconds` of it, or so many frames
that every `clip.stride`-th one fills the clip. Frames are counted by decoding. Where `clip.spread` is `time`, those of
the whole video go by the clock as well, except that frames at a constant rate are counted: their timestamps are
rounded.
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
STEADY_SHARE = 3  # of a frame: a third off its place at a constant rate is no rounding any more
MISCOUNT_FRAMES, MISCOUNT_SECONDS = 2, Fraction(1, 4)  # by which headers are off, unless frames are slow
SLIVER = Fraction(1, 4)  # of a frame: so little of one at the border of a part is the rounding of times
SPARSE_RATE = 5  # frames a second, at most, of a recording that has few frames because little happens

TRANSPORTS = ("mpegts", "mpeg")  # containers whose clock may jump where recordings are joined or cut
BARE = "mpegvideo"  # a stream in no container: FFmpeg's timestamps are made up
COUNTED = "avi"  # has a place for a frame at each tick of its rate, and states how many
MOST_DELAYED = 16  # frames that a decoder holds back, which come without timestamps at the end
LONGEST_GAP, BACK = 10, Fraction(1, 10)  # seconds that a clock may go on or back without having jumped

ShortClips = Literal["drop", "repeat_last"]
SPARSE_SECONDS = Fraction(1)


class OutsideVideo(Exception):
    """A part that begins where the video has ended."""


@dataclass(frozen=True)
class Timeline:
    """When each frame of a video is shown, in the order of showing."""

    timestamps: list[int | None]  # None: the file does not say
    unit: Fraction  # seconds per step of a timestamp
    end: Fraction | None = None  # when the last frame is gone, in steps; None: the file does not say

    @property
    def rounding(self) -> Fraction:
        """Steps by which times may be off: containers count in their unit, recorders in milliseconds."""
        return 1 + MILLISECOND / self.unit

    @property
    def last(self) -> Fraction | None:
        """Steps for which the last frame is shown, where the file says so: longer than a header that is rounded."""
        if self.end is None or not self.timestamps or self.timestamps[-1] is None:
            return None
        length = self.end - self.timestamps[-1]
        return length if length > 2 * MILLISECOND / self.unit else None

    @cached_property
    def clock(self) -> "_Clock":
        """What the times tell together, found out once. Raises DecodeError where the frames have no times in order."""
        return _read_clock(self)

    def known(self) -> list[int]:
        """The timestamps, at least one. Raises DecodeError where one is missing or goes back."""
        timestamps = [timestamp for timestamp in self.timestamps if timestamp is not None]
        if not timestamps or len(timestamps) < len(self.timestamps) or timestamps != sorted(timestamps):
            raise DecodeError("its frames have no times in order; see clip.stride in place of clip.seconds")
        return timestamps


def find_part(timeline: Timeline, start: float, end: float) -> tuple[int, Timeline]:
    """The frames shown between two moments, in seconds from the first frame: the number of the first, and their times.

    A frame that is shown already at `start` is counted from there, unless it ends at once. Raises OutsideVideo where
    the video has ended by then, and DecodeError where its frames have no times.
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
    """Whether the frames come at a constant rate, as far as rounded times tell, and the last one does not stay."""
    try:
        return timeline.clock.steady
    except DecodeError:
        return False


@dataclass(frozen=True, slots=True)
class _Clock:
    """The times of a video, in steps of its timestamps."""

    timestamps: list[int]
    slack: Fraction  # a moment this much before a timestamp, which may have been rounded up, belongs to its frame
    frame: Fraction  # for which frames are typically shown
    last: Fraction  # for which the last one is
    steady: bool  # the frames come at a constant rate, as far as rounded timestamps show, and none stands still

    @property
    def length(self) -> Fraction:
        """From the first frame to the end."""
        return self.timestamps[-1] - self.timestamps[0] + self.last

    def find_shown(self, moment: Fraction) -> int:
        """The frame that is shown at this time after the first one appeared."""
        return bisect_right(self.timestamps, self.timestamps[0] + floor(moment + self.slack)) - 1


def _read_clock(timeline: Timeline) -> _Clock:
    """The last frame is shown for as long as the file says, else for as long as frames are typically.

    Raises DecodeError where the frames have no times in order.
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
    if not span:  # a single frame, or none of them has a time of its own
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
    """What is said of the frames, in the order of showing; None and 0 where nothing is."""

    pts: list[int | None] = field(default_factory=list)  # presentation timestamps
    dts: list[int | None] = field(default_factory=list)  # decoding timestamps, without B-frames the same
    durations: list[int] = field(default_factory=list)  # FFmpeg makes them up where the container does not state them

    def add(self, pts: int | None, dts: int | None, duration: int) -> None:
        """Add one frame."""
        self.pts.append(pts)
        self.dts.append(dts)
        self.durations.append(duration)


@dataclass(frozen=True, slots=True)
class ContainerClock:
    """What a container tells of the times of all frames."""

    unit: Fraction  # seconds per step of a timestamp
    container: str  # FFmpeg's name of its kind
    end: Fraction | None  # in seconds, what `find_end` found

    def build_timeline(self, timestamps: Timestamps) -> Timeline:
        """From what is known of single frames."""
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
    """The presentation timestamps while they are more in order than the decoding timestamps, else these.

    Where both are missing, a frame comes after the one before has been shown for its length, or for as long as the
    one before that. Raises no error: a stream without any timestamps gets them by its rate.
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
        made_up = duration == 1 and gap > 2  # by FFmpeg, for want of a rate
        estimate = duration if duration > 0 and not made_up else gap if gap > 0 else max(estimate, duration)
        guessed.append(timestamp)
    return guessed


def _join(timestamps: list[int], unit: Fraction) -> list[int]:
    """The same frames on one clock: where it jumps, the next frame comes after the typical time."""
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
    """The last frames by the rate, where their guesses are later than the last frame that the container counts."""
    if sum(timestamp > latest for timestamp in timestamps) > MOST_DELAYED:
        return timestamps
    kept = []
    for timestamp in reversed(timestamps):
        kept.append(min(timestamp, latest))
        latest = kept[-1] - 1 if kept[-1] == latest else latest
    return kept[::-1]


def _find_end(timestamps: list[int], lengths: list[int]) -> Fraction | None:
    """By the length of the last frame, if those of most others are true: they reach to the next frame."""
    if not timestamps or lengths[-1] <= 0:
        return None
    gaps = [after - before for before, after in pairwise(timestamps)]
    true = sum(abs(gap - length) <= 1 for gap, length in zip(gaps, lengths[:-1], strict=True))
    return Fraction(timestamps[-1] + lengths[-1]) if 2 * true >= len(gaps) else None


class ShortClip(Exception):
    """A video, or the part of one that is wanted, with fewer frames than one window needs."""


def choose_windows(timeline: Timeline, shape: ClipParams, options: TranscodeParams, key: str) -> list[list[int]]:
    """Numbers of the `shape.frames` frames of each window, at least one window.

    The video has room for so many windows without overlap; at most `options.windows` are taken. `centre` spreads them
    evenly over the video, `random` draws their places, alike for the same `key`. Raises ShortClip where not even one
    fits in, unless short clips are kept: then it begins with the video and the last frame stands still to its end.
    """
    if shape.seconds is not None:
        return _choose_timed_windows(timeline, shape, Fraction(shape.seconds), options, key)
    count = len(timeline.timestamps)
    if shape.stride is not None:
        return _choose_strided_windows(count, shape.frames, shape.stride, options, key)
    if shape.spread == "time":
        return [spread_over_time(timeline, shape.frames, options.short_clips)]
    return [choose_frames(count, shape.frames, options.short_clips)]


def spread_over_time(timeline: Timeline, wanted: int, short_clips: ShortClips) -> list[int]:
    """Numbers of the `wanted` frames shown in the middle of equal spans of the time that a video is shown.

    At a constant rate, and where the times are not known, they are those of `choose_frames`, to the frame. A recording
    with few frames is too short only if it is a single picture, lasts less than a second or has more than five frames
    a second: else each frame stays for as long as it is shown.
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
    """Numbers of `wanted` frames spread evenly over a video of `count` frames.

    The video is cut into `wanted` equal spans and each gives the frame in its middle: frame k is
    floor((k + 1/2) * count / wanted), so the first and the last span are covered alike, no frame is taken twice
    and a video of just `wanted` frames is taken as it is. A shorter one raises ShortClip, or with `repeat_last` is
    taken whole, its last frame standing still until the end.
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
    """Every `stride`-th frame; a window reaches from its first frame to its last."""
    span = (wanted - 1) * stride + 1
    if count < span and options.short_clips == "drop":
        raise ShortClip(f"{_tell(count)}, fewer than the {span} that clip.stride asks for; see transcode.short_clips")
    places = _place_windows(min(options.windows, count // span), options, key)
    room = max(0, count - span * len(places))
    starts = [number * span + floor(place * (room + 1)) for number, place in enumerate(places)]
    return [[min(start + k * stride, count - 1) for k in range(wanted)] for start in starts]


def _choose_timed_windows(
    timeline: Timeline, shape: ClipParams, seconds: Fraction, options: TranscodeParams, key: str
) -> list[list[int]]:
    """The frames shown in the middle of equal spans of each window, by the clock of the video.

    Where frames are shown for longer than such a span, one is taken several times: that is what was to be seen.
    Timestamps are rounded to their unit, so a window may lack half a frame.
    """
    clock = timeline.clock
    frame = Fraction(clock.timestamps[-1] - clock.timestamps[0], max(1, len(clock.timestamps) - 1)) * timeline.unit
    length = clock.length * timeline.unit
    fitting = floor((length + frame / 2) / seconds)
    if fitting < 1 and options.short_clips == "drop":
        raise ShortClip(f"{float(length):.4g} s, shorter than the {shape.seconds:g} of clip.seconds")
    places = _place_windows(min(options.windows, fitting), options, key)
    room = max(Fraction(0), length - seconds * len(places))
    starts = [number * seconds + place * room for number, place in enumerate(places)]
    middles = [Fraction(2 * k + 1, 2 * shape.frames) * seconds for k in range(shape.frames)]
    return [[clock.find_shown((start + middle) / timeline.unit) for middle in middles] for start in starts]


def _place_windows(windows: int, options: TranscodeParams, key: str) -> list[Fraction]:
    """The places of the windows in the frames left over, 0 to 1; one window at the start where none fits in."""
    if windows < 1:
        return [Fraction(0)]
    if options.place == "random":
        draw = Random(key)  # its random() is the same in every version of Python
        return sorted(Fraction(draw.random()) for _ in range(windows))
    return [Fraction(2 * number + 1, 2 * windows) for number in range(windows)]
