"""Small pictures with soft edges: drawn with a pen, and laid over a frame with sub-pixel accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom

Colour = tuple[float, float, float]  # RGB, 0..255
OVERSAMPLING = 3


@dataclass(frozen=True)
class Sprite:
    """A picture in its own units: premultiplied RGBa, or L for black as dense as the picture says."""

    image: Image.Image
    unit: float  # pixels of the image per sprite unit
    origin: Point  # pixels of the image

    @property
    def bounds(self) -> Bounds:
        """Of what is not transparent, in sprite units from the origin."""
        left, top, right, bottom = self.alpha().getbbox() or (0, 0, 0, 0)
        (x, y), unit = self.origin, self.unit
        return (left - x) / unit, (top - y) / unit, (right - x) / unit, (bottom - y) / unit

    def alpha(self) -> Image.Image:
        """How opaque each pixel is, as an L image."""
        return self.image if self.image.mode == "L" else Image.fromarray(np.asarray(self.image)[..., 3])

    def shadow(self, blur: float, dark: float) -> "Sprite":
        """A black, soft copy, `dark` of 0 to 1; `blur` in sprite units."""
        soft = self.alpha().filter(ImageFilter.GaussianBlur(blur * self.unit))
        return Sprite(soft.point([round(level * dark) for level in range(256)]), self.unit, self.origin)

    def place(self, frame: Image.Image, at: Point, scale: float, opacity: float = 1.0) -> None:
        """Lay it over an RGB `frame`: its origin at pixel `at`, `scale` pixels per unit. Only black can fade."""
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
    """Whole pixels of the frame that the sprite covers along one axis, and the stretch of the sprite they show."""
    first, last = max(0, ceil(start)), min(limit, floor(start + length * ratio))
    return first, last, max(0.0, (first - start) / ratio), min((last - start) / ratio, length)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with that share of `other` in it."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def lit(colour: Colour, gain: float) -> Colour:
    """`colour` towards white (gain above 1) or black (below)."""
    return mix(colour, (255, 255, 255), gain - 1) if gain > 1 else mix(colour, (0, 0, 0), 1 - gain)


class Pen:
    """Draws in sprite units, x to the right, y down (up where `flip` is -1), turned by `angle` radians clockwise."""

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

    def ellipse(self, centre: Point, radii: Point, colour: Colour, start: float = 0, end: float = 360) -> None:
        """A filled ellipse, or the piece of it between two angles in degrees, clockwise from the right."""
        turns = np.radians(np.linspace(start, end, 49))
        points = [(centre[0] + radii[0] * np.cos(turn), centre[1] + radii[1] * np.sin(turn)) for turn in turns]
        self.polygon(points, colour)

    def stroke(self, points: Sequence[Point], radius: float, colour: Colour, end_radius: float | None = None) -> None:
        """A line with round ends and joints, perhaps tapering to `end_radius`."""
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
        """The finished sprite, shaded by `depth` from the light's side to the other as if it were round."""
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
        thick = radius * self.unit * OVERSAMPLING
        self.draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=_fill(colour))

    def _pixel(self, point: Point) -> Point:
        right, down, across, along = self.axes
        x, y = point[0] * right + point[1] * across, point[0] * down + point[1] * along
        scale = self.unit * OVERSAMPLING
        return x * scale + self.origin[0] * OVERSAMPLING, y * scale + self.origin[1] * OVERSAMPLING


def _fill(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (max(0, min(255, round(value))) for value in colour)
    return red, green, blue, 255
