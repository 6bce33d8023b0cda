"""The picture of the seed, in motion: blocks side by side, in each a window per object."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.records import Frames
from pipeline.rendering.page import HEADING, LABEL, PALE_INK, TITLE, Page, enlarge

MARGIN = 24  # around everything, pixels
GAP = 8  # between windows, and around them in their block
BLOCK_GAP = 16
TITLE_LINE, HEADING_LINE, LABEL_LINE = 46, 30, 24  # heights of lines of text with the space below them


@dataclass(frozen=True, slots=True)
class Window:
    """One clip under its name."""

    label: str
    frames: Frames  # [T,H,W,3], the same shape in all windows


@dataclass(frozen=True, slots=True)
class Block:
    """The windows of one seed, or the real clips."""

    title: str
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Row:
    """The blocks of one category, side by side."""

    title: str
    blocks: Sequence[Block]


def compose_grid(rows: Sequence[Row], *, scale: int) -> Frames:
    """All windows moving at once, `scale` pixels per pixel of a clip: uint8 [T,H,W,3]."""
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
    """Draw the panel and its text; yield where each window goes."""
    block_height, block_width = _block_size(block, scale)
    height, width = _window_size(block, scale)
    page.panel(x, y, block_width, block_height)
    page.text(x + GAP, y + GAP, block.title, HEADING, width=block_width - 2 * GAP)
    for place, window in enumerate(block.windows):
        line, column = divmod(place, _columns(block))
        left = x + GAP + column * (width + GAP)
        top = y + HEADING_LINE + GAP + line * (height + LABEL_LINE + GAP)
        page.text(left, top + height + 2, window.label, LABEL, width=width, colour=PALE_INK, centred=True)
        yield left, top, window
