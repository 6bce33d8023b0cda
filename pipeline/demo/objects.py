"""The objects, which differ in shape, colour and texture. To add one, write a function and a line in OBJECTS.

Objects are drawn in [-1,1] in both directions, x to the right and y down. Which clip shows which object depends on the
order and number of OBJECTS: append new ones, which changes all clips. Sprites have antialiased edges, and are placed
with sub-pixel accuracy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom

Colour = tuple[float, float, float]  # RGB, 0..255
OVERSAMPLING = 3

UNIT = 38.0  # pixels of the sprite per unit: about twice the resolution in a frame
DARK: Colour = (38, 34, 40)
WHITE: Colour = (246, 244, 238)
CREAM: Colour = (243, 232, 200)
GOLD: Colour = (232, 184, 62)


@dataclass(frozen=True)
class Sprite:
    """An image in sprite units: premultiplied RGBa, or L for black with this opacity."""

    image: Image.Image
    unit: float  # pixels of the image per sprite unit
    origin: Point  # pixels of the image

    @property
    def bounds(self) -> Bounds:
        """The bounding box of opaque pixels, in sprite units from the origin."""
        left, top, right, bottom = self.alpha().getbbox() or (0, 0, 0, 0)
        (x, y), unit = self.origin, self.unit
        return (left - x) / unit, (top - y) / unit, (right - x) / unit, (bottom - y) / unit

    def alpha(self) -> Image.Image:
        """The opacity of each pixel, as an L image."""
        return self.image if self.image.mode == "L" else Image.fromarray(np.asarray(self.image)[..., 3])

    def shadow(self, blur: float, dark: float) -> "Sprite":
        """A black, blurred copy with opacity `dark`, 0 to 1; `blur` is in sprite units."""
        soft = self.alpha().filter(ImageFilter.GaussianBlur(blur * self.unit))
        return Sprite(soft.point([round(level * dark) for level in range(256)]), self.unit, self.origin)

    def place(self, frame: Image.Image, at: Point, scale: float, opacity: float = 1.0) -> None:
        """Draw it over an RGB `frame`: its origin at pixel `at`, `scale` pixels per unit; `opacity` is for L only."""
        ratio = scale / self.unit
        x0, x1, left, right = _span(at[0] - self.origin[0] * ratio, self.image.width, ratio, frame.width)
        y0, y1, top, bottom = _span(at[1] - self.origin[1] * ratio, self.image.height, ratio, frame.height)
        if x1 <= x0 or y1 <= y0:
            return
        patch = self.image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        if patch.mode == "L":
            if opacity < 1:
                patch = patch.point([round(level * opacity) for level in range(256)])
            frame.paste((0, 0, 0), (x0, y0, x1, y1), patch)
        else:
            straight = patch.convert("RGBA")
            frame.paste(straight, (x0, y0), straight)


def _span(start: float, length: int, ratio: float, limit: int) -> tuple[int, int, float, float]:
    """The whole pixels of the frame that the sprite covers along one axis, and the range of the sprite in them."""
    first, last = max(0, ceil(start)), min(limit, floor(start + length * ratio))
    return first, last, max(0.0, (first - start) / ratio), min((last - start) / ratio, length)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Interpolate linearly from `colour` to `other`."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def lit(colour: Colour, gain: float) -> Colour:
    """`colour` mixed with white (gain above 1) or black (below)."""
    return mix(colour, (255, 255, 255), gain - 1) if gain > 1 else mix(colour, (0, 0, 0), 1 - gain)


class Pen:
    """Draws in sprite units, x to the right, y down (up if `flip` is -1), rotated by `angle` radians clockwise."""

    def __init__(self, bounds: Bounds, unit: float, light: Point, angle: float = 0.0, flip: int = 1) -> None:
        left, top, right, bottom = bounds
        self.unit = unit
        self.light = light
        self.origin = (-left * unit, -top * unit)
        shape = (round((right - left) * unit) * OVERSAMPLING, round((bottom - top) * unit) * OVERSAMPLING)
        self.image = Image.new("RGBA", shape)
        self.draw = ImageDraw.Draw(self.image)
        self.axes = (np.cos(angle), np.sin(angle), -np.sin(angle) * flip, np.cos(angle) * flip)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self._pixel(point) for point in points], fill=_fill(colour))

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        """A filled ellipse."""
        turns = np.radians(np.linspace(0, 360, 49))
        points = [(centre[0] + radii[0] * np.cos(turn), centre[1] + radii[1] * np.sin(turn)) for turn in turns]
        self.polygon(points, colour)

    def stroke(self, points: Sequence[Point], radius: float, colour: Colour, end_radius: float | None = None) -> None:
        """A line with round ends and joints, tapering to `end_radius` if given."""
        radii = np.linspace(radius, radius if end_radius is None else end_radius, len(points))
        for point, thick in zip(points, radii, strict=True):
            self._disc(point, thick, colour)
        for (a, b), (first, second) in zip(pairwise(points), pairwise(radii.tolist()), strict=True):
            across = np.array([a[1] - b[1], b[0] - a[0]]) / max(np.hypot(a[0] - b[0], a[1] - b[1]), 1e-6)
            ends = [np.add(a, across * first), np.add(b, across * second)]
            ends += [np.subtract(b, across * second), np.subtract(a, across * first)]
            self.polygon([(float(x), float(y)) for x, y in ends], colour)

    def ball(self, centre: Point, radii: Point, colour: Colour) -> None:
        """A sphere lit from above and from the light's side."""
        for step in np.linspace(0, 1, 14):
            shift = 0.34 * step
            middle = (centre[0] + radii[0] * shift * self.light[0], centre[1] - radii[1] * shift)
            grown = (radii[0] * (1 - 0.85 * step), radii[1] * (1 - 0.85 * step))
            self.ellipse(middle, grown, lit(colour, 0.74 + 0.42 * step))

    def column(self, sides: tuple[float, float], top: float, bottom: float, colour: Colour) -> None:
        """The wall of an upright cylinder whose lower edge bulges towards the viewer."""
        edges = np.linspace(-1, 1, 25)
        middle, half = (sides[0] + sides[1]) / 2, (sides[1] - sides[0]) / 2
        for a, b in pairwise(edges.tolist()):
            turn = (a + b) / 2
            gain = 1.12 - 0.42 * (turn - 0.45 * self.light[0]) ** 2 / 1.2
            sag = [0.22 * half * np.sqrt(max(0.0, 1 - edge**2)) for edge in (a, b)]
            x = [middle + half * edge for edge in (a, b)]
            wall = [(x[0], top + sag[0]), (x[1], top + sag[1]), (x[1], bottom + sag[1]), (x[0], bottom + sag[0])]
            self.polygon(wall, lit(colour, gain))

    def sprite(self, depth: float) -> Sprite:
        """The finished sprite, shaded by `depth` according to the light as if it were round."""
        small = self.image.reduce(OVERSAMPLING)
        pixels = np.asarray(small).astype(np.float32)
        soft = small.getchannel("A").filter(ImageFilter.GaussianBlur(0.13 * self.unit))
        down, right = np.asarray(np.gradient(np.asarray(soft).astype(np.float32) / 255))
        gain = 1 - (right * self.light[0] + down * self.light[1]) * self.unit * depth
        pixels[..., :3] *= gain.clip(0.55, 1.3)[..., None]
        pixels[..., :3] = np.minimum(pixels[..., :3], 255) * pixels[..., 3:] / 255
        image = Image.frombytes("RGBa", small.size, (pixels + 0.5).astype(np.uint8).tobytes())
        return Sprite(image, self.unit, self.origin)

    def _disc(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = self._pixel(centre)
        thick = round(radius * self.unit * OVERSAMPLING, 6)
        self.draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=_fill(colour))

    def _pixel(self, point: Point) -> Point:
        right, down, across, along = self.axes
        x, y = point[0] * right + point[1] * across, point[0] * down + point[1] * along
        scale = self.unit * OVERSAMPLING
        # Rounded: the last bit of sines differs between instruction sets, and here it would decide between two pixels.
        return round(x * scale + self.origin[0] * OVERSAMPLING, 6), round(y * scale + self.origin[1] * OVERSAMPLING, 6)


def _fill(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (max(0, min(255, round(value))) for value in colour)
    return red, green, blue, 255


class DemoObject(NamedTuple):
    """The appearance of an object."""

    paint: Callable[[Pen, Colour], None]
    colour: Colour
    extent: float  # the larger side, as a share of the frame's shorter side


def draw_object(name: str, light: tuple[float, float], rng: np.random.Generator) -> tuple[Sprite, float]:
    """The object's sprite with a slightly random colour, and its extent as a share of the frame's shorter side."""
    paint, colour, extent = OBJECTS[name]
    red, green, blue = np.clip(np.array(colour) * rng.normal(1, 0.03, 3) + rng.normal(0, 4), 0, 255)
    pen = Pen((-1.15, -1.15, 1.15, 1.15), UNIT, light)
    paint(pen, (red, green, blue))
    return pen.sprite(depth=0.16), extent


def _book(pen: Pen, colour: Colour) -> None:
    pages = [(0.48, -0.92), (0.74, -0.76), (0.74, 0.8), (0.48, 0.94)]
    pen.polygon(pages, CREAM)
    for x in (0.54, 0.61, 0.68):
        pen.stroke([(x, -0.82), (x, 0.84)], 0.012, lit(CREAM, 0.7))
    pen.polygon([(-0.7, -0.92), (0.5, -0.98), (0.5, 0.98), (-0.7, 0.92)], colour)
    pen.polygon([(-0.7, -0.92), (-0.48, -0.93), (-0.48, 0.93), (-0.7, 0.92)], lit(colour, 0.6))
    pen.polygon([(-0.34, -0.62), (0.36, -0.64), (0.36, -0.16), (-0.34, -0.16)], GOLD)
    for y, end in ((0.3, 0.36), (0.52, 0.16)):
        pen.stroke([(-0.28, y), (end, y)], 0.05, lit(colour, 1.55))


def _box(pen: Pen, colour: Colour) -> None:
    tape = (214, 190, 140)
    pen.polygon([(-0.95, -0.3), (0.42, -0.3), (0.42, 0.92), (-0.95, 0.92)], lit(colour, 0.96))
    pen.polygon([(-0.95, -0.3), (-0.5, -0.82), (0.92, -0.82), (0.42, -0.3)], lit(colour, 1.28))
    pen.polygon([(0.42, -0.3), (0.92, -0.82), (0.92, 0.34), (0.42, 0.92)], lit(colour, 0.68))
    pen.polygon([(-0.4, -0.3), (0.1, -0.82), (0.34, -0.82), (-0.13, -0.3)], lit(tape, 1.2))
    pen.polygon([(-0.4, -0.3), (-0.13, -0.3), (-0.13, 0.12), (-0.4, 0.12)], tape)
    pen.polygon([(-0.82, 0.5), (-0.5, 0.5), (-0.5, 0.76), (-0.82, 0.76)], lit(colour, 0.55))


def _mug(pen: Pen, colour: Colour) -> None:
    turns = np.radians(np.linspace(-80, 80, 17))
    pen.stroke([(0.42 + 0.46 * np.cos(turn), 0.1 + 0.46 * np.sin(turn)) for turn in turns], 0.12, lit(colour, 0.82))
    pen.column((-0.88, 0.52), -0.76, 0.76, colour)
    pen.column((-0.88, 0.52), -0.02, 0.36, WHITE)
    pen.ellipse((-0.18, -0.76), (0.7, 0.2), lit(colour, 1.35))
    pen.ellipse((-0.18, -0.74), (0.58, 0.145), (74, 44, 30))


def _marker(pen: Pen, colour: Colour) -> None:
    def along(share: float) -> tuple[float, float]:
        return -0.78 + 1.56 * share, 0.3 - 0.6 * share

    pen.stroke([along(0), along(0.1)], 0.2, colour)
    pen.stroke([along(0.06), along(0.6)], 0.23, WHITE)
    pen.stroke([along(0.2), along(0.42)], 0.1, lit(colour, 1.1))
    pen.stroke([along(0.58), along(1)], 0.25, colour, 0.21)
    pen.stroke([(along(0.62)[0], along(0.62)[1] - 0.1), (along(0.98)[0], along(0.98)[1] - 0.1)], 0.05, lit(colour, 1.5))


def _rubber_duck(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.98, -0.2), (-0.45, 0.0), (-0.5, 0.6), (-0.86, 0.4)], lit(colour, 0.9))
    pen.ball((-0.06, 0.4), (0.86, 0.56), colour)
    pen.polygon([(0.66, -0.5), (1.0, -0.34), (0.98, -0.2), (0.66, -0.14)], (238, 110, 24))
    pen.ball((0.36, -0.36), (0.5, 0.5), lit(colour, 1.05))
    pen.polygon([(0.74, -0.4), (1.02, -0.3), (0.98, -0.18), (0.72, -0.16)], (244, 124, 30))
    pen.ellipse((-0.2, 0.36), (0.42, 0.26), lit(colour, 0.8))
    pen.ellipse((-0.24, 0.3), (0.4, 0.22), lit(colour, 1.1))
    pen.ellipse((0.52, -0.5), (0.11, 0.13), DARK)
    pen.ellipse((0.55, -0.54), (0.04, 0.045), WHITE)


def _tennis_ball(pen: Pen, colour: Colour) -> None:
    pen.ball((0, 0), (0.96, 0.96), colour)
    for side in (-1, 1):
        turns = np.radians(np.linspace(-46, 46, 15))
        arc = [(side * (1.18 - 0.92 * np.cos(turn)), 1.05 * np.sin(turn)) for turn in turns]
        pen.stroke([(x * 0.94 - 0.1, y * 0.92) for x, y in arc if np.hypot(x, y) < 1], 0.085, WHITE)


def _toy_car(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.62, -0.5), (0.2, -0.5), (0.6, 0.02), (-0.82, 0.02)], lit(colour, 1.1))
    pen.polygon([(-0.56, -0.4), (-0.14, -0.4), (-0.14, -0.02), (-0.7, -0.02)], (176, 222, 240))
    pen.polygon([(-0.04, -0.4), (0.16, -0.4), (0.44, -0.02), (-0.04, -0.02)], (196, 232, 246))
    pen.stroke([(-0.84, 0.12), (0.6, 0.1), (0.86, 0.2)], 0.13, colour)
    pen.stroke([(-0.86, 0.32), (0.87, 0.32)], 0.13, lit(colour, 0.88))
    pen.stroke([(-0.9, 0.2), (0.7, 0.2)], 0.05, WHITE)
    pen.ellipse((0.9, 0.18), (0.08, 0.1), (255, 236, 130))
    for x in (-0.52, 0.52):
        pen.ellipse((x, 0.42), (0.29, 0.29), DARK)
        pen.ellipse((x, 0.42), (0.14, 0.14), (206, 208, 214))


def _alarm_clock(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.stroke([(side * 0.4, 0.6), (side * 0.6, 0.92)], 0.09, DARK)
        pen.ball((side * 0.5, -0.64), (0.32, 0.3), GOLD)
    pen.stroke([(0, -0.9), (0, -0.6)], 0.07, DARK)
    pen.ball((0, 0.1), (0.82, 0.82), colour)
    pen.ellipse((0, 0.1), (0.6, 0.6), WHITE)
    for turn in np.radians(range(0, 360, 30)):
        pen.ellipse((0.5 * np.cos(turn), 0.1 + 0.5 * np.sin(turn)), (0.035, 0.035), DARK)
    pen.stroke([(0, 0.1), (0, -0.28)], 0.05, DARK)
    pen.stroke([(0, 0.1), (0.27, 0.22)], 0.06, DARK)
    pen.ellipse((0, 0.1), (0.08, 0.08), colour)


def _apple(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse((side * 0.32, 0.18), (0.6, 0.74), lit(colour, 0.74))
    pen.ball((0, 0.18), (0.88, 0.74), colour)
    pen.ellipse((pen.light[0] * 0.42, -0.14), (0.15, 0.2), lit(colour, 1.6))
    pen.ellipse((0, -0.44), (0.26, 0.1), lit(colour, 0.55))
    pen.stroke([(0, -0.42), (0.04, -0.66), (0.14, -0.86)], 0.07, (92, 58, 34))
    leaf = [(0.1, -0.62), (0.3, -0.88), (0.62, -0.9), (0.76, -0.76), (0.5, -0.56)]
    pen.polygon(leaf, (92, 168, 58))


def _bottle(pen: Pen, colour: Colour) -> None:
    shoulder = [(-0.17, -0.5), (0.17, -0.5), (0.32, -0.28), (0.42, -0.02), (-0.42, -0.02), (-0.32, -0.28)]
    pen.polygon(shoulder, lit(colour, 1.05))
    pen.column((-0.17, 0.17), -0.9, -0.4, colour)
    pen.column((-0.42, 0.42), -0.14, 0.86, colour)
    pen.column((-0.42, 0.42), 0.12, 0.58, CREAM)
    pen.ellipse((0, 0.44), (0.16, 0.14), (196, 60, 48))
    pen.column((-0.2, 0.2), -0.96, -0.76, (188, 52, 44))
    pen.stroke([(pen.light[0] * 0.26, -0.04), (pen.light[0] * 0.26, 0.12)], 0.035, lit(colour, 1.6))


def _candle(pen: Pen, colour: Colour) -> None:
    brass = (176, 128, 52)
    pen.stroke([(0.5, 0.72), (0.86, 0.66)], 0.11, lit(brass, 0.8))
    pen.ellipse((0, 0.8), (0.8, 0.18), lit(brass, 0.72))
    pen.ellipse((0, 0.74), (0.76, 0.16), brass)
    pen.column((-0.34, 0.34), -0.24, 0.68, colour)
    for y in (0.02, 0.32):
        pen.stroke([(-0.3, y + 0.1), (0, y + 0.12), (0.3, y - 0.02)], 0.05, lit(colour, 0.78))
    pen.ellipse((0, -0.24), (0.34, 0.09), lit(colour, 1.3))
    pen.stroke([(0, -0.24), (0, -0.4)], 0.03, DARK)
    for grow, tint in ((1.0, (255, 140, 24)), (0.66, (255, 206, 64)), (0.34, (255, 246, 196))):
        wide, high = 0.24 * grow, 0.56 * grow
        pen.polygon(
            [
                (-wide, -0.48),
                (-wide * 0.5, -0.48 - high * 0.5),
                (0, -0.46 - high),
                (wide * 0.6, -0.48 - high * 0.45),
                (wide, -0.48),
            ],
            tint,
        )
        pen.ellipse((0, -0.48), (wide, 0.17 * grow), tint)


def _banana(pen: Pen, colour: Colour) -> None:
    turns = np.radians(np.linspace(152, 24, 25))
    centre = [(1.02 * np.cos(turn), -0.5 + 0.92 * np.sin(turn)) for turn in turns]
    for (x, y), turn in zip(centre, np.linspace(0, 1, 25), strict=True):
        thick = 0.08 + 0.25 * np.sin(np.pi * min(1.0, 0.06 + turn * 0.9)) ** 0.7
        pen.ellipse((x, y + 0.03), (thick, thick), lit(colour, 0.78))
    for (x, y), turn in zip(centre, np.linspace(0, 1, 25), strict=True):
        thick = 0.05 + 0.17 * np.sin(np.pi * min(1.0, 0.06 + turn * 0.9)) ** 0.7
        pen.ellipse((x * 0.97, y - 0.06), (thick, thick), lit(colour, 1.1))
    pen.stroke([centre[-1], (0.98, -0.42)], 0.1, (110, 76, 32), 0.07)
    pen.stroke([centre[0], (-0.95, -0.12)], 0.09, (110, 76, 32))


OBJECTS: dict[str, DemoObject] = {
    "book": DemoObject(_book, (36, 74, 176), 0.4),
    "box": DemoObject(_box, (190, 134, 76), 0.4),
    "mug": DemoObject(_mug, (20, 152, 150), 0.38),
    "marker": DemoObject(_marker, (134, 48, 190), 0.48),
    "rubber duck": DemoObject(_rubber_duck, (250, 208, 30), 0.42),
    "tennis ball": DemoObject(_tennis_ball, (190, 226, 48), 0.34),
    "toy car": DemoObject(_toy_car, (222, 44, 30), 0.5),
    "alarm clock": DemoObject(_alarm_clock, (236, 84, 148), 0.4),
    "apple": DemoObject(_apple, (186, 22, 40), 0.38),
    "bottle": DemoObject(_bottle, (26, 116, 62), 0.46),
    "candle": DemoObject(_candle, (244, 236, 214), 0.44),
    "banana": DemoObject(_banana, (250, 216, 58), 0.46),
}
