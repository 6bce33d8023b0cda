"""Intervals hold the truth about as often as they say."""

import numpy as np

from pipeline.evaluation.distances import frechet
from pipeline.evaluation.intervals import interval, interval_by_halves, interval_of_mean
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
