"""Which generator is the best, when a run has seen enough, and what a resumed run remembers of both."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from training_sets import tiny_params

from pipeline.training.validation import BestCheckpoint


class Figures:
    """A validation whose figures are known."""

    def __init__(self, name, values):
        self.rows = iter([{} if value is None else {f"val/{name}": value, "val/other": 0.0} for value in values])

    def measure(self, nets):  # noqa: ARG002
        return next(self.rows)


def watch(values, metric="discrepancy", patience=None, export="last"):
    train = tiny_params().train
    validation = train.validation.model_copy(update={"metric": metric, "patience": patience})
    params = train.model_copy(update={"validation": validation, "export": export})
    return BestCheckpoint(params, Figures(metric, values))


def networks(weight):
    nets = SimpleNamespace(average=nn.Linear(1, 1), discriminator=nn.Linear(1, 1))
    for model in vars(nets).values():
        nn.init.constant_(model.weight, weight)
    return nets


def ends(watch, times):
    """Whether the run should end, after each look."""
    told = []
    for number in range(times):
        watch.validate(8 * (number + 1), networks(float(number)))
        told.append(watch.out_of_patience)
    return told


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [("discrepancy", [3.0, 1.0, 2.0, 1.0], 16), ("motion_direction", [0.5, 0.5, 0.9, 0.7], 24)],
)
def test_the_best_is_the_lowest_discrepancy_or_the_largest_share_that_moves_rightly_and_the_first_of_equals(
    metric, values, best
):
    seen = watch(values, metric, export="best")
    ends(seen, 4)
    nets = networks(9.0)
    assert seen.load_exported_weights(32, nets) == best
    for model in vars(nets).values():
        assert model.weight.item() == best / 8 - 1
    assert f"best {metric} {values[best // 8 - 1]:.4g} after {best} clips" in str(seen)


def test_the_last_is_exported_unless_the_best_is_asked_for():
    seen = watch([1.0, 2.0])
    ends(seen, 2)
    nets = networks(9.0)
    assert seen.load_exported_weights(16, nets) == 16
    assert nets.average.weight.item() == 9.0
    assert seen.state()["weights"] == {}


def test_a_run_ends_after_so_many_validations_without_a_better_one():
    values = [3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 0.5]
    assert ends(watch(values, patience=1), 3) == [False, False, True]
    assert ends(watch(values, patience=2), 6) == [False] * 5 + [True]
    assert ends(watch(values, patience=3), 7) == [False] * 7
    assert ends(watch(values), 7) == [False] * 7


def test_what_comes_back_from_a_state_goes_on_alike():
    values = [3.0, 2.0, 2.5, 2.6]
    whole, first, second = (watch(values, patience=2, export="best") for _ in range(3))
    ends(whole, 4)
    ends(first, 2)
    second.load(first.state())
    next(second._validation.rows), next(second._validation.rows)
    for number in (2, 3):
        second.validate(8 * (number + 1), networks(float(number)))
    assert second.out_of_patience
    assert whole.out_of_patience
    mine, theirs = (seen.state() for seen in (second, whole))
    weights = [state.pop("weights") for state in (mine, theirs)]
    assert mine == theirs
    assert torch.equal(weights[0]["average"]["weight"], weights[1]["average"]["weight"])


def test_without_figures_no_generator_is_the_best_and_no_run_ends():
    nets = networks(9.0)
    seen = watch([None, None], patience=1, export="best")
    assert ends(seen, 2) == [False, False]
    assert seen.load_exported_weights(16, nets) == 16
    nothing = BestCheckpoint(tiny_params(export="best").train, None)
    assert nothing.validate(8, nets) == {}
    assert nothing.load_exported_weights(8, nets) == 8


def test_the_weights_that_are_kept_do_not_change_with_the_networks():
    seen, nets = watch([1.0, 2.0], export="best"), networks(1.0)
    seen.validate(8, nets)
    nn.init.constant_(nets.average.weight, 5.0)
    seen.validate(16, nets)
    assert seen.load_exported_weights(16, nets) == 8
    assert nets.average.weight.item() == 1.0
