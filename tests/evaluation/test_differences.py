"""Which differences are called real, against chances known beforehand."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.evaluation.intervals import (
    Figure,
    correct_by_holm,
    find_differences,
    have_same_reference,
    interval_of_mean,
    interval_of_share,
)


def figure(value, error, clips=100):
    """A figure with a normal interval of this standard error."""
    return Figure(value, value - 1.96 * error, value + 1.96 * error, clips)


def share(rng, chance, clips):
    """A share measured on so many clips, as `metrics` does it."""
    values = (rng.random(clips) < chance).astype(float)
    return Figure(float(values.mean()), *interval_of_mean(values, 200, rng), clips)


def test_the_chance_of_a_difference_is_that_of_a_normal_one():
    found = find_differences({"a": figure(0.5, 0.03)}, {"a": figure(0.6, 0.04)})["a"]
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.1 - 1.96 * 0.05, 0.1 + 1.96 * 0.05))
    assert found.p_value == pytest.approx(2 * norm.sf(2))
    assert found.significant


def test_the_correction_is_that_of_the_worked_example():
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02."""
    corrected = correct_by_holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert correct_by_holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


def test_two_deviations_are_real_alone_but_not_among_many():
    a, b = figure(0.5, 0.03), figure(0.6, 0.04)
    many = {"a": b} | {str(number): a for number in range(20)}
    assert not find_differences(dict.fromkeys(many, a), many)["a"].significant


def test_equal_evaluations_do_not_differ():
    figures = {"a": figure(0.3, 0.0), "b": figure(1.0, 0.1), "c": Figure(None, reason="3 clips"), "d": figure(1.0, 0.0)}
    found = find_differences(figures, figures)
    assert [one.significant for one in found.values()] == [False] * 4
    assert [one.p_value for one in found.values()] == [None, 1.0, None, None]


def test_where_one_has_no_figure_there_is_no_difference():
    found = find_differences({"a": Figure(None, reason="3 clips")}, {"a": figure(0.5, 0.1)})["a"]
    assert (found.value, found.p_value, found.significant, found.a.reason) == (None, None, False, "3 clips")


def right(count, of):
    """The figure of so many right answers."""
    answers = (np.arange(of) < count).astype(float)
    return Figure(count / of, *interval_of_share(answers), of)


def test_all_of_ten_right_is_not_certainly_better_than_nine_of_ten():
    ten = right(10, 10)
    found = find_differences({"a": right(9, 10)}, {"a": ten})["a"]
    assert not found.significant and found.low < 0 < found.high
    assert find_differences({"a": ten}, {"a": right(0, 10)})["a"].significant


def test_a_difference_leans_to_the_side_that_its_intervals_lean_to():
    """From 54 of 60 to all of them: the one may be far lower than it seems, the other no higher."""
    found = find_differences({"a": right(54, 60)}, {"a": right(60, 60)})["a"]
    assert found.value == pytest.approx(0.1)
    assert found.high - found.value > 1.05 * (found.value - found.low)
    assert found.low > 0 and found.high < 1 and found.significant


def test_without_a_width_of_its_interval_no_difference_is_real():
    """One resampled unit gives an interval without a width, which says nothing about the figure."""
    point = find_differences({"a": Figure(0.5, 0.5, 0.5, 16)}, {"a": Figure(0.6, 0.6, 0.6, 16)})["a"]
    assert (point.value, point.p_value, point.significant) == (pytest.approx(0.1), None, False)


def test_figures_of_the_real_clips_are_no_differences():
    a = {"a": figure(0.5, 0.1), "a_ceiling": figure(0.9, 0.1)}
    assert list(find_differences(a, a)) == ["a"]
    assert have_same_reference(a, a)
    assert not have_same_reference(a, a | {"a_ceiling": figure(0.8, 0.1)})
    assert not have_same_reference(a, a | {"a_ceiling": Figure(None)})
    assert not have_same_reference({}, {})  # nothing in common to know it by


def test_of_equal_makers_few_are_called_different():
    """Of 300 pairs that differ by chance alone about 5 % are called real; 24 is beyond chance of that, too."""
    rng = np.random.default_rng(3)
    pairs = [(share(rng, 0.8, 120), share(rng, 0.8, 120)) for _ in range(300)]
    assert sum(find_differences({"a": a}, {"a": b})["a"].significant for a, b in pairs) <= 24


def test_of_unequal_makers_most_are_called_different():
    rng = np.random.default_rng(4)
    pairs = [(share(rng, 0.8, 120), share(rng, 0.5, 120)) for _ in range(100)]
    assert sum(find_differences({"a": a}, {"a": b})["a"].significant for a, b in pairs) >= 95
