"""The packets of a video without their pictures: when each frame is shown, and where decoding for it has to begin."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.video.stamps import Clock, Stamps
from pipeline.video.timing import Timeline

# Decoders that begin anew at what is marked as a key frame, by FFmpeg's names. Of the others a mark may say less.
RESTARTING = {
    *("av1", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "h263", "h264", "hevc", "huffyuv", "libdav1d", "mjpeg"),
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "prores", "rawvideo", "theora", "vc1", "vp8"),
    *("vp9", "wmv1", "wmv2", "wmv3"),
}


class Inexact(Exception):
    """The packets of a video do not tell its frames: all of it has to be decoded to know them."""


class Entry(NamedTuple):
    """One packet, in the order of decoding."""

    pts: int | None  # when its frame is shown
    dts: int | None
    key: bool  # decoding can begin with it
    shown: bool  # false: cut away by an edit list
    length: int  # steps; 0 where nothing is said


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """The frames of a video in the order of showing, as its packets tell them."""

    timeline: Timeline
    numbers: dict[int, int]  # stamp -> number of the frame, ascending
    starts: list[int]  # of each frame, the packet that decoding for it begins with
    entries: list[Entry]
    places: dict[int | None, int]  # stamp -> packet

    def floor(self, position: int) -> int:
        """The first stamp that a decoder which begins with the packet at `position` can show as it is meant."""
        pts = self.entries[position].pts
        assert pts is not None  # `index_packets` sees to it
        return pts if position else next(iter(self.numbers))


def index_packets(entries: Sequence[Entry], clock: Clock) -> PacketIndex:
    """Raises Inexact where two packets have one stamp, or one has none."""
    stamps = [entry.pts for entry in entries]
    known = [stamp for stamp in stamps if stamp is not None]
    if not known or len(set(known)) < len(stamps):
        raise Inexact
    shown = sorted((pts, place) for place, (pts, entry) in enumerate(zip(known, entries, strict=True)) if entry.shown)
    keys = [place for place, entry in enumerate(entries) if entry.key and entry.shown]
    starts = [_find_start(keys, known, place) for _, place in shown]
    numbers = {pts: number for number, (pts, _) in enumerate(shown)}
    timeline = clock.build_timeline(Stamps([*numbers], [None] * len(shown), [entries[at].length for _, at in shown]))
    places = {pts: place for place, pts in enumerate(stamps)}
    return PacketIndex(timeline, numbers, starts, list(entries), places)


def _find_start(keys: Sequence[int], stamps: Sequence[int], place: int) -> int:
    """The last key frame that is decoded, and shown, no later than the frame at `place`; the first packet without one.

    Frames that follow a key frame but are shown before it may refer to what is before it.
    """
    rank = bisect_right(keys, place) - 1
    while rank >= 0 and stamps[keys[rank]] > stamps[place]:
        rank -= 1
    return keys[rank] if rank >= 0 else 0
