"""Which part of a picture becomes the clip, and by which filters."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

# 42.5 dB against a float reference where the default flags give 29.9 (docs/decisions.md).
SCALE_FLAGS = "bicubic+full_chroma_int+accurate_rnd"

TURNS = {0: (), 1: (("transpose", "cclock"),), 2: (("hflip", ""), ("vflip", "")), 3: (("transpose", "clock"),)}

Filter = tuple[str, str]  # name and arguments, as libavfilter has them


@dataclass(frozen=True, slots=True)
class Picture:
    """What a decoded frame says about itself."""

    width: int  # pixels, as stored
    height: int
    pixel_format: str
    chroma_steps: tuple[int, int]  # pixels per chroma sample, across and down
    pixel_aspect: Fraction  # width of a pixel to its height, as stored
    rotation: int  # degrees counter-clockwise that bring it upright


class Crop(NamedTuple):
    """A part of a picture, in stored pixels."""

    width: int
    height: int
    x: int
    y: int


def centre_crop(picture: Picture, height: int, width: int) -> Crop:
    """The largest centred part that is shown with the shape height x width.

    Its corner lies on a whole chroma sample, so that the colours do not shift against the light.
    """
    if _quarter_turns(picture) % 2:
        height, width = width, height
    shape = Fraction(width, height) / picture.pixel_aspect  # width to height, in stored pixels
    crop_width = max(1, min(picture.width, round(picture.height * shape)))
    crop_height = max(1, min(picture.height, round(picture.width / shape)))
    across, down = picture.chroma_steps
    x = (picture.width - crop_width) // 2 // across * across
    y = (picture.height - crop_height) // 2 // down * down
    return Crop(crop_width, crop_height, x, y)


def clip_filters(picture: Picture, crop: Crop, height: int, width: int) -> list[Filter]:
    """Filters from a decoded frame to upright RGB of height x width: crop first, so that nothing is scaled in vain.

    An alpha channel is left out: its pixels keep the colour that is stored under it.
    """
    turns = _quarter_turns(picture)
    if turns % 2:
        height, width = width, height
    return [
        ("crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}:exact=1"),
        ("scale", f"{width}:{height}:flags={SCALE_FLAGS}"),
        ("format", "gbrp"),  # to the byte what rgb24 gives, in half the time: planes have vector code
        *TURNS[turns],
    ]


def _quarter_turns(picture: Picture) -> int:
    return round(picture.rotation / 90) % 4
