"""Memorisation: distances to the nearest training clips in three spaces, and the discriminator gap.

The gap is the test of Thanh-Tung et al. 2019, "Improving Generalization and Stability of Generative Adversarial
Networks" (arXiv:1902.03984): a discriminator that generalises scores training clips and unseen ones alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.duplicates import NEAR, compare_signatures, compute_signature, find_nearest_points
from pipeline.errors import UserError, name_install
from pipeline.evaluation.intervals import Figure, Formula, interval_of_mean, interval_of_means
from pipeline.evaluation.measured_clips import EDGE, Floats, Ints, MeasuredClips, make_clip_thumbnails
from pipeline.measures import average_parts
from pipeline.params import SearchName
from pipeline.records import Frames

CHUNK_DISTANCES = 4_000_000  # distances in memory at a time
CANDIDATES = 4  # found by faiss in float32; the nearest of them is then selected in float64

SPACES = ("pixels", "features", "flows")
# A clip counts as a copy if it is nearer than this quantile of the unseen real clips: 1 % over all spaces together.
QUANTILE = 0.01 / len(SPACES)
# A motion is copied only if it is this many times as near to that of a training clip as to standing still: else every
# clip that hardly moves would be a copy of any training clip that hardly moves.
DISTINCT = 2
MIN_UNSEEN = 50  # real clips; with fewer, this quantile cannot be estimated

TRAINED, UNSEEN, GENERATED = "real train", "real unseen", "model"  # sets of clips that the discriminator scores
MIN_SCORED = 10  # clips of each set


def find_nearest_rows(asked: Floats, base: Floats, by: SearchName) -> tuple[Ints, Floats]:
    """The index of the nearest row of `base` for each row of `asked` [N], and its distance [N]."""
    rows = _search_by_faiss(asked, base) if by == "faiss" else _search_by_numpy(asked, base)
    distances: Floats = np.linalg.norm(asked - base[rows], axis=1)
    return rows, distances


def _search_by_numpy(asked: Floats, base: Floats) -> Ints:
    """By matrix products, as |a - b|^2 = |a|^2 - 2 ab + |b|^2: several times as fast as pairwise differences."""
    centre = base.mean(axis=0)  # near 0, cancellation loses fewer digits
    asked, base = asked - centre, base - centre
    lengths = (base**2).sum(axis=1)
    step = max(CHUNK_DISTANCES // len(base), 1)
    parts = [(lengths - 2 * (asked[at : at + step] @ base.T)).argmin(axis=1) for at in range(0, len(asked), step)]
    return np.concatenate(parts)


def _search_by_faiss(asked: Floats, base: Floats) -> Ints:
    """By a flat index in float32: sometimes faster still for many rows."""
    try:
        import faiss
    except ModuleNotFoundError:
        raise UserError(
            f"evaluate.search: faiss is not installed; {name_install('faiss')}, or set it to numpy"
        ) from None
    centre = base.mean(axis=0)  # near 0, cancellation loses fewer digits
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(np.ascontiguousarray(base - centre, np.float32))
    _, found = index.search(np.ascontiguousarray(asked - centre, np.float32), min(CANDIDATES, len(base)))
    distances = np.linalg.norm(asked[:, None] - base[found], axis=2)
    nearest: Ints = found[np.arange(len(found)), distances.argmin(axis=1)]
    return nearest


@dataclass(frozen=True)
class NearestClips:
    """The nearest training clip of each clip in one space."""

    rows: Ints  # [N] of the training clips
    distances: NDArray[np.float64]  # [N]


class CopySearch:
    """Finds the nearest training clips, and compares their distances with those of unseen real clips.

    Unseen clips that are near-duplicates of training clips, `repeated` in number, are left out of this reference.
    """

    def __init__(self, train: MeasuredClips, unseen: MeasuredClips, by: SearchName) -> None:
        self.train = train
        self.by: SearchName = by
        self.find_nearest = cache(self._search)  # used by rates and pictures alike
        fresh = ~_find_repeated(unseen.frames, train.frames)
        self.fresh: Ints = np.flatnonzero(fresh)  # rows of the unseen clips
        self.unseen, self.repeated = len(self.fresh), len(fresh) - len(self.fresh)
        self.limits = {space: _find_limit(self.find_nearest(unseen, space).distances[fresh]) for space in SPACES}

    def _search(self, clips: MeasuredClips, space: str) -> NearestClips:
        """The nearest training clip of each clip in one of SPACES; in pixels, over all shifts of the clip."""
        versions = _shift(clips.frames) if space == "pixels" else [getattr(clips, space)]
        found = [find_nearest_rows(version, getattr(self.train, space), self.by) for version in versions]
        rows, distances = (np.stack(parts) for parts in zip(*found, strict=True))  # [versions,N]
        best = distances.argmin(axis=0), np.arange(rows.shape[1])
        return NearestClips(rows[best], distances[best])

    def measure_closeness(self, clips: MeasuredClips) -> dict[str, Floats]:
        """For each space, the distance to the nearest training clip over its limit: below 1 a clip counts as a copy."""
        near = {space: self.find_nearest(clips, space).distances for space in SPACES}
        close = {space: near[space] / limit if (limit := self.limits[space]) else near[space] + 1 for space in SPACES}
        moves = near["flows"] * DISTINCT < np.linalg.norm(clips.flows, axis=1)
        return close | {"flows": np.where(moves, close["flows"], np.maximum(close["flows"], 1))}

    def find_copies(self, clips: MeasuredClips) -> dict[str, NDArray[np.bool_]]:
        """For each space, which clips are nearer to a training clip than its limit: [N]."""
        return {space: close < 1 for space, close in self.measure_closeness(clips).items()}

    def compare_objects(self, clips: MeasuredClips) -> Floats:
        """1 if the nearest training clip, by features, shows another object than the prompt, nan if that is unknown."""
        rows = self.find_nearest(clips, "features").rows
        wanted = np.array([prompt.object for prompt in clips.prompts])
        found = np.array([self.train.prompts[row].object for row in rows])
        return np.where(wanted >= 0, wanted != found, np.nan)


def _find_repeated(unseen: Frames, train: Frames) -> NDArray[np.bool_]:
    """Which of the unseen clips [N,T,H,W,3] are near-duplicates of one of the training clips: [N]."""
    points = compare_signatures(np.stack([compute_signature(clip) for clip in (*unseen, *train)]))
    return find_nearest_points(points[: len(unseen)], points[len(unseen) :])[1] <= NEAR


def _find_limit(distances: Floats) -> float:
    """The quantile, rounded down to one of the distances, so that at most this share is nearer; 0 if empty."""
    return float(np.quantile(distances, QUANTILE, method="lower")) if len(distances) else 0.0


def _shift(frames: Frames) -> list[Floats]:
    """Thumbnails of the clips at all shifts up to EDGE pixels, since a shifted copy is a copy."""
    steps = range(-EDGE, EDGE + 1)
    parts = [average_parts(clip) for clip in frames]
    return [make_clip_thumbnails(parts, down, right) for down in steps for right in steps]


def measure_gap(logits: Mapping[str, Floats], resamples: int, seed: int) -> dict[str, Figure]:
    """The mean logit of training clips minus that of unseen ones; and its ratio to training minus generated clips.

    There are as many training clips as unseen ones.
    """
    if not logits:
        absent = Figure(None, reason="the generator was trained by flow, without a discriminator")
        return {"discriminator_gap": absent, "discriminator_gap_ratio": absent}
    trained, unseen, generated = (logits[name] for name in (TRAINED, UNSEEN, GENERATED))
    count = len(unseen)
    if count < MIN_SCORED:
        absent = Figure(None, clips=count, reason=f"{count} clips of each kind, {MIN_SCORED} are needed")
        return {"discriminator_gap": absent, "discriminator_gap_ratio": absent}

    def figure(formula: Formula, *sets: Floats) -> Figure:
        low, high = interval_of_means(sets, resamples, np.random.default_rng(seed), formula)
        return Figure(float(formula(*(some.mean() for some in sets))), low, high, count)

    figures = {"discriminator_gap": figure(_subtract, trained, unseen)}
    apart = figure(_subtract, trained, generated)
    if apart.low is None or apart.low <= 0:
        reason = "the discriminator does not distinguish training clips from generated ones"
        return figures | {"discriminator_gap_ratio": Figure(None, clips=count, reason=reason)}
    return figures | {"discriminator_gap_ratio": figure(_divide, trained, unseen, generated)}


def _subtract(trained: Floats, other: Floats) -> Floats:
    return trained - other


def _divide(trained: Floats, unseen: Floats, generated: Floats) -> Floats:
    return (trained - unseen) / (trained - generated)


def average_logits(logits: Mapping[str, Floats], resamples: int, seed: int) -> dict[str, Figure]:
    """The mean logit of each set of clips."""
    figures = {}
    for name, values in logits.items():
        low, high = interval_of_mean(values, resamples, np.random.default_rng(seed))
        figures[name] = Figure(float(values.mean()), low, high, len(values))
    return figures
