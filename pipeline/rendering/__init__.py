"""Grids of samples: animated clips in blocks, or film strips on a still image, with text in many scripts.

Fonts come with packages, so that all machines draw the same. Pillow's font is used if it has all letters of a text; it
has no accents. OpenCV's draws all others: Latin, Greek, Cyrillic, Chinese, Japanese, Korean, Hebrew and Arabic (with
isolated letters). Scripts that it lacks, such as Hindi, become question marks. The package also has contact sheets, and
the file formats of pictures and samples.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.records import Frames

if TYPE_CHECKING:
    import cv2

Colour = tuple[int, int, int]

PAPER: Colour = (243, 243, 241)
PANEL: Colour = (255, 255, 255)
INK: Colour = (34, 36, 40)
PALE_INK: Colour = (96, 100, 108)
RADIUS = 8  # of a panel's corners, pixels

TITLE, HEADING, LABEL = 28, 20, 16  # text sizes, pixels; a README shows the page at about half its width

MARGIN = 24  # around everything, pixels
GAP = 8  # between windows, and between them and the edge of their block
BLOCK_GAP = 16
TITLE_LINE, HEADING_LINE, LABEL_LINE = 46, 30, 24  # line heights, including the space below

STILLS = 6  # frames in a strip, including the first and the last
STILL_GAP = 2
LABEL_WIDTH = 120
WIDTH = 1800  # pixels; clips are enlarged less if the sheet would be wider

NO_LETTER = "\uffff"  # in no font, so it is drawn as a font's placeholder for missing letters
RIGHT_TO_LEFT = re.compile(r"([\u0590-\u065f\u066a-\u06ef\u06fa-\u08ff]+\s*)+(?<!\s)")  # all but digits

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Page:
    """A blank page of height x width pixels; positions are upper left corners."""

    def __init__(self, height: int, width: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def panel(self, x: int, y: int, width: int, height: int) -> None:
        """Draw a white rectangle with rounded corners."""
        self._draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), RADIUS, PANEL)

    def text(
        self, x: int, y: int, text: str, size: int, *, width: int, colour: Colour = INK, centred: bool = False
    ) -> None:
        """Draw one line, `size` pixels high, truncated with an ellipsis if it is wider than `width`."""
        line = " ".join(text.split())
        while line and measure_text(line, size) > width:
            line = line.removesuffix("…")[:-1].rstrip() + "…" if line != "…" else ""
        if centred:
            x += int(width - measure_text(line, size)) // 2
        draw_text(self._draw, x, y, line, size, colour)

    def pixels(self) -> Frames:
        """A writable copy of the page as uint8 [H,W,3]."""
        return np.array(self.image, np.uint8)


def enlarge(frames: Frames, scale: int) -> Frames:
    """Upsample [T,H,W,3] by nearest neighbours, so that the model's pixels remain visible as they are."""
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


@dataclass(frozen=True, slots=True)
class Window:
    """One clip and its label."""

    label: str
    frames: Frames  # [T,H,W,3], the same shape in all windows


@dataclass(frozen=True, slots=True)
class Block:
    """The windows of one seed, or of the real clips."""

    title: str
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Row:
    """The blocks of one category, side by side."""

    title: str
    blocks: Sequence[Block]


def build_row(title: str, clips: Mapping[str, Frames]) -> Row:
    """A row of single clips [T,H,W,3] by heading."""
    return Row(title, [Block(heading, [Window("", frames)]) for heading, frames in clips.items()])


def compose_grid(rows: Sequence[Row], *, scale: int) -> Frames:
    """All windows, animated, with `scale` pixels per pixel of a clip: uint8 [T,H,W,3]."""
    sizes = [_row_size(row, scale) for row in rows]
    widest = max(width for _, width in sizes)
    page = Page(2 * MARGIN + sum(height for height, _ in sizes) + BLOCK_GAP * (len(rows) - 1), 2 * MARGIN + widest)
    places: list[tuple[int, int, Window]] = []
    y = MARGIN
    for row, (height, _) in zip(rows, sizes, strict=True):
        page.text(MARGIN, y, row.title, TITLE, width=widest)
        x = MARGIN
        for block in row.blocks:
            places += _draw_block(page, x, y + TITLE_LINE, block, scale)
            x += _block_size(block, scale)[1] + BLOCK_GAP
        y += height + BLOCK_GAP
    length = len(places[0][2].frames)
    grid = page.pixels()[None].repeat(length, axis=0)
    for x, y, window in places:
        frames = enlarge(window.frames, scale)
        grid[:, y : y + frames.shape[1], x : x + frames.shape[2]] = frames
    return grid


def _columns(block: Block) -> int:
    return math.ceil(math.sqrt(len(block.windows)))


def _window_size(block: Block, scale: int) -> tuple[int, int]:
    _, height, width, _ = block.windows[0].frames.shape
    return height * scale, width * scale


def _block_size(block: Block, scale: int) -> tuple[int, int]:
    height, width = _window_size(block, scale)
    columns = _columns(block)
    lines = math.ceil(len(block.windows) / columns)
    return HEADING_LINE + GAP + lines * (height + LABEL_LINE + GAP), GAP + columns * (width + GAP)


def _row_size(row: Row, scale: int) -> tuple[int, int]:
    sizes = [_block_size(block, scale) for block in row.blocks]
    width = sum(width for _, width in sizes) + BLOCK_GAP * (len(sizes) - 1)
    return TITLE_LINE + max(height for height, _ in sizes), width


def _draw_block(page: Page, x: int, y: int, block: Block, scale: int) -> Iterator[tuple[int, int, Window]]:
    """Draw the panel and its text; yield the position of each window."""
    block_height, block_width = _block_size(block, scale)
    height, width = _window_size(block, scale)
    page.panel(x, y, block_width, block_height)
    page.text(x + GAP, y + GAP, block.title, HEADING, width=block_width - 2 * GAP)
    for index, window in enumerate(block.windows):
        line, column = divmod(index, _columns(block))
        left = x + GAP + column * (width + GAP)
        top = y + HEADING_LINE + GAP + line * (height + LABEL_LINE + GAP)
        page.text(left, top + height + 2, window.label, LABEL, width=width, colour=PALE_INK, centred=True)
        yield left, top, window


def compose_sheet(rows: Sequence[Row], *, scale: int) -> Frames:
    """A line per object with a strip per block, at most `scale` pixels per pixel of a clip: uint8 [H,W,3]."""
    labels = LABEL_WIDTH if any(window.label for row in rows for window in row.blocks[0].windows) else GAP
    scale = _fitting_scale(rows, scale)
    strips = [[[film_strip(window.frames, scale) for window in block.windows] for block in row.blocks] for row in rows]
    strip_height, strip_width, _ = strips[0][0][0].shape
    lines = [max(len(block.windows) for block in row.blocks) for row in rows]
    heights = [HEADING_LINE + GAP + count * (strip_height + GAP) for count in lines]
    widths = [labels + len(row.blocks) * (strip_width + 2 * GAP) for row in rows]
    page = Page(
        2 * MARGIN + sum(TITLE_LINE + height for height in heights) + BLOCK_GAP * (len(rows) - 1),
        2 * MARGIN + max(widths),
    )
    places: list[tuple[int, int, Frames]] = []
    y = MARGIN
    for row, row_strips, height, width in zip(rows, strips, heights, widths, strict=True):
        page.text(MARGIN, y, row.title, TITLE, width=width)
        y += TITLE_LINE
        page.panel(MARGIN, y, width, height)
        for line, window in enumerate(max(row.blocks, key=lambda block: len(block.windows)).windows):
            middle = y + HEADING_LINE + GAP + line * (strip_height + GAP) + (strip_height - LABEL) // 2
            page.text(MARGIN + GAP, middle, window.label, LABEL, width=LABEL_WIDTH - 2 * GAP, colour=PALE_INK)
        for column, (block, block_strips) in enumerate(zip(row.blocks, row_strips, strict=True)):
            x = MARGIN + labels + column * (strip_width + 2 * GAP)
            page.text(x, y + GAP, block.title, HEADING, width=strip_width)
            top = y + HEADING_LINE + GAP
            places += [(x, top + line * (strip_height + GAP), strip) for line, strip in enumerate(block_strips)]
        y += height + BLOCK_GAP
    sheet = page.pixels()
    for x, y, strip in places:
        sheet[y : y + strip_height, x : x + strip_width] = strip
    return sheet


def _fitting_scale(rows: Sequence[Row], scale: int) -> int:
    blocks = max(len(row.blocks) for row in rows)
    still_width: int = rows[0].blocks[0].windows[0].frames.shape[2] * STILLS * blocks
    return max(1, min(scale, (WIDTH - LABEL_WIDTH - 2 * (MARGIN + GAP * blocks)) // still_width))


def film_strip(frames: Frames, scale: int) -> Frames:
    """STILLS evenly spaced frames of [T,H,W,3], enlarged, side by side: uint8 [H,W,3]."""
    numbers = np.linspace(0, len(frames) - 1, min(STILLS, len(frames))).round().astype(int)
    stills = enlarge(frames[numbers], scale)
    apart = np.pad(stills, ((0, 0), (0, 0), (0, STILL_GAP), (0, 0)), constant_values=255)
    strip: Frames = np.concatenate(list(apart), axis=1)[:, :-STILL_GAP]
    return strip


def measure_text(text: str, size: int) -> float:
    """The width of a line of text in pixels; `size` is the height of its letters."""
    if _is_plain(text):
        return _load_plain(size).getlength(text)
    import cv2  # here, since it takes a tenth of a second and few texts need it

    _, _, width, _ = cv2.getTextSize((0, 0), _order(text), (0, 0), _load_other(), size)
    return width


def draw_text(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: tuple[int, int, int]) -> None:
    """Draw a line with its upper left corner at (x, y)."""
    if _is_plain(text):
        draw.text((x, y), text, colour, _load_plain(size))
        return
    import cv2

    mask = np.zeros((3 * size, int(measure_text(text, size)) + size), np.uint8)  # with room for accents and descenders
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
    """The text in visual order, from left to right, as OpenCV draws it, with composed accents."""
    return RIGHT_TO_LEFT.sub(lambda found: found[0][::-1], unicodedata.normalize("NFC", text))
