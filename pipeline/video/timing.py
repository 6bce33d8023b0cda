"""Which frames of a video become its clips.

A window is the part of a video that one clip is taken from: the whole of it, `clip.seconds` of it, or so many frames
that every `clip.stride`-th one fills the clip. Frames are counted by decoding.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from random import Random
from typing import Literal

from pipeline.params import ClipParams, TranscodeParams
from pipeline.video.limits import DecodeError

ShortClips = Literal["drop", "repeat_last"]
SLIVER = 0.25  # of a frame: so little of one at the border of a part is the rounding of times


class ShortClip(Exception):
    """A video, or the part of one that is wanted, with fewer frames than one window needs."""


class OutsideVideo(Exception):
    """A part that begins where the video has ended."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each frame of a video is shown, in the order of showing."""

    stamps: list[int | None]  # None: the file does not say
    unit: Fraction  # seconds per step of a stamp

    def known(self) -> list[int]:
        """The stamps. Raises DecodeError where one is missing or goes back."""
        stamps = [stamp for stamp in self.stamps if stamp is not None]
        if len(stamps) < len(self.stamps) or stamps != sorted(stamps):
            raise DecodeError("its frames have no times in order; see clip.stride in place of clip.seconds")
        return stamps


def find_part(timeline: Timeline, start: float, end: float) -> tuple[int, Timeline]:
    """The frames shown between two moments, in seconds from the first frame: the number of the first, and their times.

    A frame that is shown already at `start` is counted from there, unless it ends at once. Raises OutsideVideo where
    the video has ended by then, and DecodeError where its frames have no times.
    """
    stamps = timeline.known()
    if not stamps:
        raise DecodeError("no frame can be decoded")
    frame = (stamps[-1] - stamps[0]) / max(len(stamps) - 1, 1)  # on average; the last frame lasts as long
    first, last = (stamps[0] + moment / float(timeline.unit) for moment in (start, end))
    if len(stamps) > 1 and first >= stamps[-1] + frame:
        length = float((stamps[-1] - stamps[0] + frame) * timeline.unit)
        raise OutsideVideo(f"begins at {start:g} s, but the video ends at {length:.4g} s")
    begin = max(bisect_right(stamps, first + frame * SLIVER) - 1, 0)
    stop = max(bisect_left(stamps, last - frame * SLIVER), begin + 1)
    shown = max(stamps[begin], ceil(first)) if stop - begin > 1 else stamps[begin]
    return begin, Timeline([shown, *stamps[begin + 1 : stop]], timeline.unit)


def choose_windows(timeline: Timeline, shape: ClipParams, options: TranscodeParams, key: str) -> list[list[int]]:
    """Numbers of the `shape.frames` frames of each window, at least one window.

    The video has room for so many windows without overlap; at most `options.windows` are taken. `centre` spreads them
    evenly over the video, `random` draws their places, alike for the same `key`. Raises ShortClip where not even one
    fits in, unless short clips are kept: then it begins with the video and the last frame stands still to its end.
    """
    if shape.seconds is not None:
        return _timed_windows(timeline, shape, Fraction(shape.seconds), options, key)
    count = len(timeline.stamps)
    if shape.stride is not None:
        return _stepped_windows(count, shape.frames, shape.stride, options, key)
    return [choose_frames(count, shape.frames, options.short_clips)]


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
    return [(2 * k + 1) * count // (2 * wanted) for k in range(wanted)]


def _stepped_windows(count: int, wanted: int, stride: int, options: TranscodeParams, key: str) -> list[list[int]]:
    """Every `stride`-th frame; a window reaches from its first frame to its last."""
    span = (wanted - 1) * stride + 1
    if count < span and options.short_clips == "drop":
        raise ShortClip(f"{count} frames, fewer than the {span} that clip.stride asks for; see transcode.short_clips")
    places = _places(min(options.windows, count // span), options, key)
    room = max(0, count - span * len(places))
    starts = [number * span + floor(place * (room + 1)) for number, place in enumerate(places)]
    return [[min(start + k * stride, count - 1) for k in range(wanted)] for start in starts]


def _timed_windows(
    timeline: Timeline, shape: ClipParams, seconds: Fraction, options: TranscodeParams, key: str
) -> list[list[int]]:
    """The frames shown in the middle of equal spans of each window, by the clock of the video.

    Where frames are shown for longer than such a span, one is taken several times: that is what was to be seen. The
    last frame lasts as long as the others do on average. Stamps are rounded to their unit, so a window may lack half
    a frame, and a moment belongs to the stamp nearest to it.
    """
    stamps = timeline.known()
    steps = len(stamps) - 1
    frame = (stamps[-1] - stamps[0]) * timeline.unit / steps if steps else Fraction(0)
    length = frame * len(stamps)
    fitting = floor((length + frame / 2) / seconds)
    if fitting < 1 and options.short_clips == "drop":
        raise ShortClip(f"{float(length):.4g} s, shorter than the {shape.seconds:g} of clip.seconds")
    places = _places(min(options.windows, fitting), options, key)
    room = max(Fraction(0), length - seconds * len(places))

    def shown(moment: Fraction) -> int:
        return bisect_right(stamps, stamps[0] + floor(moment / timeline.unit + Fraction(1, 2))) - 1

    starts = [number * seconds + place * room for number, place in enumerate(places)]
    middles = [Fraction(2 * k + 1, 2 * shape.frames) * seconds for k in range(shape.frames)]
    return [[shown(start + middle) for middle in middles] for start in starts]


def _places(windows: int, options: TranscodeParams, key: str) -> list[Fraction]:
    """Where in the room that they leave the windows lie, 0 to 1; one window at the start where none fits in."""
    if windows < 1:
        return [Fraction(0)]
    if options.place == "random":
        draw = Random(key)  # its random() is the same in every version of Python
        return sorted(Fraction(draw.random()) for _ in range(windows))
    return [Fraction(2 * number + 1, 2 * windows) for number in range(windows)]
