"""Planted cheats and floors, made from real clips: each must be caught by the metrics that are there to catch it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.judges.classes import Prompt
from pipeline.records import Frames

NOISE = 8.0  # grey levels


class Clips(NamedTuple):
    """Clips uint8 [N,T,H,W,3] and what each should show."""

    frames: Frames
    prompts: Sequence[Prompt]


def train_copy(train: Frames, shown: Sequence[Prompt], wanted: Sequence[Prompt], rng: np.random.Generator) -> Clips:
    """For each wanted prompt a training clip of the same meaning, another as long as there are any: perfect looks."""
    rows: list[int] = []
    taken: set[int] = set()
    for prompt in wanted:
        same = [row for row, other in enumerate(shown) if other.meaning == prompt.meaning] or list(range(len(shown)))
        fresh = [row for row in same if row not in taken] or same
        rows.append(int(rng.choice(fresh)))
        taken.add(rows[-1])
    return Clips(train[rows], [shown[row] for row in rows])


def noisy(frames: Frames, rng: np.random.Generator) -> Frames:
    """The clips a pixel or two to the side, with noise: a copy that wants not to be one."""
    moved = np.stack([_moved(clip, *rng.choice([-2, -1, 1, 2], 2)) for clip in frames])
    grain = rng.normal(0, NOISE, moved.shape)
    return (moved + grain).round().clip(0, 255).astype(np.uint8)


def _moved(clip: Frames, down: int, right: int) -> Frames:
    """The clip that far to the side, its edges drawn out over what comes into view."""
    height, width = clip.shape[1:3]
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return clip[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]


def mean_clips(train: Frames, shown: Sequence[Prompt], wanted: Sequence[Prompt]) -> Clips:
    """For each wanted prompt the mean of all training clips of its meaning: right on average, and no clip at all.

    Prompts that no training clip shows are left out.
    """
    trained = {prompt.meaning for prompt in shown}
    kept = [prompt for prompt in wanted if prompt.meaning in trained]
    means = {
        meaning: train[[other.meaning == meaning for other in shown]].mean(axis=0).round().astype(np.uint8)
        for meaning in sorted({prompt.meaning for prompt in kept})
    }
    return Clips(np.array([means[prompt.meaning] for prompt in kept], np.uint8), kept)


def frozen(frames: Frames) -> Frames:
    """The middle frame of each clip, all the time."""
    middle = frames.shape[1] // 2
    return np.repeat(frames[:, middle : middle + 1], frames.shape[1], axis=1)


def shuffled_frames(frames: Frames, rng: np.random.Generator) -> Frames:
    """The frames of each clip in disorder."""
    return np.stack([clip[rng.permutation(len(clip))] for clip in frames])


def backwards(frames: Frames) -> Frames:
    """Each clip played from its end."""
    return np.ascontiguousarray(frames[:, ::-1])


def shuffled_captions(prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
    """The prompts dealt out anew, as by chance: some clips get their own meaning again."""
    return [prompts[row] for row in rng.permutation(len(prompts))]


def noise_clips(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Frames:
    """Clips without anything in them: how bad a distance can get."""
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)
