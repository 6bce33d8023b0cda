"""Fonts for captions of every script: Pillow's own where it has all letters, else one of the machine's.

Pillow's font has no accents. Where no font has a letter, it loses its accent, or is drawn as a box.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

from PIL import ImageFont

# Pillow finds them by name in the folders where systems keep fonts; the likeliest first.
INSTALLED = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "arialuni.ttf", "unifont.otf"),
)
NO_LETTER = "\uffff"  # is in no font, so it shows as what a font has for letters that it lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def choose_font(text: str, size: int, installed: Sequence[str] = INSTALLED) -> tuple[Font, str]:
    """A font of so many pixels and the text that it can draw: the first that has all letters, or the most."""
    fonts = ["", *installed] if not text.isascii() else [""]
    missing: dict[str, int] = {}
    for name in fonts:
        missing[name] = sum(not _has(name, letter) for letter in set(text))
        if not missing[name]:
            break
    best = min(missing, key=lambda name: missing[name])
    drawn = "".join(letter if _has(best, letter) else _plain(best, letter) for letter in text)
    return _load(best, size) or ImageFont.load_default(size), drawn


@cache
def _load(name: str, size: int) -> Font | None:
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _has(name: str, letter: str) -> bool:
    font = _load(name, 16)
    if font is None:
        return False
    return letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask(NO_LETTER))


def _plain(name: str, letter: str) -> str:
    """The letter without its accents, where the font has that."""
    base = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return base if base and all(_has(name, part) for part in base) else letter
