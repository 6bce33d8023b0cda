"""A decoded frame -> the pixels of a clip: orientation, the crop around the centre or the movement, scaling, colours.

The filters are those of libavfilter, which PyAV's `Scaler` and ffmpeg's program both run. HDR and wide-gamut frames
become sRGB in closed form, on the few pixels of a clip instead of by a filter: builds of FFmpeg differ in their colour
filters, and the one that all have, scale, is off by 7 to 13 levels. A diffuse white of 203 nits (ITU-R BT.2408) becomes
white; brighter values are clipped.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from math import atan2, degrees, hypot
from typing import Any, NamedTuple

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData, Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline.records import Frames
from pipeline.video import FilterChoice, Pixels

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

# One frame per frame; progressive frames are unchanged.
DEINTERLACE: Filter = ("bwdif", "mode=send_frame:deint=interlaced")

HD_WIDTH, HD_HEIGHT = 1280, 720  # stored pixels; a frame with either is HD

SIDE = 64  # pixels of the longer side of the grey thumbnail
NOISE = 10  # of 255: smaller differences are grain, flicker and compression artefacts

# Codes of ITU-T H.273.
BT709, UNSPECIFIED, BT2020, DCI_P3, DISPLAY_P3 = 1, 2, 9, 11, 12
SRGB, PQ, HLG = 13, 16, 18

WHITE = 203.0  # nits
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # nits, system gamma: the reference display of HLG

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]

NAMELESS = range(len(Type), 48)  # types of side data, present or future, that PyAV has no name for
KEPT_PICTURES = 64  # cached frame descriptions
MAX_IDLE = 16  # cached filter graphs

_idle: dict[tuple[object, ...], Graph] = {}  # configuring a graph takes as long as scaling three frames


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

    Wide colours give 16-bit RGB, for `convert_to_srgb`. An alpha channel is ignored: pixels keep the stored colour.
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


class Scaler:
    """Filters frames; their geometry or colours may change within a video."""

    def __init__(self, choose: FilterChoice) -> None:
        self._choose = choose
        self._known: tuple[object, ...] = ()  # about the last frame
        self._kind: tuple[object, ...] = ()
        self._filters: tuple[Filter, ...] = ()

    def __call__(self, frame: VideoFrame, picture: Picture) -> Pixels:
        """The pixels of the filtered frame."""
        known = picture, frame.colorspace, frame.color_range
        if known != self._known:
            self._known, self._filters = known, tuple(self._choose(picture))
            self._kind = self._filters, frame.width, frame.height, frame.format.name, *known[1:]
        kind, filters = self._kind, self._filters
        # Removed from the cache while in use: after an error, a graph that still holds a frame is not reused.
        graph = _idle.pop(kind, None) or make_graph(frame, filters)
        graph.vpush(frame)
        pixels = _read_pixels(graph.vpull())
        _idle[kind] = graph
        if len(_idle) > MAX_IDLE:
            del _idle[next(iter(_idle))]
        return pixels


def _read_pixels(frame: VideoFrame) -> Pixels:
    """The result of PyAV's `to_ndarray`, in two thirds of its time for planar RGB stored from top to bottom."""
    planes = frame.planes
    if frame.format.name != "gbrp" or planes[0].line_size <= 0:  # vflip makes line sizes negative
        return frame.to_ndarray()  # type: ignore[return-value]  # never floats here
    pixels = np.empty((frame.height, frame.width, 3), np.uint8)
    for channel, plane in zip((1, 2, 0), planes, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        pixels[:, :, channel] = rows[:, : frame.width]
    return pixels


def make_graph(frame: VideoFrame, filters: Iterable[Filter]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
    return graph


def find_orientation(frame: VideoFrame) -> tuple[int, bool]:
    """The rotation of a frame in degrees counter-clockwise, and whether it is mirrored."""
    try:
        side_data = frame.side_data
    except ValueError:  # it has a type that PyAV does not know, such as EXIF
        graph = make_graph(frame, [("sidedata", f"mode=delete:type={number}") for number in NAMELESS])
        graph.vpush(frame)
        side_data = graph.vpull().side_data
    matrix = side_data.get("DISPLAYMATRIX")
    return read_orientation(bytes(matrix)) if isinstance(matrix, SideData) else (0, False)


def describe_frame(frame: VideoFrame, pixel_aspect: Fraction, rotation: int, mirrored: bool) -> Picture:
    """The properties of a frame that crops and filters depend on; cached."""
    tags = int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace)
    return _describe(frame.width, frame.height, frame.format.name, tags, pixel_aspect, rotation, mirrored)


@lru_cache(KEPT_PICTURES)
def _describe(
    width: int, height: int, name: str, tags: tuple[int, int, int], aspect: Fraction, rotation: int, mirrored: bool
) -> Picture:
    return Picture(width, height, name, find_chroma_steps(name), aspect, rotation, mirrored, read_colour(*tags))


@cache
def find_chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Pixels per chroma sample, across and down."""
    layout = VideoFormat(pixel_format)
    return 8 // layout.chroma_width(8), 8 // layout.chroma_height(8)
