"""A sheet of paper to lay pictures on: panels, and text that always fits."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.records import Frames

Colour = tuple[int, int, int]

PAPER: Colour = (243, 243, 241)
PANEL: Colour = (255, 255, 255)
INK: Colour = (34, 36, 40)
PALE_INK: Colour = (96, 100, 108)
RADIUS = 8  # of a panel's corners, pixels

TITLE, HEADING, LABEL = 28, 20, 16  # sizes of text, pixels: a README shows the page at about half its width


class Page:
    """A white page of height x width pixels; places are the upper left corners of things."""

    def __init__(self, height: int, width: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def panel(self, x: int, y: int, width: int, height: int) -> None:
        """A sheet with round corners."""
        self._draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), RADIUS, PANEL)

    def text(
        self, x: int, y: int, text: str, size: int, *, width: int, colour: Colour = INK, centred: bool = False
    ) -> None:
        """One line, `size` pixels high, cut with an ellipsis where it is wider than `width`."""
        font = ImageFont.load_default(size)
        line = " ".join(text.split())
        while line and font.getlength(line) > width:
            line = line.removesuffix("…")[:-1].rstrip() + "…" if line != "…" else ""
        if centred:
            x += int(width - font.getlength(line)) // 2
        self._draw.text((x, y), line, colour, font)

    def pixels(self) -> Frames:
        """The page as uint8 [H,W,3], free to write on."""
        return np.array(self.image, np.uint8)


def enlarge(frames: Frames, scale: int) -> Frames:
    """Each pixel of [T,H,W,3] as a square of scale x scale: what the model made, and nothing in between."""
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)
