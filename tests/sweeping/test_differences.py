"""Which points differ, held against SciPy's own test, closed forms, and sweeps in which nothing differs."""

import numpy as np
import pytest
from scipy.stats import studentized_range, t, tukey_hsd

from pipeline.sweeping.differences import compare_points, compute_range_p_values, find_front


def test_the_chances_of_one_metric_are_those_of_tukeys_test():
    values = {1: [0.1, 0.2, 0.15], 2: [0.3, 0.35, 0.2], 3: [0.5, 0.6, 0.62]}
    found = compare_points({"recall": values})["recall"]
    expected = tukey_hsd(*values.values()).pvalue
    for (a, b), chance in found.pairs.items():
        assert chance == pytest.approx(expected[a - 1, b - 1], rel=1e-4)
    assert found.significant == [(1, 3), (2, 3)]


@pytest.mark.parametrize(("count", "freedom"), [(2, 1), (3, 4), (21, 40), (60, 400)])
def test_chances_of_a_range_are_those_of_scipy(count, freedom):
    gaps = np.array([0.01, 1.0, 4.0, 8.0, 30.0])
    expected = studentized_range.sf(gaps, count, freedom)
    assert compute_range_p_values(gaps, count, freedom) == pytest.approx(expected, rel=1e-5, abs=1e-13)


def test_a_difference_too_large_for_any_chance_is_corrected_like_others():
    far = {1: [0.0, 1e-6], 2: [1.0, 1.0 + 1e-6], 3: [0.0, 1e-6]}
    pairs = compare_points({"a": far, "b": far})["a"].pairs
    assert pairs[1, 2] < 1e-9
    assert pairs[1, 3] == 1


def test_points_that_are_not_told_apart_are_listed_from_the_nearest_on():
    values = {1: [0.0, 0.1], 2: [0.12, 0.22], 3: [0.01, 0.11], 4: [9.0, 9.1]}
    assert compare_points({"recall": values})["recall"].find_alike(1) == [3, 2]


def test_the_interval_is_that_of_a_mean_with_the_deviation_of_all_points():
    found = compare_points({"recall": {1: [1.0, 3.0], 2: [5.0, 9.0]}})["recall"]
    reach = t.ppf(0.975, 2) * np.sqrt((2 + 8) / 2) / np.sqrt(2)
    assert found.spreads[1] == pytest.approx((2, 2 - reach, 2 + reach, 2))


def test_many_metrics_are_corrected_for_their_number():
    values = {1: [0.1, 0.2, 0.15], 2: [0.4, 0.3, 0.35]}
    alone = compare_points({"a": values})["a"].p_value
    rng = np.random.default_rng(1)
    noise = {f"noise {number}": {1: rng.normal(size=3), 2: rng.normal(size=3)} for number in range(9)}
    assert compare_points({"a": values} | noise)["a"].p_value == pytest.approx(10 * alone)


@pytest.mark.slow
def test_where_nothing_differs_a_difference_is_seldom_found():
    rng = np.random.default_rng(7)
    sweeps = [{m: {p: rng.normal(size=3) for p in range(3)} for m in "ab"} for _ in range(60)]
    wrong = sum(any(one.significant for one in compare_points(values).values()) for values in sweeps)
    assert wrong <= 8  # 3 are expected at most; 9 and more of 60 have a chance of 0.3 %


@pytest.mark.parametrize(
    "values",
    [
        {1: [0.1], 2: [0.9]},  # one seed each
        {1: [0.5, 0.5], 2: [1.0, 1.0]},  # no seed differs from another
        {1: [0.1, 0.1, 0.1], 2: [0.7, 0.7, 0.7]},  # the same, of numbers whose mean is rounded
        {1: [0.5, 0.7]},  # one point
    ],
)
def test_where_seeds_say_nothing_of_chance_nothing_is_called_real(values):
    found = compare_points({"recall": values})["recall"]
    assert (found.pairs, found.p_value, found.significant) == ({}, None, [])


def test_the_front_holds_what_no_point_surpasses_in_both():
    assert find_front({1: (0.1, 0.9), 2: (0.5, 0.5), 3: (0.4, 0.5), 4: (0.9, 0.1), 5: (0.9, 0.1)}) == [1, 2, 4, 5]
    assert find_front({}) == []
