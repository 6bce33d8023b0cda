"""Intervals hold the truth about as often as they say."""

from dataclasses import replace

import numpy as np
import pytest
from measured_clips import measured, reference
from scipy.stats import binomtest

from pipeline.evaluation.distances import compute_prdc, frechet
from pipeline.evaluation.intervals import interval, interval_by_halves, interval_of_mean, interval_of_ratio
from pipeline.evaluation.metrics import DISTANCES
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


def draw_features(rng, scale):
    """Sixty clips that differ in their six features alone."""
    features = rng.normal(scale=scale, size=(60, 6))
    return measured(60, features=features, statistics=np.zeros((60, 4)), laplacian_energies=np.zeros((60, 3)))


@pytest.mark.parametrize("name", ["recall", "coverage"])
def test_the_intervals_of_shares_of_neighbours_are_as_wide_as_these_vary(name):
    """The truth is the deviation over many pairs of sets.

    With halves of the fakes alone the width for recall was 0.7 to 0.9 of it, that for coverage up to 1.6 times.
    """
    rng = np.random.default_rng(1)
    base = reference()
    pairs = [(draw_features(rng, 1.0), draw_features(rng, 0.7)) for _ in range(150)]
    truth = np.std([getattr(compute_prdc(real.features, fake.features), name) for real, fake in pairs])
    figures = [DISTANCES[name].measure(fake, replace(base, real=real), name) for real, fake in pairs[:30]]
    width = np.sqrt(np.mean([((figure.high - figure.low) / 2 / 1.96) ** 2 for figure in figures]))
    assert 0.8 < width / truth < 1.25


@pytest.mark.parametrize("name", ["precision", "recall", "coverage"])
def test_intervals_of_proportions_stay_within_0_and_1_and_have_a_width(name):
    """With ends at the same distance from the value on both sides, recall went up to 1.03."""
    rng = np.random.default_rng(1)
    base = reference()
    for scale in (0.02, 0.9, 1.0):
        real = draw_features(rng, 1.0)
        figure = DISTANCES[name].measure(draw_features(rng, scale), replace(base, real=real), name)
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert 0.03 < figure.high - figure.low < 0.5


@pytest.mark.parametrize(("right", "count"), [(0, 20), (3, 20), (20, 20), (57, 60)])
def test_the_interval_of_a_proportion_of_independent_clips_is_that_of_wilson(right, count):
    share = right / count
    deviation = np.sqrt(share * (1 - share) / count)
    figures = iter([share - deviation, share + deviation])
    rng = np.random.default_rng(1)
    found = interval_by_halves(share, count, 2, rng, lambda _: next(figures), is_proportion=True)
    assert found == pytest.approx(tuple(binomtest(right, count).proportion_ci(method="wilson")), abs=1e-4)


def test_the_mmd_of_few_clips_of_one_distribution_is_0_on_average():
    """Standardised by the real clips themselves it was 0.1."""
    base = reference()
    sets = [(measured(20, seed), measured(20, 1000 + seed)) for seed in range(50, 200)]
    figures = [DISTANCES["mmd"].measure(fake, replace(base, real=real, resamples=1), "mmd") for real, fake in sets]
    found = np.array([figure.value for figure in figures])
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found)) < 0.06
