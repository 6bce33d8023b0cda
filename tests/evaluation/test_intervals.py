"""Intervals hold the truth about as often as they say."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation.distances import frechet
from pipeline.evaluation.intervals import interval, interval_by_halves, interval_of_mean, interval_of_ratio
from pipeline.measures import mmd


def covered(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


def test_the_interval_of_a_mean_holds_the_true_mean_in_95_of_100_repeats():
    rng = np.random.default_rng(1)
    intervals = [interval_of_mean(rng.exponential(2.0, 60), 400, rng) for _ in range(600)]
    assert 0.90 < covered(intervals, 2.0) < 0.97


def test_the_interval_of_any_figure_holds_the_true_one_as_often():
    rng = np.random.default_rng(1)
    intervals = []
    for _ in range(150):
        values = rng.normal(0, 1, 60)
        intervals.append(interval(len(values), 100, rng, lambda rows, values=values: float(np.median(values[rows]))))
    assert 0.90 < covered(intervals, 0.0) < 0.99


@pytest.mark.parametrize("count", [0, 1, 7, 11, 12])
def test_the_interval_of_a_share_is_that_of_another_implementation(count):
    """It has a width even where all clips are right, or none."""
    low, high = interval_of_mean((np.arange(12) < count).astype(float), 100, np.random.default_rng(1))
    assert (low, high) == pytest.approx(binomtest(count, 12).proportion_ci(method="exact"))
    assert high - low > 0.2


@pytest.mark.parametrize(("share", "other"), [(0.7, 0.9), (0.97, 0.97), (0.1, 0.5), (1.0, 1.0)])
def test_the_interval_of_a_ratio_holds_the_true_one_at_least_as_often_as_it_says(share, other):
    rng = np.random.default_rng(1)
    draw = lambda mean: (rng.random(60) < mean).astype(float)  # noqa: E731
    intervals = [interval_of_ratio(draw(share), draw(other)) for _ in range(400)]
    assert 0.94 < covered(intervals, share / other) <= 1
    assert all(0 <= low < high < 10 for low, high in intervals)


def test_the_ratio_of_no_right_answers_has_an_interval_from_0():
    low, high = interval_of_ratio(np.zeros(20), np.ones(20))
    assert low == 0 and 0.1 < high < 0.3


def test_equal_seeds_give_equal_intervals():
    values = np.arange(30.0)
    first, second = (interval_of_mean(values, 100, np.random.default_rng(7)) for _ in range(2))
    assert first == second
    assert first[0] < values.mean() < first[1]


def test_random_halves_tell_how_far_a_distance_is_from_its_mean():
    """The truth is the mean over many sets of fakes; the real set stays the same."""
    rng = np.random.default_rng(1)
    real = rng.normal(size=(60, 4))
    for distance in (mmd, frechet):
        sets = [rng.normal(0.5, 1.3, (60, 4)) for _ in range(60)]
        values = [distance(real, fake) for fake in sets]
        intervals = [
            interval_by_halves(
                value, 60, 30, rng, lambda rows, fake=fake, distance=distance: distance(real, fake[rows])
            )
            for value, fake in zip(values, sets, strict=True)
        ]
        assert 0.88 < covered(intervals, np.mean(values)) <= 1
        assert all(low < value < high for value, (low, high) in zip(values, intervals, strict=True))
