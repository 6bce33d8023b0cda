"""Which points of a sweep really differ: each metric over the seeds of each point, and what chance could have made."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import ndtr
from scipy.stats import chi, norm, t

from pipeline.evaluation.intervals import UNLIKELY, correct_by_holm

Pair = tuple[int, int]
SURE = 0.975  # quantile of an interval that holds 95 %
NEVER = 1e-15  # a chance that sums are cut off at
WIDEST = 20.0  # deviations that no range of normal numbers exceeds


class Spread(NamedTuple):
    """A metric of one point: the mean over its seeds, and the 95 % interval of that mean."""

    mean: float
    low: float | None  # None where no point has two seeds
    high: float | None
    seeds: int


class MetricDifferences(NamedTuple):
    """One metric: its spread at each point, and how often chance makes points as far apart."""

    spreads: dict[int, Spread]
    pairs: dict[Pair, float]  # chance of each pair, corrected; empty where nothing can be said
    chance: float | None  # the smallest of them

    @property
    def real(self) -> list[Pair]:
        """The pairs that differ, the point with the smaller mean first."""
        found = [pair for pair, chance in self.pairs.items() if chance < UNLIKELY]
        return [tuple(sorted(pair, key=lambda point: self.spreads[point].mean)) for pair in found]  # type: ignore[misc]

    def find_alike(self, point: int) -> list[int]:
        """The points that are not told from this one, those with the nearest mean first."""
        apart = {other for pair in self.real if point in pair for other in pair}
        others = [other for other in self.spreads if other != point and other not in apart]
        return sorted(others, key=lambda other: abs(self.spreads[other].mean - self.spreads[point].mean))


def compare_points(values: Mapping[str, Mapping[int, Sequence[float]]]) -> dict[str, MetricDifferences]:
    """Metric -> point -> its value at each seed, compared.

    All points of a metric are taken to vary alike from seed to seed, by a normal distribution: with few seeds each
    says too little of its own. Pairs are corrected for their number by Tukey 1949 (Kramer 1956 for unequal numbers),
    metrics for theirs by Holm 1979.
    """
    found = {metric: _compare(points) for metric, points in values.items()}
    smallest = {metric: min(one.pairs.values()) for metric, one in found.items() if one.pairs}
    corrected = correct_by_holm(smallest)
    return {
        metric: one if metric not in smallest else _correct(one, corrected[metric], smallest[metric])
        for metric, one in found.items()
    }


def compute_range_chances(gaps: NDArray[np.float64], count: int, freedom: int) -> NDArray[np.float64]:
    """How often `count` normal numbers have a larger range than each gap, in deviations estimated with `freedom`.

    It is scipy.stats.studentized_range.sf within 1e-5 of the chance, all at once: SciPy takes 5 ms for each, and a
    sweep of 21 points with 34 metrics has 7,140 of them.
    """
    ends = np.log(chi.ppf(NEVER, freedom)), np.log(chi.isf(NEVER, freedom))
    estimates = np.exp(np.linspace(*ends, 400))  # even by their logarithm: any gap then meets equally smooth a curve
    weights = chi.pdf(estimates, freedom) * estimates
    ranges = gaps[:, None] * estimates / math.sqrt(freedom)
    chances: NDArray[np.float64] = _tabulate_range(count)(np.minimum(ranges, WIDEST)) @ weights / weights.sum()
    return chances.clip(NEVER, 1.0)


def find_front(points: Mapping[int, tuple[float, float]]) -> list[int]:
    """The points that no other one surpasses in one of two figures without being worse in the other."""
    return [
        name
        for name, (one, other) in points.items()
        if not any(a >= one and b >= other and (a, b) != (one, other) for a, b in points.values())
    ]


@cache
def _tabulate_range(count: int) -> CubicSpline:
    """How often the range of `count` normal numbers exceeds a number: 1 minus a sum over where the largest is."""
    ranges, largest = np.linspace(0, WIDEST, 401), np.linspace(-9, WIDEST + 9, 761)
    below = (ndtr(largest) - ndtr(largest - ranges[:, None])) ** (count - 1)
    return CubicSpline(ranges, 1 - count * below @ norm.pdf(largest) * (largest[1] - largest[0]))


def _compare(points: Mapping[int, Sequence[float]]) -> MetricDifferences:
    """The chances of pairs corrected for each other, not yet for other metrics."""
    freedom = sum(map(len, points.values())) - len(points)
    squares = sum(float(np.var(values)) * len(values) for values in points.values())
    deviation = math.sqrt(squares / freedom) if freedom else math.nan
    spreads = {point: _spread(values, deviation, freedom) for point, values in points.items()}
    if len(points) < 2 or not deviation > 0:  # where all seeds agree to the last digit, nothing is known of chance
        return MetricDifferences(spreads, {}, None)
    pairs = list(combinations(points, 2))
    errors = [deviation * math.sqrt((1 / len(points[a]) + 1 / len(points[b])) / 2) for a, b in pairs]
    gaps = [abs(spreads[a].mean - spreads[b].mean) / error for (a, b), error in zip(pairs, errors, strict=True)]
    chances = compute_range_chances(np.array(gaps), len(points), freedom)
    return MetricDifferences(spreads, dict(zip(pairs, map(float, chances), strict=True)), None)


def _spread(values: Sequence[float], deviation: float, freedom: int) -> Spread:
    mean = float(np.mean(values))
    if not freedom:
        return Spread(mean, None, None, len(values))
    reach = float(t.ppf(SURE, freedom)) * deviation / math.sqrt(len(values))
    return Spread(mean, mean - reach, mean + reach, len(values))


def _correct(one: MetricDifferences, corrected: float, smallest: float) -> MetricDifferences:
    factor = corrected / smallest
    return one._replace(pairs={pair: min(1.0, chance * factor) for pair, chance in one.pairs.items()}, chance=corrected)
