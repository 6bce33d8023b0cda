"""Distances between the motion of clips and of real ones, by histograms of velocities: of sets and by category.

Histograms of velocity and of acceleration are from Liu et al. 2024, "Frechet Video Motion Distance", arXiv:2407.16124.
Ours are of dense flow, and are compared by the energy distance, which is unbiased and therefore works for the few clips
of a category. Szekely & Rizzo 2013, "Energy statistics".
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.controls import (
    BACKWARDS,
    FASTER,
    FROZEN,
    OTHER_CATEGORY,
    SHUFFLED,
    Limit,
)
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import Floats, Ints, MeasuredClips
from pipeline.evaluation.metric import DISTANCE_SCALE, SAME, Reference, SetMetric, compare_with_real, measure_distance
from pipeline.evaluation.two_sample import MIN_DISTANCE_CLIPS, measure_energy_distance
from pipeline.measures import GRID, STILL

MIN_OF_CATEGORY = 10  # clips on either side
ONE_WAY = 0.5  # share of the motion of a category; back-and-forth motion is the same when reversed


def _measure_sets(clips: MeasuredClips, reference: Reference, count: int) -> Figure:
    real, fake = (side.velocities[:count] for side in (reference.real, clips))
    return measure_distance(measure_energy_distance, *_scale(real, fake), reference)


def _measure_categories(clips: MeasuredClips, reference: Reference) -> Figure:
    """The distance between the clips of a category and the real ones, averaged with the numbers of clips as weights."""
    if clips is reference.real:
        return Figure(None, reason=SAME)
    real, fake = group_by_category(reference.real), group_by_category(clips)
    known = [name for name in fake if min(len(fake[name]), len(real.get(name, ()))) >= MIN_OF_CATEGORY]
    if not known:
        most = max((min(len(fake[name]), len(real.get(name, ()))) for name in fake), default=0)
        detail = f"{most} clips of a category on either side, {MIN_OF_CATEGORY} are needed"
        return Figure(None, clips=most, reason=detail)
    a, b = _scale(reference.real.velocities, clips.velocities)
    of_row = np.full(len(clips), -1)
    for name in known:
        of_row[fake[name]] = name
    rows = np.flatnonzero(of_row >= 0)

    def between(_: Floats, chosen: Floats) -> float:
        """`chosen` [N,2V+1]: histograms, and the category in the last column."""
        own = chosen[:, -1].astype(int)
        parts = [measure_energy_distance(a[real[name]], chosen[own == name, :-1]) for name in known]
        return float(np.average(parts, weights=[(own == name).sum() for name in known]))

    return measure_distance(between, a, np.column_stack((b, of_row))[rows], reference)


def _scale(real: Floats, fake: Floats) -> tuple[Floats, Floats]:
    """Velocities and their changes [N,2,V] concatenated [N,2V], each in units of the real ones' total deviation."""
    scale = np.sqrt(real.var(axis=0).sum(axis=1, keepdims=True))
    scale = np.where(scale > 0, scale, 1.0)
    a, b = ((side / scale).reshape(len(side), -1) for side in (real, fake))
    return a, b


def group_by_category(clips: MeasuredClips) -> Mapping[int, Ints]:
    """The rows of each category that is a class of the judge."""
    categories = np.array([prompt.category for prompt in clips.prompts])
    return {int(name): np.flatnonzero(categories == name) for name in np.unique(categories) if name >= 0}


def explain_both_ways(real: MeasuredClips) -> str:
    """Why reversed real clips need not have a larger distance: their motion goes both ways; empty if it does not."""
    share = measure_one_way(real)
    if share >= ONE_WAY:
        return ""
    return f"real clips of a category move both ways: {share:.2f} of their movement is one-way, {ONE_WAY} is needed"


def measure_one_way(clips: MeasuredClips) -> float:
    """The share of the motion that the clips of a category have in common and that reverses when they play backwards.

    1 if all move alike in one direction; 0 if motion returns to its start, or half of the clips go the other way.
    """
    flows = clips.flows.reshape(len(clips), -1, 2 * GRID**2)  # [N,P,...]
    turned = (flows + flows[:, ::-1]) / 2  # played backwards, the order of the parts and the vectors are reversed
    large = [rows for rows in group_by_category(clips).values() if len(rows) >= MIN_OF_CATEGORY]
    lengths = [_measure_length(flows[rows]).mean() for rows in large]
    if max(lengths, default=0.0) <= STILL * clips.frames.shape[2]:
        return 0.0
    shares = [_measure_length(turned[rows].mean(axis=0, keepdims=True))[0] for rows in large]
    counts = [len(rows) for rows in large]
    return float(np.dot(shares, counts) / np.dot(lengths, counts))


def _measure_length(flows: NDArray[np.float64]) -> Floats:
    length: Floats = np.sqrt((flows**2).sum(axis=(1, 2)))
    return length


def _require_above_real(*controls: str) -> tuple[Limit, ...]:
    return tuple(Limit(name, "above", 1.0, of_real=True) for name in controls)


MOTION_METRICS: dict[str, SetMetric] = {
    "motion_distance": SetMetric(
        figure=compare_with_real(_measure_sets, MIN_DISTANCE_CLIPS),
        requirements=_require_above_real(FROZEN, SHUFFLED, FASTER),
        scale=DISTANCE_SCALE,
    ),
    "motion_distance_by_category": SetMetric(
        figure=_measure_categories,
        requirements=(
            *_require_above_real(FROZEN, SHUFFLED, FASTER, OTHER_CATEGORY),
            Limit(BACKWARDS, "above", 1.0, of_real=True, unless=explain_both_ways),
        ),
        scale=DISTANCE_SCALE,
    ),
}
