"""Small pictures with soft edges: drawn large, shaded as if round, placed with sub-pixel accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
Colour = tuple[float, float, float]  # RGB, 0..255
OVERSAMPLING = 4


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with that share of `other` in it."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def lit(colour: Colour, gain: float) -> Colour:
    """`colour` towards white (gain above 1) or black (below)."""
    return mix(colour, (255, 255, 255), gain - 1) if gain > 1 else mix(colour, (0, 0, 0), 1 - gain)


@dataclass(frozen=True)
class Sprite:
    """A picture and where it lies: `image` is premultiplied RGBa, its origin and bounds are in sprite units."""

    image: Image.Image
    unit: float  # pixels of the image per sprite unit
    origin: Point  # pixels of the image
    bounds: tuple[float, float, float, float]  # left, top, right, bottom of what is not transparent

    def place(self, frame: NDArray[np.uint8], at: Point, scale: float, opacity: float = 1.0) -> None:
        """Lay it over `frame` [H,W,3]: its origin at pixel `at`, `scale` pixels per unit."""
        ratio = scale / self.unit
        spans = []
        for axis, limit in ((0, frame.shape[1]), (1, frame.shape[0])):
            start = at[axis] - self.origin[axis] * ratio
            end = start + self.image.size[axis] * ratio
            first, last = max(0, int(np.ceil(start))), min(limit, int(np.floor(end)))
            if last <= first:
                return
            spans.append((first, last, (first - start) / ratio, min((last - start) / ratio, self.image.size[axis])))
        (x0, x1, left, right), (y0, y1, top, bottom) = spans
        patch = self.image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        layer = np.asarray(patch).astype(np.uint16)
        if opacity < 1:
            layer = (layer * opacity).astype(np.uint16)
        under = frame[y0:y1, x0:x1]
        under[:] = np.minimum((under * (255 - layer[..., 3:]) + 127) // 255 + layer[..., :3], 255)


class Pen:
    """Draws in sprite units, x to the right and y down, turned by `angle` radians about the origin after a `flip` of y."""

    def __init__(
        self, bounds: tuple[float, float, float, float], unit: float, angle: float = 0.0, flip: float = 1.0
    ) -> None:
        left, top, right, bottom = bounds
        self.unit = unit
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
        for (a, b), (first, second) in zip(_pairs(points), _pairs(list(radii)), strict=True):
            across = np.array([a[1] - b[1], b[0] - a[0]]) / max(np.hypot(a[0] - b[0], a[1] - b[1]), 1e-6)
            ends = [np.add(a, across * first), np.add(b, across * second)]
            ends += [np.subtract(b, across * second), np.subtract(a, across * first)]
            self.polygon([(float(x), float(y)) for x, y in ends], colour)

    def ball(self, centre: Point, radii: Point, colour: Colour, light: float) -> None:
        """A sphere lit from above: from the left where `light` is negative, else from the right."""
        for step in np.linspace(0, 1, 14):
            shift = 0.34 * step
            middle = (centre[0] + radii[0] * shift * light, centre[1] - radii[1] * shift)
            grown = (radii[0] * (1 - 0.85 * step), radii[1] * (1 - 0.85 * step))
            self.ellipse(middle, grown, lit(colour, 0.74 + 0.42 * step))

    def column(self, sides: tuple[float, float], top: float, bottom: float, colour: Colour, light: float) -> None:
        """The wall of an upright cylinder whose lower edge bulges towards the viewer."""
        edges = np.linspace(-1, 1, 25)
        middle, half = (sides[0] + sides[1]) / 2, (sides[1] - sides[0]) / 2
        for a, b in _pairs(list(edges)):
            turn = (a + b) / 2
            gain = 1.12 - 0.42 * (turn - 0.45 * light) ** 2 / 1.2
            sag = [0.22 * half * np.sqrt(max(0.0, 1 - edge**2)) for edge in (a, b)]
            x = [middle + half * edge for edge in (a, b)]
            wall = [(x[0], top + sag[0]), (x[1], top + sag[1]), (x[1], bottom + sag[1]), (x[0], bottom + sag[0])]
            self.polygon(wall, lit(colour, gain))

    def sprite(self, light: Point, depth: float = 0.0) -> Sprite:
        """The finished sprite; `depth` above 0 shades it from the light's side to the other, as if it were round."""
        small = self.image.reduce(OVERSAMPLING)
        pixels = np.asarray(small).astype(np.float32)
        if depth > 0:
            soft = small.getchannel("A").filter(ImageFilter.GaussianBlur(0.13 * self.unit))
            down, right = np.gradient(np.asarray(soft).astype(np.float32) / 255)
            slope = (right * light[0] + down * light[1]) * self.unit * depth
            pixels[..., :3] *= np.clip(1 - slope, 0.55, 1.3)[..., None]
        pixels[..., :3] = np.minimum(pixels[..., :3], 255) * pixels[..., 3:] / 255
        image = Image.frombytes("RGBa", small.size, (pixels + 0.5).astype(np.uint8).tobytes())
        return Sprite(image, self.unit, self.origin, self._bounds(small))

    def _bounds(self, image: Image.Image) -> tuple[float, float, float, float]:
        left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, 0, 0)
        (x, y), unit = self.origin, self.unit
        return (left - x) / unit, (top - y) / unit, (right - x) / unit, (bottom - y) / unit

    def _disc(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = self._pixel(centre)
        thick = radius * self.unit * OVERSAMPLING
        self.draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=_fill(colour))

    def _pixel(self, point: Point) -> Point:
        right, down, across, along = self.axes
        x, y = point[0] * right + point[1] * across, point[0] * down + point[1] * along
        scale = self.unit * OVERSAMPLING
        return x * scale + self.origin[0] * OVERSAMPLING, y * scale + self.origin[1] * OVERSAMPLING


def shadow_of(sprite: Sprite, blur: float) -> Sprite:
    """A black, soft copy; `blur` in sprite units."""
    alpha = Image.fromarray(np.asarray(sprite.image)[..., 3]).filter(ImageFilter.GaussianBlur(blur * sprite.unit))
    return Sprite(black(alpha), sprite.unit, sprite.origin, sprite.bounds)


def black(alpha: Image.Image) -> Image.Image:
    """Black as dense as `alpha` (an L image) says, as RGBa."""
    pixels = np.zeros((alpha.height, alpha.width, 4), np.uint8)
    pixels[..., 3] = np.asarray(alpha)
    return Image.frombytes("RGBa", alpha.size, pixels.tobytes())


def _pairs(items: Sequence[Point] | Sequence[float]) -> list[tuple]:
    return list(zip(items[:-1], items[1:], strict=True))


def _fill(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (max(0, min(255, round(value))) for value in colour)
    return red, green, blue, 255
