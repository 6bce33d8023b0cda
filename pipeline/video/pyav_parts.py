"""Parts of a video read by PyAV: packets tell the frames, and decoding jumps to the key frames before them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.params import LimitParams
from pipeline.video import FilterChoice, PickedFrame
from pipeline.video.frame_filters import Scaler, describe_frame
from pipeline.video.limits import Budget
from pipeline.video.packets import RESTARTING, Entry, Inexact, PacketIndex, index_packets
from pipeline.video.pyav_decoder import SHOWN_AS_STORED, OpenedStream, PyavReader, open_stream, refusing
from pipeline.video.timing import Timeline

NEAR = 256  # packets that are read past more cheaply than sought
NEAREST_KEYS = 3  # that are sought, the nearest first
KEPT_INDEXES = 4  # of long videos whose parts are in several shards


class PyavPartReader(PyavReader):
    """A video file, of which parts can be read without decoding the rest."""

    def read_timeline(self) -> Timeline:
        """When each frame is shown, as the packets tell. Raises Inexact where they do not."""
        return self._index().timeline

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The frames of these ascending numbers. Raises DecodeError beyond the budget, and Inexact."""
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
    """The index of a file, None where its packets do not tell its frames.

    Its size and time are there to tell another file from it.
    """
    try:
        with refusing(lambda _: Inexact()), open_stream(path, limits, made_up=True) as opened:
            if opened.stream.codec_context.name not in RESTARTING:
                return None
            packets = (packet for packet in opened.demux() if packet.size)
            entries = [Entry(p.pts, p.dts, p.is_keyframe, not p.is_discard, p.duration or 0) for p in packets]
            return index_packets(entries, opened.clock)
    except Inexact:
        return None


class _NeedsNeighbours(Exception):
    """A frame is interlaced, so that the ones beside it are needed to complete it."""


class _Walk:
    """Wanted frames of an open video, from one key frame to the next that is needed."""

    def __init__(self, opened: OpenedStream, index: PacketIndex, budget: Budget) -> None:
        self._opened, self._index, self._budget = opened, index, budget
        self._packets = _Packets(opened, index)
        self._shown = SHOWN_AS_STORED
        self._lone = True  # no frame beside a wanted one is decoded on purpose

    def pick(self, numbers: Sequence[int], around: int, scaler: Scaler) -> Iterator[PickedFrame]:
        """The frames of these numbers, for each of which so many `around` it are decoded as well."""
        last = len(self._index.starts) - 1
        beside = {number + step for number in numbers for step in range(-around, around + 1)}
        self._lone = around == 0
        wanted = set(numbers)
        for number, frame in self._walk(sorted({0} | {number for number in beside if 0 <= number <= last})):
            if number == 0:  # an SEI message comes with one frame and is meant for all
                self._shown = self._opened.describe(frame)
            if number in wanted:
                picture = describe_frame(frame, *self._shown)
                yield PickedFrame(number, scaler(frame, picture), picture)

    def _walk(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        place, starts = 0, self._index.starts
        while place < len(wanted):
            start = starts[wanted[place]]
            floor = self._index.floor(start)
            expected = self._index.numbers[floor]
            for frame in self._opened.refine(self._decode(start)):
                if frame.pts is None:
                    raise Inexact
                if frame.pts < floor:
                    continue
                if self._index.numbers.get(frame.pts) != expected or frame.is_corrupt:
                    raise Inexact
                if expected == wanted[place]:
                    yield expected, frame
                    place += 1
                    if place == len(wanted):
                        return
                    if starts[wanted[place]] > self._packets.position:
                        break
                expected += 1
            else:
                raise Inexact

    def _decode(self, start: int) -> Iterator[VideoFrame]:
        """The frames from the key frame at `start` on."""
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
    """The packets of an open video from any place on."""

    def __init__(self, opened: OpenedStream, index: PacketIndex) -> None:
        self._opened, self._entries, self._places = opened, index.entries, index.places
        self._demuxed = opened.demux()
        self.position = 0  # of the packet that is read next

    def read_from(self, start: int) -> Iterator["Packet[VideoStream]"]:
        """The packets from a place on, and one without data at the end. Raises Inexact where seeking does not lead."""
        self._opened.stream.codec_context.flush_buffers()
        if not self.position <= start <= self.position + NEAR:
            self._seek(start)
        for packet in self._demuxed:
            if packet.size:
                if self._places.get(packet.pts) != self.position:
                    raise Inexact
                self.position += 1
            if self.position > start:
                yield packet

    def _seek(self, start: int) -> None:
        """Go to a packet, or a little before it: formats are sought by one time or the other, and to a key frame."""
        keys = islice((place for place in range(start, -1, -1) if self._entries[place].key), NEAREST_KEYS)
        targets = [time for place in keys for time in self._entries[place][:2] if time is not None]
        for target in targets:
            self._opened.container.seek(target, stream=self._opened.stream)
            self._demuxed = self._opened.demux()
            first = next((packet for packet in self._demuxed), None)
            place = self._places.get(first.pts) if first is not None and first.size else None
            if first is not None and place is not None and place <= start:
                self._demuxed = _put_back(first, self._demuxed)
                self.position = place
                return
        raise Inexact


def _put_back(first: "Packet[VideoStream]", rest: Iterator["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
    yield first
    yield from rest
