"""A metric that its control does not move is withdrawn, and has no value in the headline."""

import functools

import numpy as np
import pytest
from measured_clips import measured, prompt, reference

from pipeline.evaluation.controls import CHANCE, REAL, Limit, check_controls, scale_figure, select_withdrawn
from pipeline.evaluation.controls import SECOND_REAL as SECOND
from pipeline.evaluation.evaluate import Evaluation
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.report import summarise, summarise_generator

REQUIREMENTS = {name: metric.requirements for name, metric in METRICS.items()}
LIMITS = [(name, limit) for name, some in REQUIREMENTS.items() for limit in some if isinstance(limit, Limit)]
PROMPTS = [prompt(thing, category) for thing in range(6) for category in range(2)]
SETS_OF_MODEL = ("model", "model, varied", "model, pairs", "model, words", REAL, "real pairs", "real words")


def honest():
    """A table in which every control does what is demanded, and real clips get 0.9 everywhere."""
    table = {name: {metric: Figure(0.9, 0.8, 1.0, 60) for metric in METRICS} for name in (*SETS_OF_MODEL, SECOND)}
    for metric, limit in LIMITS:
        value = 0.0 if limit.side == "below" else 3.0
        table.setdefault(limit.control, {})[metric] = Figure(value, value, value, 60)
    table[CHANCE] = {metric: Figure(0.05, 0.0, 0.1, 60) for metric in METRICS}
    return table


def check(table, prompts=PROMPTS):
    return check_controls(table, REQUIREMENTS, real_clips(tuple(prompts)), 31)


@functools.cache
def real_clips(prompts):
    """Five clips for each prompt."""
    return measured(5 * len(prompts), prompts=[*prompts] * 5)


def summarise_table(table, clips=None):
    return summarise_generator(Evaluation(METRICS, table, clips or {}, reference(), check(table)))


def test_honest_controls_withdraw_nothing():
    checks = check(honest())
    assert all(one.passed for one in checks)
    assert select_withdrawn(checks) == set()
    assert summarise_table(honest())["joint_accuracy"].value == 0.9


@pytest.mark.parametrize(("metric", "limit"), LIMITS, ids=lambda part: getattr(part, "control", part))
def test_a_control_that_does_not_move_withdraws_its_metric(metric, limit):
    table = honest()
    table[limit.control][metric] = table[SECOND][metric]._replace(value=0.9, low=0.85)
    if limit.side == "above" and not limit.of_real:
        table[limit.control][metric] = Figure(0.5, 0.4, 0.6, 60)
    assert select_withdrawn(check(table)) == {metric}


@pytest.mark.parametrize(
    ("metric", "gone"),
    [
        ("joint_accuracy", {"joint_accuracy", "joint_accuracy_ceiling", "pairs_joint_accuracy"}),
        ("object_accuracy", {"object_accuracy", "pairs_object_accuracy_ceiling", "new_words_accuracy_ceiling"}),
        ("r_precision_at_1", {"r_precision_at_1", "r_precision_at_1_ceiling"}),
    ],
)
def test_what_shuffled_captions_do_not_bring_to_chance_is_null_in_the_headline(metric, gone):
    table = honest()
    table[CHANCE][metric] = Figure(0.8, 0.7, 0.9, 60)
    told = summarise_table(table)
    for name in gone:
        assert (told[name].value, told[name].reason) == (None, "withdrawn: it failed a check on planted controls")
    assert told["category_accuracy"].value == 0.9


def test_chance_is_what_equal_answers_and_even_ranks_give():
    requirements = {one.metric: one.demand for one in check(honest()) if one.control == CHANCE}
    assert requirements["category_accuracy"] == "at chance, 0.5"
    assert requirements["object_accuracy"] == "at chance, 0.167"
    assert requirements["joint_accuracy"] == "at chance, 0.0833"
    own = 1 / 12
    assert requirements["r_precision_at_2"] == f"at chance, {own + (1 - own) * 2 / 32:.3g}"


@pytest.mark.slow
def test_an_honest_metric_is_hardly_ever_withdrawn_for_a_lucky_deal():
    """Captions dealt anew two thousand times to 60 clips that are all judged right: in 1 of 1,000 deals, at most."""
    rng = np.random.default_rng(2)
    prompts = PROMPTS * 5
    gone, table = 0, honest()
    for _ in range(2000):
        dealt = [prompts[row] for row in rng.permutation(60)]
        pairs = list(zip(prompts, dealt, strict=True))
        right = {
            "object_accuracy": np.mean([a.object == b.object for a, b in pairs]),
            "category_accuracy": np.mean([a.category == b.category for a, b in pairs]),
            "joint_accuracy": np.mean([a.meaning == b.meaning for a, b in pairs]),
        }
        table[CHANCE] |= {name: Figure(float(value), clips=60) for name, value in right.items()}
        gone += bool(select_withdrawn(check(table, prompts)))
    assert gone <= 6  # more have a chance under 1 % where 1 in 1,000 is true


def test_a_judge_that_only_guesses_has_no_say():
    """Real clips must be told apart better than by chance; with one category alone there is nothing to tell."""
    table = honest()
    table[REAL]["category_accuracy"] = Figure(0.6, 0.5, 0.7, 60)
    table[REAL]["motion_direction"] = Figure(0.3, 0.2, 0.4, 60)
    assert select_withdrawn(check(table)) == {"category_accuracy", "motion_direction"}
    alone = [prompt(thing) for thing in range(6)]
    assert {one.passed for one in check(table, alone) if one.metric == "category_accuracy"} == {True, None}


def test_shuffled_captions_come_to_that_chance():
    """Right answers throughout, dealt out anew ten thousand times."""
    rng = np.random.default_rng(1)
    dealt = [PROMPTS[row] for _ in range(10_000 // 12) for row in rng.permutation(12)]
    truth = [one for _ in range(10_000 // 12) for one in PROMPTS]
    same = np.mean([a.object == b.object for a, b in zip(dealt, truth, strict=True)])
    assert same == pytest.approx(1 / 6, abs=0.01)


def test_a_rule_without_its_control_is_not_tried_and_withdraws_nothing():
    table = honest()
    del table["backwards"], table["mean clip"], table[SECOND]
    checks = check(table)
    untried = {(one.metric, one.control) for one in checks if one.passed is None}
    assert ("motion_direction", "backwards") in untried
    assert ("precision", "shuffled frames") in untried
    assert select_withdrawn(checks) == set()
    assert list(summarise({}, checks))[-1].endswith(f"; {len(untried)} could not be tested")


def test_scaled_runs_from_the_floor_to_the_ceiling():
    assert [scale_figure(value, 10.0, 2.0) for value in (10.0, 6.0, 2.0)] == [0, 0.5, 1]
    assert (
        scale_figure(None, 1.0, 2.0)
        is scale_figure(1.0, None, 2.0)
        is scale_figure(1.0, 2.0, None)
        is scale_figure(1.0, 2.0, 2.0)
        is None
    )


def test_the_headline_has_every_key_that_the_demo_is_judged_by():
    told = summarise_table(honest())
    for name in ("object_accuracy", "category_accuracy", "joint_accuracy", "motion_direction", "r_precision_at_1"):
        assert {name, f"{name}_ceiling"} <= told.keys()
    assert {"mmd", "frechet", "precision", "recall", "diversity", "copy_rate"} <= told.keys()
    assert {"pairs_joint_accuracy", "pairs_joint_accuracy_ceiling", "new_words_accuracy"} <= told.keys()
    assert told["new_words_accuracy_ceiling"].value == 0.9
    assert told["counterfactual_flip"].reason == "no caption of the test split has an opposite"


def test_without_held_out_pairs_and_words_the_headline_says_so():
    table = honest()
    del table["model, pairs"], table["model, words"], table["real words"]
    told = summarise_table(table)
    assert told["pairs_joint_accuracy"].reason == "no pair is held out; see filter.test_pairs"
    reason = "no new words; see filter.test_words and evaluate.new_words"
    assert told["new_words_accuracy"].reason == reason
    assert told["new_words_accuracy_ceiling"].reason == "no word is held out; see filter.test_words"


def test_the_counterfactual_counts_turns_that_keep_the_object():
    before, after = measured(20), measured(20, movements=np.tile([-1.0, 0.0], (20, 1)))
    after.movements[:5] = [1.0, 0.0]  # did not turn
    before.movements[5:10], after.movements[5:10] = [-1.0, 0.0], [1.0, 0.0]  # turned, but went the wrong way both times
    after.objects[15:] += 1  # turned, and became something else
    seen = {"model, turned from": before, "model, turned to": after}
    table = honest()
    assert summarise_table(table, seen)["counterfactual_flip"].value == 0.25
