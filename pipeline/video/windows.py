"""Which frames of a video become its clips.

A window is the part of a video that one clip is taken from: the whole of it, `clip.seconds` of it, or so many frames
that every `clip.stride`-th one fills the clip. Frames are counted by decoding. Where `clip.spread` is `time`, those of
the whole video go by the clock as well, except that frames at a constant rate are counted: their stamps are rounded.
"""

from fractions import Fraction
from math import floor
from random import Random
from typing import Literal

from pipeline.params import ClipParams, TranscodeParams
from pipeline.video.limits import DecodeError
from pipeline.video.timeline import SPARSE_RATE, Timeline

ShortClips = Literal["drop", "repeat_last"]

SPARSE_SECONDS = Fraction(1)


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
    count = len(timeline.stamps)
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
    count = len(timeline.stamps)
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
        raise ShortClip(f"{count} frames, fewer than the {wanted} of clip.frames; see transcode.short_clips")
    if count < wanted:
        return [min(k, count - 1) for k in range(wanted)]
    return _list_middles(count, wanted)


def _list_middles(count: int, wanted: int) -> list[int]:
    return [(2 * k + 1) * count // (2 * wanted) for k in range(wanted)]


def _choose_strided_windows(
    count: int, wanted: int, stride: int, options: TranscodeParams, key: str
) -> list[list[int]]:
    """Every `stride`-th frame; a window reaches from its first frame to its last."""
    span = (wanted - 1) * stride + 1
    if count < span and options.short_clips == "drop":
        raise ShortClip(f"{count} frames, fewer than the {span} that clip.stride asks for; see transcode.short_clips")
    places = _place_windows(min(options.windows, count // span), options, key)
    room = max(0, count - span * len(places))
    starts = [number * span + floor(place * (room + 1)) for number, place in enumerate(places)]
    return [[min(start + k * stride, count - 1) for k in range(wanted)] for start in starts]


def _choose_timed_windows(
    timeline: Timeline, shape: ClipParams, seconds: Fraction, options: TranscodeParams, key: str
) -> list[list[int]]:
    """The frames shown in the middle of equal spans of each window, by the clock of the video.

    Where frames are shown for longer than such a span, one is taken several times: that is what was to be seen. Stamps
    are rounded to their unit, so a window may lack half a frame.
    """
    clock = timeline.clock
    frame = Fraction(clock.stamps[-1] - clock.stamps[0], max(1, len(clock.stamps) - 1)) * timeline.unit
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
