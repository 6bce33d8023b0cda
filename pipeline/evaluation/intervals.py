"""95 % confidence intervals of figures over clips, and significant differences between two evaluations."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import read_json

INSIDE = 0.95  # the probability that an interval holds the true value
PERCENTILES = (50 * (1 - INSIDE), 50 * (1 + INSIDE))
NORMAL = 1.96  # standard deviations of a normal distribution for the same interval
Formula = Callable[..., NDArray[np.float64]]  # a function of the means of several sets

UNLIKELY = 0.05  # family-wise significance level over all figures that are compared
OF_THE_REALS = ("_ceiling", "_of_real")  # suffixes of figures that do not depend on the generator
REMEDY = "give data/evaluation, as `dvc repro evaluate` writes it, or a JSON file of `t2v evaluate`"


class Figure(NamedTuple):
    """The value of a metric for a set of clips; None, with a reason, if it cannot be measured."""

    value: float | None
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    clips: int = 0
    reason: str = ""


def interval(
    count: int, resamples: int, rng: np.random.Generator, figure: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """The bootstrap interval of `figure`, a function of the rows, of which `count` are drawn with replacement.

    Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    figures = [figure(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(figures, PERCENTILES)
    return float(low), float(high)


def interval_by_halves(
    value: float,
    count: int,
    halves: int,
    rng: np.random.Generator,
    figure: Callable[[NDArray[np.int64]], float],
    *,
    is_proportion: bool = False,
) -> tuple[float, float]:
    """The interval of a distance or a proportion `value`, from its standard deviation over random halves of the clips.

    `figure` may take a random half of the other set as well: the interval is then for other clips in both.

    Delete-half jackknife, Shao & Wu 1989. The bootstrap is biased here: clips drawn twice make sets seem closer, and a
    distance of fewer distinct clips is larger, so that the value itself would often be outside its interval.
    """
    figures = [figure(rng.permutation(count)[: count // 2]) for _ in range(halves)]
    deviation = float(np.std(figures))
    if is_proportion:
        return _interval_of_proportion(value, deviation, count)
    return value - NORMAL * deviation, value + NORMAL * deviation


def _interval_of_proportion(value: float, deviation: float, count: int) -> tuple[float, float]:
    """The interval of a proportion with this standard deviation, within 0 and 1. Wilson 1927.

    The sample size is the one at which independent clips would have this deviation: the effective sample size of Kish
    1965. At 0 and 1, where any deviation is that of no sample size, it is the number of clips.
    """
    variance = value * (1 - value)
    size = variance / deviation**2 if variance and deviation else float(count)
    squared = NORMAL**2 / size
    centre = (value + squared / 2) / (1 + squared)
    reach = math.sqrt(squared * (variance + squared / 4)) / (1 + squared)
    # Rounding errors may lead out of 0 and 1, and away from a value there.
    return min(max(centre - reach, 0.0), value), max(min(centre + reach, 1.0), value)


def interval_of_mean(values: NDArray[np.float64], resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """The interval of the mean of one value per clip: exact for shares, by the bootstrap for anything else."""
    if _is_share(values):
        return interval_of_share(values)
    return interval_of_means([values], resamples, rng, lambda mean: mean)


def _is_share(values: NDArray[np.float64]) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(values, (0, 1)).all())


def interval_of_share(values: NDArray[np.float64]) -> tuple[float, float]:
    """The exact interval of the share of ones among zeros and ones. Clopper & Pearson 1934.

    The bootstrap's has no width where all values are equal, as if ten right answers proved that none is ever wrong.
    """
    from scipy.special import betaincinv  # takes 0.2 s, and comparing figures needs none of it

    right, wrong = int((values == 1).sum()), int((values == 0).sum())
    low = betaincinv(right, wrong + 1, (1 - INSIDE) / 2) if right else 0.0
    high = betaincinv(right + 1, wrong, (1 + INSIDE) / 2) if wrong else 1.0
    return float(low), float(high)


def interval_of_ratio(shares: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """The interval of the ratio of two shares, of which the second is not 0, from the intervals of both.

    Donner & Zou 2012, "Closed-form confidence intervals for functions of the normal mean and standard deviation".
    """
    a, b = float(shares.mean()), float(others.mean())
    (a_low, a_high), (b_low, b_high) = interval_of_share(shares), interval_of_share(others)
    # Written so that no denominator can be 0.
    low = a_low * (2 * a - a_low)
    low = low / (a * b + math.sqrt(max((a * b) ** 2 - low * b_high * (2 * b - b_high), 0.0))) if a else 0.0
    scale = b_low * (2 * b - b_low)
    high = (a * b + math.sqrt(max((a * b) ** 2 - a_high * (2 * a - a_high) * scale, 0.0))) / scale
    return low, high


def interval_of_means(
    sets: Sequence[NDArray[np.float64]], resamples: int, rng: np.random.Generator, formula: Formula
) -> tuple[float, float]:
    """The interval of a formula of the means of several sets, each resampled independently."""
    drawn = [some[rng.integers(0, len(some), (resamples, len(some)))].mean(axis=1) for some in sets]
    low, high = np.percentile(formula(*drawn), PERCENTILES)
    return float(low), float(high)


class Difference(NamedTuple):
    """The figure of B minus that of A; None if either has no value or no interval."""

    a: Figure
    b: Figure
    value: float | None = None
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    p_value: float | None = None  # corrected for the number of comparisons
    significant: bool = False


def find_differences(a: Mapping[str, Figure], b: Mapping[str, Figure]) -> dict[str, Difference]:
    """The differences in the figures that A and B have in common, in the order of A.

    Both are assumed independent; if they share captions or noise, the test is conservative. Without an interval of both
    that has a width there is no p-value. They are corrected by Holm 1979, which is valid for dependent figures too.
    """
    names = [name for name in a if name in b and not name.endswith(OF_THE_REALS)]
    found = {name: _subtract(a[name], b[name]) for name in names}
    p_values = correct_by_holm({name: one.p_value for name, one in found.items() if one.p_value is not None})
    return {
        name: one._replace(p_value=p_values[name], significant=p_values[name] < UNLIKELY) if name in p_values else one
        for name, one in found.items()
    }


def _subtract(a: Figure, b: Figure) -> Difference:
    """The difference and its interval, from the intervals of both; they need not be symmetric. Newcombe 1998."""
    if a.value is None or b.value is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return Difference(a, b)
    value = b.value - a.value
    below, above = math.hypot(b.value - b.low, a.high - a.value), math.hypot(b.high - b.value, a.value - a.low)
    reach = below if value > 0 else above  # towards 0
    p_value = math.erfc(NORMAL * abs(value) / reach / math.sqrt(2)) if reach else None
    return Difference(a, b, value, value - below, value + above, p_value)


def correct_by_holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: the smallest p-value times their number n, the next times n - 1, ...; never decreasing."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for index, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - index)))
        corrected[name] = highest
    return corrected


def have_same_reference(a: Mapping[str, Figure], b: Mapping[str, Figure]) -> bool:
    """Whether the figures of real clips, and so the judge and the clips, are the same; False if unknown."""
    names = [name for name in a if name in b and name.endswith(OF_THE_REALS)]
    pairs = [(a[name].value, b[name].value) for name in names]
    same = [x == y or (x is not None and y is not None and math.isclose(x, y, abs_tol=1e-6)) for x, y in pairs]
    return bool(same) and all(same)


def read_figures(path: Path) -> dict[str, Figure]:
    """Figures by name, from an intervals.json or the output of `t2v evaluate`. Raises UserError if it is neither."""
    return parse_figures(read_json(path, REMEDY), str(path))


def parse_figures(tree: Any, source: str) -> dict[str, Figure]:
    """Figures by name, from the decoded JSON of such a file."""
    figures = tree.get("figures", tree) if isinstance(tree, dict) else tree
    if not isinstance(figures, dict):
        raise UserError(f"{source}: has no metrics of an evaluation; {REMEDY}")
    return {name: _parse_figure(figure, name, source) for name, figure in figures.items()}


def _parse_figure(figure: Any, name: str, source: str) -> Figure:
    if figure is None or isinstance(figure, int | float):
        raise UserError(f"{source}: has {name} without its interval, as metrics.json does; {REMEDY}")
    if not isinstance(figure, dict) or "value" not in figure or figure.keys() - set(Figure._fields):
        raise UserError(f"{source}: {name} is not a metric of an evaluation; {REMEDY}")
    found = Figure(**figure)
    numbers = [found.value, found.low, found.high]
    if not all(number is None or (isinstance(number, int | float) and math.isfinite(number)) for number in numbers):
        raise UserError(f"{source}: {name} has {numbers} as its value and interval; {REMEDY}")
    return found
