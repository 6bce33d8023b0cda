"""Optuna chooses points from the record alone, so that a killed sweep goes on as if it had not been."""

import math

from pipeline.sweeping import Trial, suggest_point
from pipeline.sweeping.axes import read_axes

AXES = read_axes(["a=0.001..1000.0:log", "b=[1, 2],[3]", "c=1..9"])


def search(score, count=30):
    """The trials of a whole search."""
    trials = []
    for _ in range(count):
        values = suggest_point(AXES, trials, count, largest=False, seed=3)
        trials.append(Trial(values, score(values), True))
    return trials


def test_the_same_record_gives_the_same_point():
    trials = [Trial({"a": 1.0, "b": [3], "c": 2}, 0.5, True), Trial({"a": 2.0, "b": [1, 2], "c": 2}, None, False)]
    first = suggest_point(AXES, trials, 10, largest=True, seed=3)
    assert first == suggest_point(AXES, trials, 10, largest=True, seed=3)
    assert first["b"] in ([1, 2], [3])
    assert isinstance(first["c"], int)


def test_the_search_gathers_where_the_metric_is_smallest():
    trials = search(lambda values: abs(math.log10(values["a"]) - 2) + (values["b"] == [3]))
    late = [abs(math.log10(trial.values["a"]) - 2) for trial in trials[-10:]]
    assert sorted(late)[5] < 1  # of distances of up to 5, evenly drawn: the median would be 2
    assert sum(trial.values["b"] == [1, 2] for trial in trials[-10:]) > 5


def test_a_point_that_failed_does_not_stop_the_search():
    failed = Trial({"a": 1.0, "b": [3], "c": 2}, None, True)
    assert suggest_point(AXES, [failed] * 5, 10, largest=True, seed=3)["a"] > 0
