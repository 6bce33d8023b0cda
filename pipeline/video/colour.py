"""HDR and wide-gamut frames -> sRGB, in closed form.

Computed on the few pixels of a clip instead of by a filter: builds of FFmpeg differ in their colour filters, and the
one that all have, scale, is off by 7 to 13 levels. A diffuse white of 203 nits (ITU-R BT.2408) becomes white; brighter
values are clipped.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

# Codes of ITU-T H.273.
BT709, UNSPECIFIED, BT2020, DCI_P3, DISPLAY_P3 = 1, 2, 9, 11, 12
SRGB, PQ, HLG = 13, 16, 18

WHITE = 203.0  # nits
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # nits, system gamma: the reference display of HLG

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]


class Colour(NamedTuple):
    """The colour encoding of a frame."""

    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    untagged: bool = False  # the YUV matrix is not stated

    @property
    def wide(self) -> bool:
        """Whether it exceeds the range or gamut of BT.709."""
        return self.transfer in (PQ, HLG) or self.primaries in (DCI_P3, DISPLAY_P3)


NARROW = Colour()
WITHOUT_COLOUR = ("vp8", "vp9")  # codecs whose frames may not state it, only their container
FULL_RANGE = 2


class StatedColour(NamedTuple):
    """The YUV matrix and range that a container states, in FFmpeg's codes."""

    matrix: int = UNSPECIFIED
    range: int = 0  # 0: not stated

    @property
    def matters(self) -> bool:
        """Whether it differs from what decoders assume by default."""
        return self.matrix != UNSPECIFIED or self.range == FULL_RANGE


def read_colour(transfer: int, primaries: int, matrix: int) -> Colour:
    """The stated colour encoding if it is wide; else NARROW, which needs no conversion, with `untagged` set."""
    known = transfer if transfer in (SRGB, PQ, HLG, UNSPECIFIED) else BT709
    colour = Colour(known, primaries if primaries in PRIMARIES else UNSPECIFIED)
    return colour if colour.wide else Colour(untagged=matrix == UNSPECIFIED)


def convert_to_srgb(pixels: NDArray[Any], colour: Colour) -> Frames:
    """16-bit RGB [H,W,3] in the encoding `colour` -> uint8."""
    coded = pixels.astype(np.float64) / 65535
    decode, encode = CURVES[colour.transfer]
    light = np.clip(decode(coded) @ _read_matrix(colour).T, 0, 1)
    return np.rint(encode(light) * 255).astype(np.uint8)


def _decode_pq(coded: Floats) -> Floats:
    """SMPTE ST 2084 -> linear light, where 1 is white."""
    root = coded ** (32 / 2523)
    light: Floats = (
        10000 / WHITE * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
    )
    return light


def _decode_hlg(coded: Floats) -> Floats:
    """ITU-R BT.2100 -> linear light, where 1 is white; the system gamma is applied per channel, as in zscale."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    light: Floats = HLG_PEAK / WHITE * scene**HLG_GAMMA
    return light


def _decode_srgb(coded: Floats) -> Floats:
    light: Floats = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light


def _encode_srgb(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _decode_bt1886(coded: Floats) -> Floats:
    """The light of a display for values encoded by BT.709."""
    light: Floats = coded**2.4
    return light


def _encode_bt1886(light: Floats) -> Floats:
    coded: Floats = light ** (1 / 2.4)
    return coded


def _read_matrix(colour: Colour) -> Floats:
    """From linear RGB of its primaries to linear RGB of BT.709."""
    primaries = BT2020 if colour.primaries == UNSPECIFIED else colour.primaries
    matrix: Floats = np.linalg.inv(_build_matrix(BT709)) @ _build_matrix(primaries)
    return matrix


# x and y of red, green and blue, then of white.
PRIMARIES = {
    BT709: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    BT2020: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
    DCI_P3: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),  # white point adapted to D65
    DISPLAY_P3: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),
}


def _build_matrix(primaries: int) -> Floats:
    """From linear RGB to XYZ."""
    x, y = (np.array(PRIMARIES[primaries][start::2]) for start in (0, 1))
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    scales = np.linalg.solve(columns[:, :3], columns[:, 3])
    matrix: Floats = columns[:, :3] * scales
    return matrix


CURVES: dict[int, tuple[Curve, Curve]] = {  # decoding to light, encoding of the result
    PQ: (_decode_pq, _encode_srgb),
    HLG: (_decode_hlg, _encode_srgb),
    SRGB: (_decode_srgb, _encode_srgb),
    UNSPECIFIED: (_decode_srgb, _encode_srgb),
    BT709: (_decode_bt1886, _encode_bt1886),  # the result keeps this curve
}
