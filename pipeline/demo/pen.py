"""Draws one sprite: shapes with soft edges and round shading."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.demo.sprites import Bounds, Point, Sprite

Colour = tuple[float, float, float]  # RGB, 0..255
OVERSAMPLING = 3


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
