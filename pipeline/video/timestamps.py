"""Timestamps of decoded frames -> the timeline of a video, as ffmpeg's program computes it.

Its program mends what decoders say, its library leaves that to others; so it is done here, for both readers alike.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import floor, inf
from statistics import median_low

from pipeline.video.timing import Timeline

TRANSPORTS = ("mpegts", "mpeg")  # containers whose clock may jump where recordings are joined or cut
BARE = "mpegvideo"  # a stream in no container: FFmpeg's stamps are made up
COUNTED = "avi"  # has a place for a frame at each tick of its rate, and states how many
MOST_DELAYED = 16  # frames that a decoder holds back, which come without stamps at the end
LONGEST_GAP, BACK = 10, Fraction(1, 10)  # seconds that a clock may go on or back without having jumped


@dataclass(slots=True)
class Timestamps:
    """What is said of the frames, in the order of showing; None and 0 where nothing is."""

    shown: list[int | None] = field(default_factory=list)
    decoded: list[int | None] = field(default_factory=list)  # stamps of decoding, without B-frames the same
    lengths: list[int] = field(default_factory=list)  # FFmpeg makes them up where the container does not state them

    def add(self, shown: int | None, decoded: int | None, length: int) -> None:
        """Add one frame."""
        self.shown.append(shown)
        self.decoded.append(decoded)
        self.lengths.append(length)


@dataclass(frozen=True, slots=True)
class Clock:
    """What a container tells of the times of all frames."""

    unit: Fraction  # seconds per step of a stamp
    container: str  # FFmpeg's name of its kind
    end: Fraction | None  # in seconds, what `find_end` found

    def build_timeline(self, stamps: Timestamps) -> Timeline:
        """From what is known of single frames."""
        if self.container == BARE:
            stamps = Timestamps([None] * len(stamps.shown), [None] * len(stamps.shown), stamps.lengths)
        shown = [stamp for stamp in stamps.shown if stamp is not None]
        if len(shown) < len(stamps.shown) or any(after <= before for before, after in pairwise(shown)):
            shown = _guess(stamps)
        if self.container in TRANSPORTS:
            shown = _join(shown, self.unit)
        if self.container == COUNTED and self.end is not None and shown:
            shown = _keep_within(shown, floor(self.end / self.unit) + shown[0] - 1)
        timeline = Timeline([*shown], self.unit, None if self.end is None else self.end / self.unit)
        return timeline if timeline.last else replace(timeline, end=_find_end(shown, stamps.lengths))


def _guess(stamps: Timestamps) -> list[int]:
    """The stamps of showing while they are more in order than those of decoding, else these.

    Where both are missing, a frame comes after the one before has been shown for its length, or for as long as the
    one before that. Raises no error: a stream without any stamps gets them by its rate.
    """
    guessed: list[int] = []
    last_shown = last_decoded = -inf
    faults_shown = faults_decoded = 0
    estimate = 1
    for shown, decoded, length in zip(stamps.shown, stamps.decoded, stamps.lengths, strict=True):
        if decoded is not None:
            faults_decoded += decoded <= last_decoded
        if shown is not None:
            faults_shown += shown <= last_shown
        last_decoded = next((stamp for stamp in (decoded, shown) if stamp is not None), last_decoded)
        last_shown = next((stamp for stamp in (shown, decoded) if stamp is not None), last_shown)
        stamp = shown if decoded is None or (shown is not None and faults_shown <= faults_decoded) else decoded
        if stamp is None:
            stamp = guessed[-1] + estimate if guessed else 0
        gap = stamp - guessed[-1] if guessed else 0
        made_up = length == 1 and gap > 2  # by FFmpeg, for want of a rate
        estimate = length if length > 0 and not made_up else gap if gap > 0 else max(estimate, length)
        guessed.append(stamp)
    return guessed


def _join(stamps: list[int], unit: Fraction) -> list[int]:
    """The same frames on one clock: where it jumps, the next frame comes after the typical time."""
    gaps = [after - before for before, after in pairwise(stamps)]
    longest, back = LONGEST_GAP / unit, -BACK / unit
    sound = [gap for gap in gaps if back <= gap <= longest]
    if len(sound) == len(gaps) or not sound:
        return stamps
    typical = median_low(sound)
    joined = stamps[:1]
    for gap in gaps:
        joined.append(joined[-1] + (gap if back <= gap <= longest else typical))
    return joined


def _keep_within(stamps: list[int], latest: int) -> list[int]:
    """The last frames by the rate, where their guesses are later than the last frame that the container counts."""
    if sum(stamp > latest for stamp in stamps) > MOST_DELAYED:
        return stamps
    kept = []
    for stamp in reversed(stamps):
        kept.append(min(stamp, latest))
        latest = kept[-1] - 1 if kept[-1] == latest else latest
    return kept[::-1]


def _find_end(stamps: list[int], lengths: list[int]) -> Fraction | None:
    """By the length of the last frame, if those of most others are true: they reach to the next frame."""
    if not stamps or lengths[-1] <= 0:
        return None
    gaps = [after - before for before, after in pairwise(stamps)]
    true = sum(abs(gap - length) <= 1 for gap, length in zip(gaps, lengths[:-1], strict=True))
    return Fraction(stamps[-1] + lengths[-1]) if 2 * true >= len(gaps) else None
