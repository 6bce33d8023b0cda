"""The grid of samples: a row for each category and each new word, with samples next to real clips."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.records import HELD_OUT, Caption, Clip, Frames
from pipeline.rendering import Block, Row, Window
from pipeline.text.embeddings import (
    Embeddings,
    Neighbour,
    SeenObjects,
    extend_vocabulary,
    replace_object,
    tokenize_name,
)
from pipeline.text.vocabulary import Vocabulary

STAR = "*"

Draw = Callable[[Sequence[Caption], int], Frames]  # captions and a seed -> a clip for each, all from the same noise
ReadFrames = Callable[[Sequence[str]], Frames]  # ids of clips -> uint8 [N,T,H,W,3]


@dataclass(frozen=True, slots=True)
class Role:
    """What one window of every block of a category shows."""

    template: str
    label: str  # the objects, with a star if their clips of this category are held out
    caption: str
    clip: str  # id of a real clip with this caption
    new: tuple[str, ...]  # its objects that are in no training clip


@dataclass(frozen=True, slots=True)
class RowPlan:
    """One row of the grid before it is rendered: its captions and real clips, with their labels."""

    title: str
    generated: list[tuple[str, Caption]]
    real: list[tuple[str, str]]  # ids of clips; may be empty


@dataclass(frozen=True)
class GridPlan:
    """The rows of a grid, and the vectors [N,D] of the words in them that must be added to the generator."""

    rows: list[RowPlan]
    vectors: NDArray[np.float32] | None = None


def plan_grid(
    clips: Sequence[Clip],
    captions: Mapping[str, Caption],
    vocabulary: Vocabulary,
    embeddings: Embeddings | None,
    objects: int,
    new_words: Sequence[str],
) -> GridPlan:
    """A row for each category with at most `objects` objects, then one for each new word and category.

    `captions` are by clip id. New words need embeddings.
    """
    roles = select_roles(clips, captions.keys(), objects)
    if embeddings is None:
        return GridPlan([_plan_row(some, captions, {}) for some in roles])
    seen = SeenObjects(
        (name for clip in clips if clip.split == "train" for name in clip.objects), vocabulary, embeddings
    )
    unseen = {name for some in roles for role in some for name in role.new}
    likeness = {name: f"{name} -> {near}" for name in unseen if (near := seen.find_nearest(name))}
    neighbours = {word: seen.require_nearest(word) for word in new_words}
    parts = (part for word in neighbours for part in tokenize_name(word, vocabulary))
    larger, vectors = extend_vocabulary(parts, vocabulary, embeddings)
    rows = [_plan_row(some, captions, likeness) for some in roles]
    for word, near in neighbours.items():
        rows += _plan_new_word(word, near, clips, captions, larger)
    return GridPlan(rows, vectors)


def render_rows(plan: GridPlan, seeds: Sequence[int], draw: Draw, read_frames: ReadFrames) -> list[Row]:
    """Generate every caption once per seed, and add the real clips."""
    rows = []
    for row in plan.rows:
        labels, captions = zip(*row.generated, strict=True)
        blocks = [_build_block(f"generated, seed {seed}", labels, draw(captions, seed)) for seed in seeds]
        if row.real:
            labels, ids = zip(*row.real, strict=True)
            blocks.append(_build_block("real", labels, read_frames(ids)))
        rows.append(Row(row.title, blocks))
    return rows


def _build_block(title: str, labels: Sequence[str], clips: Frames) -> Block:
    return Block(title, [Window(label, frames) for label, frames in zip(labels, clips, strict=True)])


def _plan_row(roles: Sequence[Role], captions: Mapping[str, Caption], likeness: Mapping[str, str]) -> RowPlan:
    generated = [(role.label, captions[role.clip]) for role in roles]
    return RowPlan(build_title(roles, likeness), generated, [(role.label, role.clip) for role in roles])


def _plan_new_word(
    word: str, near: Neighbour, clips: Sequence[Clip], captions: Mapping[str, Caption], vocabulary: Vocabulary
) -> list[RowPlan]:
    """The new word, and its neighbour, in place of the first object of a caption of each category."""
    hosts = select_hosts([clip for clip in clips if 1 in captions[clip.id].slots], near.name)
    if not hosts:
        raise UserError(f"render.new_words: no caption names an object that {word!r} could replace")
    rows = []
    for host in hosts:
        generated = [(name, replace_object(captions[host.id], name, vocabulary)) for name in (word, near.name)]
        real = [(near.name, host.id)] if host.objects[:1] == (near.name,) else []
        rows.append(RowPlan(f"{word} -> {near}: {host.template}", generated, real))
    return rows


def select_roles(clips: Sequence[Clip], available: Collection[str], most: int) -> list[list[Role]]:
    """The roles of each category, sorted: the `most` objects with most clips, each with its commonest caption.

    Clips whose id is not `available` are ignored.
    """
    seen = {name for clip in clips if clip.split == "train" for name in clip.objects}
    by_category: dict[str, dict[tuple[str, ...], list[Clip]]] = {}
    for clip in clips:
        if clip.id in available:
            by_category.setdefault(clip.category, {}).setdefault(clip.objects, []).append(clip)
    return [_select_objects(by_category[category], most, seen) for category in sorted(by_category)]


def _select_objects(by_objects: dict[tuple[str, ...], list[Clip]], most: int, seen: Collection[str]) -> list[Role]:
    chosen = sorted(by_objects, key=lambda objects: (-len(by_objects[objects]), objects))[:most]
    return [_build_role(by_objects[objects], seen) for objects in sorted(chosen)]


def _build_role(clips: Sequence[Clip], seen: Collection[str]) -> Role:
    counts = Counter(clip.caption for clip in clips)
    caption = min(counts, key=lambda text: (-counts[text], text))
    star = STAR if any(clip.split in HELD_OUT for clip in clips) else ""
    clip = min((clip for clip in clips if clip.caption == caption), key=lambda clip: clip.id)
    new = tuple(name for name in clip.objects if name not in seen)
    return Role(clip.template, " + ".join(clip.objects) + star, caption, clip.id, new)


def select_hosts(clips: Sequence[Clip], name: str) -> list[Clip]:
    """One clip of each category, sorted; preferably with `name` as its first object, then of the split train.

    Among equals, one with the commonest caption.
    """
    hosts = []
    for category in sorted({clip.category for clip in clips}):
        own = [clip for clip in clips if clip.category == category]
        counts = Counter(clip.caption for clip in own)
        hosts.append(
            min(own, key=lambda it: (it.objects[:1] != (name,), it.split != "train", -counts[it.caption], it.id))
        )
    return hosts


def build_title(roles: Sequence[Role], likeness: Mapping[str, str]) -> str:
    """The template of a row, with the meaning of the star if it is used, and the neighbours of new objects if known."""
    notes = [f"{STAR} held out of training"] if any(role.label.endswith(STAR) for role in roles) else []
    notes += [likeness[name] for role in roles for name in role.new if name in likeness]
    return roles[0].template + (f"   ({'; '.join(dict.fromkeys(notes))})" if notes else "")
