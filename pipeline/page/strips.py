"""Clips as images in the page: vertical strips of frames, animated by a style sheet."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.data.dataset import select_evenly
from pipeline.page.run import Run
from pipeline.records import Clip, Frames
from pipeline.rendering import Row
from pipeline.rendering.contact_sheet import choose_cards
from pipeline.rendering.export import read_samples
from pipeline.shards import INDEX, ShardReader
from pipeline.tables import read_table

# AVIF has full chroma at a quarter of the lossless size; one thread, so that equal clips give equal bytes.
QUALITY = 70
OPTIONS = {"quality": QUALITY, "subsampling": "4:4:4", "speed": 8, "max_threads": 1}


@dataclass(frozen=True)
class Strip:
    """A clip: its image as a data URL, alternative text, label, and shape T, H, W."""

    source: str
    alt: str
    label: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Card:
    """Related clips with a title."""

    title: str
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Sheet:
    """Cards with a heading."""

    title: str
    cards: Sequence[Card]


def encode_strip(frames: Frames, alt: str, label: str = "") -> Strip:
    """A clip uint8 [T,H,W,3] as a strip."""
    length, height, width, channels = frames.shape
    buffer = io.BytesIO()
    Image.fromarray(frames.reshape(length * height, width, channels)).save(buffer, "AVIF", **OPTIONS)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Strip(f"data:image/avif;base64,{text}", alt, label, (length, height, width))


def read_grid(run: Run, most: int) -> list[Sheet]:
    """A sheet per row of the grid of samples, a card per caption, with at most `most` captions, evenly spread."""
    rows = select_evenly(_read_rows(run.folders.samples / "grid.npz"), most)
    each = max(1, most // len(rows)) if rows else 0
    return [Sheet(row.title, _cut_row(row, each)) for row in rows]


def _cut_row(row: Row, most: int) -> list[Card]:
    """A card for each label, or for `most` evenly spread ones, with its windows of all blocks."""
    labels = dict.fromkeys(window.label for block in row.blocks for window in block.windows)
    return [
        Card(
            label,
            [
                encode_strip(
                    window.frames, f"{block.title}: {label}, {row.title}", block.title.removeprefix("generated, ")
                )
                for block in row.blocks
                for window in block.windows
                if window.label == label
            ],
        )
        for label in select_evenly(list(labels), most)
    ]


def read_pictures(run: Run, name: str) -> list[Card]:
    """The rows of a contact sheet of the evaluation: nearest, worst, opposites or words."""
    return [
        Card(
            row.title,
            [
                encode_strip(window.frames, f"{block.title}: {row.title}", block.title)
                for block in row.blocks
                for window in block.windows
            ],
        )
        for row in _read_rows(run.folders.evaluation / f"{name}.npz")
    ]


def read_data(run: Run, clips_per_category: int) -> list[Sheet]:
    """Some clips of each of the most frequent categories, as used in training."""
    folders = run.folders
    if not (folders.clips / INDEX).is_file():
        return []
    shards, table = ShardReader(folders.clips), folders.labels / "clips.parquet"
    labels = {clip.id: clip for clip in read_table(table, Clip)} if table.is_file() else {}
    parts = choose_cards(shards, labels, clips_per_category)
    return [
        Sheet(
            part.title,
            [Card(card.caption, [encode_strip(shards[card.row], card.caption, card.note)]) for card in part.cards],
        )
        for part in parts
    ]


def align_samples(runs: Sequence[Run], most: int) -> tuple[str, list[Sheet]]:
    """The first block of samples common to all runs: its title, and cards of captions with a clip per run.

    There are at most `most` cards, evenly spread over the captions. Blocks are named by their seed, so all clips of a
    card have the same noise seed.
    """
    grids = {run.name: rows for run in runs if (rows := _read_rows(run.folders.samples / "grid.npz"))}
    titles = [dict.fromkeys(block.title for row in rows for block in row.blocks) for rows in grids.values()]
    common = [title for title in (titles or [{}])[0] if title != "real" and all(title in own for own in titles)]
    windows = [
        (name, (row.title, window.label), window.frames)
        for name, rows in grids.items()
        for row in rows
        for block in row.blocks
        for window in block.windows
        if block.title in common[:1]
    ]
    chosen = select_evenly(list(dict.fromkeys(place for _, place, _ in windows)), most)
    cards: dict[tuple[str, str], list[Strip]] = {place: [] for place in chosen}
    for name, (title, label), frames in windows:
        if (title, label) in cards:
            cards[title, label].append(encode_strip(frames, f"{name}: {label}, {title}", name))
    return (common or [""])[0], [
        Sheet(title, [Card(label, strips) for (row, label), strips in cards.items() if row == title])
        for title in dict.fromkeys(row for row, _ in cards)
    ]


def _read_rows(path: Path) -> list[Row]:
    return read_samples(path) if path.is_file() else []
