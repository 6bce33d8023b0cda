"""Parts of a video by PyAV: a packet index lists the frames, and decoding starts at the preceding key frame."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.params import LimitParams
from pipeline.video import Budget, FilterChoice, PickedFrame
from pipeline.video.pixels import Scaler, describe_frame
from pipeline.video.pyav_decoder import SHOWN_AS_STORED, OpenedStream, PyavReader, open_stream, refusing
from pipeline.video.timeline import ContainerClock, Timeline, Timestamps

# Decoders, by FFmpeg's names, that can start at any packet flagged as a key frame; others may not be able to.
RESTARTING = {
    *("av1", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "h263", "h264", "hevc", "huffyuv", "libdav1d", "mjpeg"),
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "prores", "rawvideo", "theora", "vc1", "vp8"),
    *("vp9", "wmv1", "wmv2", "wmv3"),
}

NEAR = 256  # packets: reading past fewer is cheaper than seeking
NEAREST_KEYS = 3  # preceding key frames to try when seeking, the nearest first
KEPT_INDEXES = 4  # cached, of long videos whose parts are in several shards


class Inexact(Exception):
    """The packets of a video do not determine its frames: the whole video must be decoded."""


class Entry(NamedTuple):
    """One packet, in decoding order."""

    pts: int | None  # presentation timestamp
    dts: int | None
    key: bool  # decoding can start with it
    shown: bool  # false: removed by an edit list
    length: int  # duration in steps; 0 if unknown


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """The frames of a video in presentation order, by its packets."""

    timeline: Timeline
    numbers: dict[int, int]  # timestamp -> index of the frame, ascending
    starts: list[int]  # for each frame, the packet to start decoding with
    entries: list[Entry]
    packets: dict[int | None, int]  # timestamp -> packet

    def floor(self, position: int) -> int:
        """The first timestamp that is decoded correctly if decoding starts with the packet at `position`."""
        pts = self.entries[position].pts
        assert pts is not None  # ensured by `_index_packets`
        return pts if position else next(iter(self.numbers))


def _index_packets(entries: Sequence[Entry], clock: ContainerClock) -> PacketIndex:
    """Build the index. Raises Inexact if timestamps are missing or not unique."""
    timestamps = [entry.pts for entry in entries]
    known = [timestamp for timestamp in timestamps if timestamp is not None]
    if not known or len(set(known)) < len(timestamps):
        raise Inexact
    shown = sorted((pts, index) for index, (pts, entry) in enumerate(zip(known, entries, strict=True)) if entry.shown)
    keys = [index for index, entry in enumerate(entries) if entry.key and entry.shown]
    starts = [_find_start(keys, known, index) for _, index in shown]
    numbers = {pts: number for number, (pts, _) in enumerate(shown)}
    timeline = clock.build_timeline(
        Timestamps([*numbers], [None] * len(shown), [entries[at].length for _, at in shown])
    )
    packets = {pts: index for index, pts in enumerate(timestamps)}
    return PacketIndex(timeline, numbers, starts, list(entries), packets)


def _find_start(keys: Sequence[int], timestamps: Sequence[int], index: int) -> int:
    """The last key frame before the frame at `index`, in decoding and presentation order; else the first packet.

    Frames that follow a key frame but are presented before it may depend on earlier ones.
    """
    rank = bisect_right(keys, index) - 1
    while rank >= 0 and timestamps[keys[rank]] > timestamps[index]:
        rank -= 1
    return keys[rank] if rank >= 0 else 0


class PyavPartReader(PyavReader):
    """A video file whose parts can be read without decoding the rest."""

    def read_timeline(self) -> Timeline:
        """The timeline by the packets. Raises Inexact if they do not determine it."""
        return self._index().timeline

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The frames at these ascending indices. Raises DecodeError if the budget is exceeded, and Inexact."""
        index, left = self._index(), list(numbers)
        with refusing(lambda _: Inexact()), open_stream(self._path, self._limits, made_up=True) as opened:
            walk = _Walk(opened, index, budget)
            for around in (0, 1):
                try:
                    for picked in walk.pick(left, around, Scaler(filters)):
                        yield picked
                        del left[0]
                    return
                except _NeedsNeighbours:
                    continue

    def _index(self) -> PacketIndex:
        status = self._path.stat()
        index = _read_index(self._path, self._limits, status.st_size, status.st_mtime_ns)
        if index is None:
            raise Inexact
        return index


@lru_cache(KEPT_INDEXES)
def _read_index(path: Path, limits: LimitParams, *_: int) -> PacketIndex | None:
    """The index of a file; None if its packets do not determine its frames.

    Size and modification time are part of the cache key, so that a changed file is read again.
    """
    try:
        with refusing(lambda _: Inexact()), open_stream(path, limits, made_up=True) as opened:
            if opened.stream.codec_context.name not in RESTARTING:
                return None
            packets = (packet for packet in opened.demux() if packet.size)
            entries = [Entry(p.pts, p.dts, p.is_keyframe, not p.is_discard, p.duration or 0) for p in packets]
            return _index_packets(entries, opened.clock)
    except Inexact:
        return None


class _NeedsNeighbours(Exception):
    """A frame is interlaced, so that its neighbours are needed to complete it."""


class _Walk:
    """Decodes the wanted frames of an open video, seeking to the key frames that they need."""

    def __init__(self, opened: OpenedStream, index: PacketIndex, budget: Budget) -> None:
        self._opened, self._index, self._budget = opened, index, budget
        self._packets = _Packets(opened, index)
        self._shown = SHOWN_AS_STORED
        self._lone = True  # neighbours of wanted frames are not decoded

    def pick(self, numbers: Sequence[int], around: int, scaler: Scaler) -> Iterator[PickedFrame]:
        """The frames at these indices; `around` is the number of neighbours on each side to decode as well."""
        last = len(self._index.starts) - 1
        beside = {number + step for number in numbers for step in range(-around, around + 1)}
        self._lone = around == 0
        wanted = set(numbers)
        for number, frame in self._walk(sorted({0} | {number for number in beside if 0 <= number <= last})):
            if number == 0:  # an SEI message comes with one frame and applies to all
                self._shown = self._opened.describe(frame)
            if number in wanted:
                picture = describe_frame(frame, *self._shown)
                yield PickedFrame(number, scaler(frame, picture), picture)

    def _walk(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        index, starts = 0, self._index.starts
        while index < len(wanted):
            start = starts[wanted[index]]
            floor = self._index.floor(start)
            expected = self._index.numbers[floor]
            for frame in self._opened.refine(self._decode(start)):
                if frame.pts is None:
                    raise Inexact
                if frame.pts < floor:
                    continue
                if self._index.numbers.get(frame.pts) != expected or frame.is_corrupt:
                    raise Inexact
                if expected == wanted[index]:
                    yield expected, frame
                    index += 1
                    if index == len(wanted):
                        return
                    if starts[wanted[index]] > self._packets.position:
                        break
                expected += 1
            else:
                raise Inexact

    def _decode(self, start: int) -> Iterator[VideoFrame]:
        """The frames from the key frame at `start`."""
        for packet in self._packets.read_from(start):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                raise Inexact from None
            for frame in frames:
                if frame.interlaced_frame and self._lone:
                    raise _NeedsNeighbours
                self._budget.add(frame.width, frame.height)
                yield frame


class _Packets:
    """The packets of an open video, from any start."""

    def __init__(self, opened: OpenedStream, index: PacketIndex) -> None:
        self._opened, self._entries, self._by_timestamp = opened, index.entries, index.packets
        self._demuxed = opened.demux()
        self.position = 0  # index of the next packet

    def read_from(self, start: int) -> Iterator["Packet[VideoStream]"]:
        """The packets from `start`, and an empty one at the end. Raises Inexact if seeking fails."""
        self._opened.stream.codec_context.flush_buffers()
        if not self.position <= start <= self.position + NEAR:
            self._seek(start)
        for packet in self._demuxed:
            if packet.size:
                if self._by_timestamp.get(packet.pts) != self.position:
                    raise Inexact
                self.position += 1
            if self.position > start:
                yield packet

    def _seek(self, start: int) -> None:
        """Seek to a packet, or a little before it: formats seek by pts or dts, and to key frames only."""
        keys = islice((index for index in range(start, -1, -1) if self._entries[index].key), NEAREST_KEYS)
        targets = [time for index in keys for time in self._entries[index][:2] if time is not None]
        for target in targets:
            self._opened.container.seek(target, stream=self._opened.stream)
            self._demuxed = self._opened.demux()
            first = next((packet for packet in self._demuxed), None)
            index = self._by_timestamp.get(first.pts) if first is not None and first.size else None
            if first is not None and index is not None and index <= start:
                self._demuxed = _put_back(first, self._demuxed)
                self.position = index
                return
        raise Inexact


def _put_back(first: "Packet[VideoStream]", rest: Iterator["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
    yield first
    yield from rest
