"""What a container says about how its video tracks are shown, which FFmpeg's library passes on to its program alone.

Matroska has PixelCrop, MP4 and MOV have the box `clap`; both say which part of the stored picture is meant to be seen.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from math import floor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.video.geometry import Filter
from pipeline.video.webm import CLUSTER, INFO, KIND, TRACK, TRACKS, VIDEO, VIDEO_KIND, OddFile, split_elements
from pipeline.video.whole_files import MATROSKA, MP4_BOXES, walk_boxes, walk_segment

CROPS = {"left": 0x54CC, "right": 0x54DD, "top": 0x54BB, "bottom": 0x54AA}
ENTRIES_AT, ENTRY_BYTES = 8, 78  # of a box stsd; of a video entry before the boxes in it
MOST_BYTES = 2**26  # of a header


class Margins(NamedTuple):
    """Columns and rows of the stored picture that are not shown."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def filter(self) -> Filter:
        """What takes them away, as ffmpeg's program does: a corner lies on a whole chroma sample."""
        return "crop", f"iw-{self.left}-{self.right}:ih-{self.top}-{self.bottom}:{self.left}:{self.top}"


class Header(NamedTuple):
    """What stands in front of the pictures of a file, as far as it is MP4 or Matroska; else nothing."""

    movie: bytes = b""  # content of MP4's box with the tracks
    parts: Sequence[tuple[int, bytes]] = ()  # ids of Matroska's elements, and contents of those that matter here


def read_header(path: Path) -> Header:
    """The header of a file."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == MATROSKA:
            return Header(parts=[*_read_segment(file)])
        return Header(movie=_read_movie(file)) if head[4:] in MP4_BOXES else Header()


def find_margins(header: Header, number: int) -> Margins:
    """The margins of the video track with this number, counted from 0 among the video tracks; none if none are said."""
    tracks = next((content for name, content in header.parts if name == TRACKS), b"")
    found = [*_read_tracks(tracks), *_read_apertures(header.movie)]
    return found[number] if number < len(found) else Margins()


def _read_segment(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for part in islice(walk_segment(file, file.seek(0, 2)), 1, None):
        if part.name == CLUSTER or part.size is None:
            return
        yield part.name, file.read(min(part.size, MOST_BYTES)) if part.name in (INFO, TRACKS) else b""


def _read_tracks(data: bytes) -> Iterator[Margins]:
    for name, track in read_parts(data):
        parts = dict(read_parts(track)) if name == TRACK else {}
        if int.from_bytes(parts.get(KIND, b"")) == VIDEO_KIND:
            video = dict(read_parts(parts.get(VIDEO, b"")))
            yield Margins(**{side: int.from_bytes(video.get(name, b"")) for side, name in CROPS.items()})


def read_parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The ids and contents of EBML elements, as far as they are whole."""
    with suppress(OddFile):
        yield from ((part.id, data[part.start : part.end]) for part in split_elements(data, 0, len(data)))


def _read_movie(file: BinaryIO) -> bytes:
    length = file.seek(0, 2)
    for box in walk_boxes(file, length):
        if box.name == b"moov":
            content = (box.size or length - box.start) - box.header
            file.seek(box.start + box.header)
            return file.read(min(max(content, 0), MOST_BYTES))
    return b""


def _read_apertures(data: bytes) -> Iterator[Margins]:
    for name, track in split_boxes(data):
        media = dict(split_boxes(dict(split_boxes(track)).get(b"mdia", b""))) if name == b"trak" else {}
        if media.get(b"hdlr", b"")[8:12] != b"vide":
            continue
        table = dict(split_boxes(media.get(b"minf", b""))).get(b"stbl", b"")
        entries = dict(split_boxes(table)).get(b"stsd", b"")[ENTRIES_AT:]
        entry = next((content for _, content in split_boxes(entries)), b"")
        aperture = dict(split_boxes(entry[ENTRY_BYTES:])).get(b"clap", b"")
        yield _read_aperture(aperture, *struct.unpack(">24x2H", entry[:28])) if len(aperture) >= 32 else Margins()


def split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and contents of boxes, as far as they are whole."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if size < 8:
            return
        yield name, data[at + 8 : at + size]
        at += size


def _read_aperture(data: bytes, width: int, height: int) -> Margins:
    """Width, height and their middle's way from the picture's, as fractions -> margins as FFmpeg rounds them."""
    numbers = struct.unpack(">8i", data[:32])
    if not all(below > 0 for below in numbers[1::2]):
        return Margins()
    shown_width, shown_height, right, down = (
        Fraction(above, below) for above, below in zip(numbers[::2], numbers[1::2], strict=True)
    )
    sides = []
    for length, shown, off in ((width, shown_width, right), (height, shown_height, down)):
        middle = Fraction(length - 1, 2) + off
        first, last = floor(middle - (shown - 1) / 2), floor(middle + (shown - 1) / 2)
        sides += [first, length - 1 - last]
    return Margins(*sides) if min(sides) >= 0 else Margins()
