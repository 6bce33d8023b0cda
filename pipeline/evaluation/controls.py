"""Controls: clips that are wrong in a known way, made from real ones, and what metrics are required to say about them.

A metric that fails a requirement is withdrawn from the headline.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import bdtrc

from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import ClipSet, MeasuredClips
from pipeline.judges import Prompt
from pipeline.records import Frames

NOISE = 8.0  # grey levels

# Sets of clips, by name.
REAL = "real test"
SECOND_REAL = "real val"  # scores as a perfect generator would
TRAIN_COPY, NOISY_COPY, MEAN = "train copy", "noisy train copy", "mean clip"
FROZEN, SHUFFLED, BACKWARDS = "frozen", "shuffled frames", "backwards"
CHANCE = "shuffled captions"  # accuracies at chance level
NOISE_ALONE = "noise"
FASTER, OTHER_CATEGORY = "double speed", "other category"
SPECIAL = (FASTER, OTHER_CATEGORY)  # only measured by metrics whose requirements name them
CONTROLS = (TRAIN_COPY, NOISY_COPY, MEAN, FROZEN, SHUFFLED, BACKWARDS, CHANCE, NOISE_ALONE, *SPECIAL)

ABSENT = Figure(None, reason="there are no such clips")
ONE_CLASS = "nothing to distinguish: all clips are of one class"
UNLIKELY = 0.001  # significance level: guesses pass for knowledge, or a sound metric is withdrawn, this rarely

Side = Literal["below", "above"]
Chance = Callable[[Sequence[Prompt], int], float]  # prompts, number of wrong captions -> share right by chance


class Limit(NamedTuple):
    """The value of the set `control` must be on one side of a limit.

    `unless` returns why that does not apply to the given real clips; empty if it does.
    """

    control: str
    side: Side
    limit: float
    of_real: bool = False  # relative to the value of `real val`; "above": to the upper end of its interval
    unless: Callable[[MeasuredClips], str] | None = None


class AtChance(NamedTuple):
    """With shuffled captions, clips must not be right more often than by chance."""

    chance: Chance


class BeyondChance(NamedTuple):
    """Real clips must be right more often than by chance: otherwise the metric measures nothing."""

    chance: Chance


Requirement = Limit | AtChance | BeyondChance
Table = Mapping[str, Mapping[str, Figure]]  # set of clips -> metric -> figure


class Check(NamedTuple):
    """The outcome of a requirement; `passed` is None if it could not be tried, and `reason` says why."""

    metric: str
    control: str
    demand: str  # the requirement in words, as in controls.csv
    found: float | None
    passed: bool | None
    reason: str = ""


def check_controls(
    table: Table, requirements: Mapping[str, Sequence[Requirement]], real: MeasuredClips, distractors: int
) -> list[Check]:
    """Check all requirements, given by metric, on the figures of the controls, which were made from the `real` clips.

    Each clip was compared with `distractors` wrong captions.
    """
    # Bonferroni: several metrics are tested on the same shuffled captions.
    tries = sum(isinstance(requirement, AtChance) for some in requirements.values() for requirement in some)
    checks = []
    prompts = real.prompts
    for metric, some in requirements.items():
        for requirement in some:
            if isinstance(requirement, Limit):
                checks.append(_check_limit(metric, requirement, table, real))
            elif isinstance(requirement, AtChance):
                checks.append(
                    _check_at_chance(metric, requirement.chance(prompts, distractors), table, UNLIKELY / tries)
                )
            else:
                checks.append(_check_beyond_chance(metric, requirement.chance(prompts, distractors), table))
    return checks


def _check_limit(metric: str, limit: Limit, table: Table, clips: MeasuredClips) -> Check:
    figure = table.get(limit.control, {}).get(metric, ABSENT)
    real = table.get(SECOND_REAL, {}).get(metric, ABSENT)
    unit = (real.value if limit.side == "below" else real.high) if limit.of_real else 1.0
    if figure.value is None or unit is None:
        absent = figure if figure.value is None else real
        return Check(metric, limit.control, limit.side, figure.value, None, absent.reason)
    if limit.unless and (reason := limit.unless(clips)):
        return Check(metric, limit.control, limit.side, figure.value, None, reason)
    bound = limit.limit * unit
    passed = figure.value <= bound if limit.side == "below" else figure.value >= bound
    return Check(metric, limit.control, f"{limit.side} {bound:.3g}", figure.value, passed)


def _check_at_chance(metric: str, chance: float, table: Table, error: float) -> Check:
    found = table.get(CHANCE, {}).get(metric, ABSENT)
    passed = None if found.value is None else _compute_chance(found, chance) >= error
    return Check(metric, CHANCE, f"at chance, {chance:.3g}", found.value, passed, found.reason)


def _check_beyond_chance(metric: str, chance: float, table: Table) -> Check:
    found = table.get(REAL, {}).get(metric, ABSENT)
    passed = None if found.value is None or chance == 1 else _compute_chance(found, chance) < UNLIKELY
    reason = found.reason if found.value is None else ONE_CLASS if passed is None else ""
    return Check(metric, REAL, f"beyond chance, {chance:.3g}", found.value, passed, reason)


def _compute_chance(found: Figure, chance: float) -> float:
    """The p-value: the probability that at least as many clips are right if each is right with this chance."""
    right = round((found.value or 0.0) * found.clips)
    return float(bdtrc(right - 1, found.clips, chance))


def select_withdrawn(checks: Sequence[Check]) -> set[str]:
    """The metrics that failed a check."""
    return {check.metric for check in checks if check.passed is False}


def compute_repeat_chance(wanted: Sequence[object]) -> float:
    """The probability that two of these, drawn with replacement, are the same; 1 for none."""
    return sum(count**2 for count in Counter(wanted).values()) / len(wanted) ** 2 if wanted else 1.0


def compute_ranking_chance(prompts: Sequence[Prompt], distractors: int, best: int) -> float:
    """The probability that a caption of these prompts, drawn at random, is among the `best` for a clip."""
    own = compute_repeat_chance([prompt.meaning for prompt in prompts])
    return own + (1 - own) * min(best / (1 + distractors), 1)


def scale_figure(value: float | None, floor: float | None, ceiling: float | None) -> float | None:
    """The value on a scale from 0 at the floor to 1 at the ceiling; None if an end is missing or both are equal."""
    if value is None or floor is None or ceiling is None or floor == ceiling:
        return None
    return (value - floor) / (ceiling - floor)


def copy_train(train: Frames, shown: Sequence[Prompt], wanted: Sequence[Prompt], rng: np.random.Generator) -> ClipSet:
    """For each wanted prompt a training clip of the same meaning, none twice unless they run out."""
    rows: list[int] = []
    taken: set[int] = set()
    for prompt in wanted:
        same = [row for row, other in enumerate(shown) if other.meaning == prompt.meaning] or list(range(len(shown)))
        fresh = [row for row in same if row not in taken] or same
        rows.append(int(rng.choice(fresh)))
        taken.add(rows[-1])
    return ClipSet(train[rows], [shown[row] for row in rows])


def add_noise(frames: Frames, rng: np.random.Generator) -> Frames:
    """Disguised copies: the clips shifted by a pixel or two, with noise."""
    moved = np.stack([_shift(clip, *rng.choice([-2, -1, 1, 2], 2)) for clip in frames])
    grain = rng.normal(0, NOISE, moved.shape)
    return (moved + grain).round().clip(0, 255).astype(np.uint8)


def _shift(clip: Frames, down: int, right: int) -> Frames:
    """The clip shifted by `down` and `right` pixels, with its border pixels repeated."""
    height, width = clip.shape[1:3]
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return clip[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]


def average_clips(train: Frames, shown: Sequence[Prompt], wanted: Sequence[Prompt]) -> ClipSet:
    """For each wanted prompt the mean of all training clips of its meaning: right on average, but no realistic clip.

    Prompts whose meaning no training clip has are left out.
    """
    trained = {prompt.meaning for prompt in shown}
    kept = [prompt for prompt in wanted if prompt.meaning in trained]
    means = {
        meaning: train[[other.meaning == meaning for other in shown]].mean(axis=0).round().astype(np.uint8)
        for meaning in sorted({prompt.meaning for prompt in kept})
    }
    return ClipSet(np.array([means[prompt.meaning] for prompt in kept], np.uint8), kept)


def freeze(frames: Frames) -> Frames:
    """The middle frame of each clip, repeated."""
    middle = frames.shape[1] // 2
    return np.repeat(frames[:, middle : middle + 1], frames.shape[1], axis=1)


def shuffle_frames(frames: Frames, rng: np.random.Generator) -> Frames:
    """The frames of each clip in random order."""
    return np.stack([clip[rng.permutation(len(clip))] for clip in frames])


def reverse(frames: Frames) -> Frames:
    """Each clip played backwards."""
    return np.ascontiguousarray(frames[:, ::-1])


def double_speed(frames: Frames) -> Frames:
    """Every second frame of each clip: half as many frames, twice the speed."""
    return np.ascontiguousarray(frames[:, ::2])


def swap_categories(prompts: Sequence[Prompt], rng: np.random.Generator) -> dict[int, Prompt]:
    """For each row with a known category a prompt of another category; empty if there is only one category."""
    others = {
        own: [prompt for prompt in prompts if prompt.category not in (own, -1)]
        for own in {prompt.category for prompt in prompts} - {-1}
    }
    known = [(row, others[prompt.category]) for row, prompt in enumerate(prompts) if others.get(prompt.category)]
    return {row: some[int(rng.integers(len(some)))] for row, some in known}


def shuffle_captions(prompts: Sequence[Prompt], rng: np.random.Generator) -> list[Prompt]:
    """The prompts in random order; some clips keep their meaning."""
    return [prompts[row] for row in rng.permutation(len(prompts))]


def draw_noise(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Frames:
    """Clips of uniform noise: the worst case of a distance."""
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)
