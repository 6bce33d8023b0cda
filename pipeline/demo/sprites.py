"""Small pictures with soft edges that are laid over a frame with sub-pixel accuracy."""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from PIL import Image, ImageFilter

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom


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
