"""Text in any script in pictures. The fonts come with packages, so that every machine draws the same.

Pillow's draws what it has all letters for; it has no accents. OpenCV's draws the rest: Latin, Greek, Cyrillic, Chinese,
Japanese, Korean, Hebrew and Arabic, the last with its letters apart. What it lacks, such as Hindi, is question marks.
"""

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    import cv2

NO_LETTER = "\uffff"  # is in no font, so it shows as what a font has for letters that it lacks
RIGHT_TO_LEFT = re.compile(r"([\u0590-\u065f\u066a-\u06ef\u06fa-\u08ff]+\s*)+(?<!\s)")  # all but digits

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def measure_text(text: str, size: int) -> float:
    """The width of a line of text in pixels; `size` is the height of its letters."""
    if _is_plain(text):
        return _load_plain(size).getlength(text)
    import cv2  # takes a tenth of a second, and few texts need it

    _, _, width, _ = cv2.getTextSize((0, 0), _order(text), (0, 0), _load_other(), size)
    return width


def draw_text(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: tuple[int, int, int]) -> None:
    """Draw a line whose upper left corner is at (x, y)."""
    if _is_plain(text):
        draw.text((x, y), text, colour, _load_plain(size))
        return
    import cv2

    mask = np.zeros((3 * size, int(measure_text(text, size)) + size), np.uint8)  # with room for accents and tails
    cv2.putText(mask, _order(text), (0, 2 * size), (255,), _load_other(), size)
    draw.bitmap((x, y - size), Image.fromarray(mask), colour)


def _is_plain(text: str) -> bool:
    return text.isascii() or all(map(_has_plain, text))


@cache
def _has_plain(letter: str) -> bool:
    font = _load_plain(16)
    return letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask(NO_LETTER))


@cache
def _load_plain(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _load_other() -> "cv2.FontFace":
    import cv2

    return cv2.FontFace("sans")


def _order(text: str) -> str:
    """Letters as they stand from left to right, which is how OpenCV draws them, each in one with its accents."""
    return RIGHT_TO_LEFT.sub(lambda found: found[0][::-1], unicodedata.normalize("NFC", text))
