"""The crop of a frame, around the centre or the movement, and the filters from a frame to the pixels of a clip."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import atan2, degrees, hypot
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames
from pipeline.video.colour import NARROW, Colour

# 42.5 dB against a float reference where the default flags give 29.9 (docs/experiments/decoding.md).
SCALE_FLAGS = "bicubic+full_chroma_int+accurate_rnd"

Filter = tuple[str, str]  # name and arguments, as libavfilter has them

# By quarter turns counter-clockwise, as ffmpeg's program rotates; a mirrored frame may be rotated, too.
TURNS: dict[int, tuple[Filter, ...]] = {
    0: (),
    1: (("transpose", "cclock"),),
    2: (("hflip", ""), ("vflip", "")),
    3: (("transpose", "clock"),),
}
MIRRORED_TURNS: dict[int, tuple[Filter, ...]] = {
    0: (("vflip", ""),),
    1: (("transpose", "clock_flip"),),
    2: (("hflip", ""),),
    3: (("transpose", "cclock_flip"),),
}

DEINTERLACE: Filter = (
    "bwdif",
    "mode=send_frame:deint=interlaced",
)  # one frame per frame; progressive frames are unchanged

HD_WIDTH, HD_HEIGHT = 1280, 720  # stored pixels; a frame with either is HD

SIDE = 64  # pixels of the longer side of the grey thumbnail
NOISE = 10  # of 255: smaller differences are grain, flicker and compression artefacts


@dataclass(frozen=True, slots=True)
class Picture:
    """The properties of a decoded frame."""

    width: int  # pixels, as stored
    height: int
    pixel_format: str
    chroma_steps: tuple[int, int]  # pixels per chroma sample, across and down
    pixel_aspect: Fraction  # width of a pixel to its height, as stored
    rotation: int  # degrees counter-clockwise that make it upright
    mirrored: bool = False
    colour: Colour = NARROW


class Crop(NamedTuple):
    """A part of a frame, in stored pixels."""

    width: int
    height: int
    x: int
    y: int


def find_centre_crop(picture: Picture, height: int, width: int) -> Crop:
    """The largest centred part with the aspect ratio of height x width when shown.

    Its corner is aligned to chroma samples, so that chroma does not shift against luma.
    """
    if _count_quarter_turns(picture) % 2:
        height, width = width, height
    shape = Fraction(width, height) / picture.pixel_aspect  # width to height, in stored pixels
    crop_width = max(1, min(picture.width, round(picture.height * shape)))
    crop_height = max(1, min(picture.height, round(picture.width / shape)))
    across, down = picture.chroma_steps
    x = (picture.width - crop_width) // 2 // across * across
    y = (picture.height - crop_height) // 2 // down * down
    return Crop(crop_width, crop_height, x, y)


def find_matrix(picture: Picture, untagged_hd: str) -> str:
    """The YUV matrix: `untagged_hd` for HD frames that state none, else "auto", that of the frame."""
    hd = picture.width >= HD_WIDTH or picture.height >= HD_HEIGHT
    return untagged_hd if hd and picture.colour.untagged else "auto"


def list_clip_filters(picture: Picture, crop: Crop, height: int, width: int, matrix: str = "auto") -> list[Filter]:
    """Filters from a decoded frame to upright RGB of height x width: the crop comes first, to scale only its pixels.

    Wide colours give 16-bit RGB, which `colour` converts to sRGB. An alpha channel is ignored: pixels keep the stored
    colour.
    """
    turns = _count_quarter_turns(picture)
    if turns % 2:
        height, width = width, height
    return [
        ("crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}:exact=1"),
        ("scale", f"{width}:{height}:flags={SCALE_FLAGS}{'' if matrix == 'auto' else f':in_color_matrix={matrix}'}"),
        # The same bytes as rgb24, in half the time: planar formats have SIMD code.
        ("format", "gbrp16le" if picture.colour.wide else "gbrp"),
        *(MIRRORED_TURNS if picture.mirrored else TURNS)[turns],
    ]


def read_orientation(matrix: bytes) -> tuple[int, bool]:
    """A display matrix of FFmpeg -> the degrees counter-clockwise that make a frame upright, and if it is mirrored.

    The sign of the determinant tells whether it is mirrored; the angle alone cannot. A matrix with a zero row or column
    is ignored.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    across, down = hypot(a, c), hypot(b, d)
    if not across or not down:
        return 0, False
    return round(-degrees(atan2(b / down, a / across))), a * d - b * c < 0


def _count_quarter_turns(picture: Picture) -> int:
    return round(picture.rotation / 90) % 4


def list_grey_filters(picture: Picture) -> list[Filter]:
    """Filters from a decoded frame to a grey thumbnail of all of it, uint8 [h,w]."""
    longer = max(picture.width, picture.height)
    width, height = (max(1, round(side * min(SIDE, longer) / longer)) for side in (picture.width, picture.height))
    return [("scale", f"{width}:{height}:flags={SCALE_FLAGS}"), ("format", "gray")]


def find_busiest_crop(greys: Sequence[Frames], picture: Picture, height: int, width: int) -> Crop:
    """The crop, of the size of the centre crop, with the largest differences between consecutive grey thumbnails.

    Of equally good positions the middle one is taken, so that the movement is not at an edge; without any movement, it
    is the centre crop.
    """
    crop = find_centre_crop(picture, height, width)
    differences = [np.abs(after.astype(np.int64) - before) for before, after in pairwise(greys)]
    moved = sum((np.where(change > NOISE, change, 0) for change in differences), np.zeros_like(greys[0], np.int64))
    across, down = picture.chroma_steps
    x = _find_busiest(moved.sum(axis=0), picture.width, crop.width, across)
    y = _find_busiest(moved.sum(axis=1), picture.height, crop.height, down)
    return crop._replace(x=x, y=y)


def _find_busiest(moved: NDArray[np.int64], length: int, part: int, step: int) -> int:
    """The start of the `part` of a side of `length` pixels that holds most of `moved`, a multiple of `step`.

    Computed in integers, so that ties are the same on every machine.
    """
    before = np.concatenate([[0], np.cumsum(moved)]) * length
    starts = np.arange(0, length - part + 1, step)

    def up_to(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        cell, rest = np.divmod(pixels * len(moved), length)
        inside: NDArray[np.int64] = before[cell] + np.append(moved, 0)[cell] * rest
        return inside

    held = up_to(starts + part) - up_to(starts)
    best = np.flatnonzero(held == held.max())
    return int(starts[best[(len(best) - 1) // 2]])
