"""Contact sheets: film strips with captions of a few clips per category, or of pairs of clips."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.duplicates import NearPair
from pipeline.records import Clip, Frames, Split
from pipeline.rendering import BLOCK_GAP, GAP, LABEL, MARGIN, PALE_INK, TITLE, TITLE_LINE, Page, film_strip
from pipeline.rendering.export import export_picture
from pipeline.shards import ShardReader

COLUMNS = 2  # strips side by side
MAX_CATEGORIES = 24
MIN_HEIGHT = 90  # of a strip, pixels; smaller clips are enlarged
CAPTION_LINE, PAD = 24, 4


@dataclass(frozen=True, slots=True)
class Card:
    """One clip of the sheet."""

    caption: str
    note: str  # id and split
    row: int  # in the shards


@dataclass(frozen=True, slots=True)
class Part:
    """The cards below one heading."""

    title: str
    cards: Sequence[Card]


def choose_cards(shards: ShardReader, labels: Mapping[str, Clip], clips_per_category: int) -> list[Part]:
    """Clips of the commonest categories, with as many objects as possible; unlabelled clips are one category."""
    by_category: dict[str, list[int]] = {}
    for row in np.random.default_rng(0).permutation(len(shards)).tolist():
        clip = labels.get(shards.ids[row])
        by_category.setdefault(clip.template if clip else "", []).append(row)
    chosen = sorted(by_category, key=lambda name: (-len(by_category[name]), name))[:MAX_CATEGORIES]
    parts = []
    for name in sorted(chosen):
        rows = _mixed(by_category[name], shards, labels)[:clips_per_category]
        title = f"{name or 'Clips without a label'}: {len(rows)} of {len(by_category[name])}"
        parts.append(Part(title, [_card(row, shards, labels) for row in rows]))
    return parts


def pair_cards(title: str, pairs: Sequence[NearPair], shards: ShardReader, splits: Mapping[str, Split]) -> Part:
    """The two clips of each pair side by side, with their splits and their distance."""
    cards = [
        Card(shards.captions[row], f"{shards.ids[row]} · {splits[shards.ids[row]]} · {pair.distance:.3f}", row)
        for pair in pairs
        for row in (pair.one, pair.other)
    ]
    return Part(title, cards)


def write_sheet(path: Path, parts: Sequence[Part], shards: ShardReader) -> None:
    """Draw the parts below each other and write them atomically."""
    shown = [shards.ids[card.row] for part in parts for card in part.cards]
    export_picture(compose(parts, shards), path, {"made_by": "t2v clips", "clips": shown})


def compose(parts: Sequence[Part], shards: ShardReader) -> Frames:
    """The sheet as uint8 [H,W,3]."""
    scale = max(1, -(-MIN_HEIGHT // shards.shape[1]))
    height, width, _ = film_strip(shards.frames([0])[0], scale).shape
    line = CAPTION_LINE + height + CAPTION_LINE
    heights = [-(-len(part.cards) // COLUMNS) * (line + GAP) + GAP for part in parts]
    inner = COLUMNS * (width + GAP) + GAP
    page = Page(
        2 * MARGIN + sum(TITLE_LINE + part_height for part_height in heights) + BLOCK_GAP * (len(parts) - 1),
        2 * MARGIN + inner,
    )
    places: list[tuple[int, int, int]] = []
    y = MARGIN
    for part, part_height in zip(parts, heights, strict=True):
        page.text(MARGIN, y, part.title, TITLE, width=inner)
        page.panel(MARGIN, y + TITLE_LINE, inner, part_height)
        for number, card in enumerate(part.cards):
            down, across = divmod(number, COLUMNS)
            left = MARGIN + GAP + across * (width + GAP)
            top = y + TITLE_LINE + GAP + down * (line + GAP)
            page.text(left, top + PAD, card.caption, LABEL, width=width)
            page.text(left, top + CAPTION_LINE + height + PAD, card.note, LABEL, width=width, colour=PALE_INK)
            places.append((left, top + CAPTION_LINE, card.row))
        y += TITLE_LINE + part_height + BLOCK_GAP
    sheet = page.pixels()
    for left, top, row in places:
        sheet[top : top + height, left : left + width] = film_strip(shards.frames([row])[0], scale)
    return sheet


def _mixed(rows: Sequence[int], shards: ShardReader, labels: Mapping[str, Clip]) -> list[int]:
    """The rows reordered so that objects alternate."""
    clips = [labels.get(shards.ids[row]) for row in rows]
    return order_round_robin(rows, [clip.objects if clip else () for clip in clips])


def order_round_robin(rows: Sequence[int], shown: Sequence[Hashable]) -> list[int]:
    """The rows reordered: first occurrences of the values in `shown`, then second ones, and so on."""
    times: Counter[Hashable] = Counter()
    turns = []
    for thing in shown:
        turns.append(times[thing])
        times[thing] += 1
    return [row for _, row in sorted(zip(turns, rows, strict=True), key=lambda pair: pair[0])]


def _card(row: int, shards: ShardReader, labels: Mapping[str, Clip]) -> Card:
    clip = labels.get(shards.ids[row])
    words = [shards.ids[row], *([clip.split] if clip else []), *(["mirrored"] if clip and clip.mirrored else [])]
    return Card(shards.captions[row], " · ".join(words), row)
