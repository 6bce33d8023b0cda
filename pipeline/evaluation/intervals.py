"""95 % confidence intervals of figures over clips, and significant differences between two evaluations."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import read_json

INSIDE = (2.5, 97.5)  # percent
NORMAL = 1.96  # standard deviations of a normal distribution for the same interval
Formula = Callable[..., NDArray[np.float64]]  # a function of the means of several sets

UNLIKELY = 0.05  # family-wise significance level over all figures that are compared
OF_THE_REALS = ("_ceiling", "_of_real")  # suffixes of figures that do not depend on the generator
REMEDY = "name data/evaluation, which `dvc repro evaluate` makes, or a json of `t2v evaluate`"
PSEUDO = 2  # successes and failures added to a share of 0 or 1. Agresti & Coull 1998


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
    low, high = np.percentile(figures, INSIDE)
    return float(low), float(high)


def interval_by_halves(
    value: float, count: int, halves: int, rng: np.random.Generator, figure: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """The interval of a distance `value`, from its standard deviation over random halves of the clips.

    Delete-half jackknife, Shao & Wu 1989. The bootstrap is biased here: clips drawn twice make sets seem closer, and a
    distance of fewer distinct clips is larger, so that the value itself would often be outside its interval.
    """
    figures = [figure(rng.permutation(count)[: count // 2]) for _ in range(halves)]
    reach = NORMAL * float(np.std(figures))
    return value - reach, value + reach


def interval_of_mean(values: NDArray[np.float64], resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """The interval of the mean of one value per clip."""
    return interval_of_means([values], resamples, rng, lambda mean: mean)


def interval_of_means(
    sets: Sequence[NDArray[np.float64]], resamples: int, rng: np.random.Generator, formula: Formula
) -> tuple[float, float]:
    """The interval of a formula of the means of several sets, each resampled independently."""
    drawn = [some[rng.integers(0, len(some), (resamples, len(some)))].mean(axis=1) for some in sets]
    low, high = np.percentile(formula(*drawn), INSIDE)
    return float(low), float(high)


class Difference(NamedTuple):
    """The figure of B minus that of A; None if either has no value or no interval."""

    a: Figure
    b: Figure
    value: float | None = None
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    chance: float | None = None  # p-value, corrected for the number of comparisons
    real: bool = False


def find_differences(a: Mapping[str, Figure], b: Mapping[str, Figure]) -> dict[str, Difference]:
    """The differences in the figures that A and B have in common, in the order of A.

    Both are assumed independent and normally distributed; if they share captions or noise, the test is conservative.
    p-values are corrected by Holm 1979, which is valid for dependent figures too.
    """
    names = [name for name in a if name in b and not name.endswith(OF_THE_REALS)]
    found = {name: _subtract(a[name], b[name]) for name in names}
    chances = correct_by_holm({name: one.chance for name, one in found.items() if one.chance is not None})
    return {
        name: one._replace(chance=chances[name], real=chances[name] < UNLIKELY) if name in chances else one
        for name, one in found.items()
    }


def _subtract(a: Figure, b: Figure) -> Difference:
    if a.value is None or b.value is None or a.low is None or b.low is None:
        return Difference(a, b)
    value, error = b.value - a.value, math.hypot(compute_error(a), compute_error(b))
    chance = math.erfc(abs(value) / error / math.sqrt(2)) if error else float(value == 0)
    return Difference(a, b, value, value - NORMAL * error, value + NORMAL * error, chance)


def compute_error(figure: Figure) -> float:
    """The standard error that corresponds to a figure's interval.

    A share of 0 or 1 has an interval of width 0, since all resamples are equal: its error is computed after adding a
    few successes and failures.
    """
    if figure.low is None or figure.high is None:
        return 0.0
    if figure.low == figure.high and figure.value in (0.0, 1.0) and figure.clips:
        count = figure.clips + 2 * PSEUDO
        share = PSEUDO / count
        return math.sqrt(share * (1 - share) / count)
    return (figure.high - figure.low) / (2 * NORMAL)


def correct_by_holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: the smallest p-value times their number n, the next times n - 1, ...; never decreasing."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for index, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        highest = max(highest, min(1.0, chances[name] * (len(chances) - index)))
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
        raise UserError(f"{source}: holds no figures of an evaluation by their names; {REMEDY}")
    return {name: _parse_figure(figure, name, source) for name, figure in figures.items()}


def _parse_figure(figure: Any, name: str, source: str) -> Figure:
    if figure is None or isinstance(figure, int | float):
        raise UserError(f"{source}: holds {name} without its interval, as metrics.json does; {REMEDY}")
    if not isinstance(figure, dict) or "value" not in figure or figure.keys() - set(Figure._fields):
        raise UserError(f"{source}: {name} is no figure of an evaluation; {REMEDY}")
    found = Figure(**figure)
    numbers = [found.value, found.low, found.high]
    if not all(number is None or (isinstance(number, int | float) and math.isfinite(number)) for number in numbers):
        raise UserError(f"{source}: {name} has {numbers} for a figure and its interval; {REMEDY}")
    return found
