"""How sure a figure is: its 95 % interval, over clips."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

INSIDE = (2.5, 97.5)  # percent
NORMAL = 1.96  # deviations of a normal distribution to either side hold as many
Formula = Callable[..., NDArray[np.float64]]  # of means, one for each set


def interval(
    count: int, resamples: int, rng: np.random.Generator, figure: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """The interval of `figure`, which takes the rows to compute it on, when `count` rows are drawn with return.

    Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    figures = [figure(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(figures, INSIDE)
    return float(low), float(high)


def interval_by_halves(
    value: float, count: int, halves: int, rng: np.random.Generator, figure: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """The interval of a distance `value`: random halves of its clips differ as much as it does from the truth.

    Delete-half jackknife, Shao & Wu 1989. The bootstrap would not do: it draws clips twice, which counts as nearness,
    and a distance of fewer clips is larger, so that the value itself would often lie outside.
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
    """The interval of what follows from the means of several sets, each drawn anew on its own."""
    drawn = [some[rng.integers(0, len(some), (resamples, len(some)))].mean(axis=1) for some in sets]
    low, high = np.percentile(formula(*drawn), INSIDE)
    return float(low), float(high)
