"""The same samples as one still picture: a film strip per window, so that motion can be seen on paper."""

from collections.abc import Sequence

import numpy as np

from pipeline.records import Frames
from pipeline.rendering.grid import BLOCK_GAP, GAP, HEADING_LINE, MARGIN, TITLE_LINE, Row
from pipeline.rendering.page import HEADING, LABEL, PALE_INK, TITLE, Page, enlarge

STILLS = 6  # frames in a strip, the first and the last among them
STILL_GAP = 2
LABEL_WIDTH = 120
WIDTH = 1800  # pixels; the clips are enlarged less where the sheet would be wider


def compose_sheet(rows: Sequence[Row], *, scale: int) -> Frames:
    """A line per object and in it a strip per block, at most `scale` pixels per pixel of a clip: uint8 [H,W,3]."""
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
    """STILLS frames of [T,H,W,3] from the first to the last, side by side: uint8 [H,W,3], enlarged."""
    numbers = np.linspace(0, len(frames) - 1, min(STILLS, len(frames))).round().astype(int)
    stills = enlarge(frames[numbers], scale)
    apart = np.pad(stills, ((0, 0), (0, 0), (0, STILL_GAP), (0, 0)), constant_values=255)
    strip: Frames = np.concatenate(list(apart), axis=1)[:, :-STILL_GAP]
    return strip
