"""Metrics of sets of clips that were made by hand, so that every figure is known."""

import numpy as np
import pytest
import torch
from measured_clips import change, measured, prompt, reference

from pipeline.evaluation.controls import SPECIAL
from pipeline.evaluation.distances import MIN_DISTANCE_CLIPS, MIN_FRECHET_CLIPS
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import CaptionBank
from pipeline.evaluation.metric import MIN_CLIPS, average, measure_all
from pipeline.evaluation.metrics import CLIP_METRICS, DISTANCES, METRICS, MIN_CAPTIONS, measure_diversity
from pipeline.evaluation.pretrained_metrics import PRETRAINED_METRICS

OWN_METRICS = {name: metric for name, metric in METRICS.items() if name not in PRETRAINED_METRICS}
COPY_RATES = [name for name in METRICS if name.startswith("copy_rate")]


def measure(clips, reference, *names):
    """The figures of these metrics; without names, of all."""
    return measure_all({name: OWN_METRICS[name] for name in names or OWN_METRICS}, clips, reference)


def test_accuracies_are_shares_of_right_answers_among_what_the_judge_can_know():
    seen = measured(20, prompts=[prompt(0, 1)] * 15 + [prompt(-1, 1)] * 5)
    seen.objects[:6] = 3
    seen.categories[4:10] = 0
    figures = measure(seen, reference())
    assert (figures["object_accuracy"].value, figures["object_accuracy"].clips) == (9 / 15, 15)
    assert (figures["category_accuracy"].value, figures["category_accuracy"].clips) == (14 / 20, 20)
    assert (figures["joint_accuracy"].value, figures["joint_accuracy"].clips) == (5 / 15, 15)


def test_a_direction_is_right_within_45_degrees_where_the_caption_says_one():
    moves = [(1, 0), (-1, 0), (0, 1), None] * 5
    seen = measured(20, prompts=[prompt(0, moves=way) for way in moves])
    figure = measure(seen, reference())["motion_direction"]
    assert (figure.value, figure.clips) == (pytest.approx(1 / 3), 15)


def test_r_precision_counts_ranks_and_says_nothing_with_too_few_wrong_captions():
    figures = measure(measured(20, ranks=np.arange(20) % 4.0), reference())
    assert [figures[f"r_precision_at_{best}"].value for best in (1, 2, 3)] == [0.25, 0.5, 0.75]
    absent = measure(measured(20, ranks=np.full(20, np.nan)), reference())["r_precision_at_1"]
    assert absent.value is None
    assert absent.reason.endswith(f"can be compared with: 0, needed: {MIN_CLIPS}")


def test_what_moves_less_than_nearly_all_real_clips_stands_still():
    real = measured(60, energies=np.arange(1.0, 61.0), jerks=np.full(60, 4.0))
    seen = measured(10, energies=np.array([0.5] * 4 + [30.0] * 6), jerks=np.full(10, 6.0))
    figures = measure(seen, reference(real))
    assert figures["static_share"].value == 0.4
    assert figures["flicker"].value == 1.5
    assert measure(real, reference(real))["static_share"].value == pytest.approx(0.05)
    frozen = measure(seen, reference(change(real, jerks=np.zeros(60))))["flicker"]
    assert frozen.value is None


@pytest.mark.parametrize("count", [1, 5, 9])
def test_too_few_clips_give_no_figure_but_the_number_that_is_needed(count):
    for figure in measure(measured(count), reference()).values():
        assert (figure.value, figure.low, figure.high) == (None, None, None)
        assert "needed" in figure.reason


def test_each_distance_says_how_many_clips_it_needs():
    figures = measure(measured(30), reference())
    assert figures["mmd"].clips == 30
    for name in DISTANCES:
        assert (figures[name].value is None) == ((MIN_FRECHET_CLIPS if "frechet" in name else MIN_DISTANCE_CLIPS) > 30)
    assert figures["frechet"].reason == "30 clips on either side, 48 are needed"


def test_distances_are_taken_at_one_number_of_clips_for_all_sets():
    stick = reference(equal=50)
    few, many = (measure(measured(count, 7), stick, *DISTANCES) for count in (60, 240))
    assert {figures[name].clips for figures in (few, many) for name in DISTANCES} == {50}


def test_a_distance_lies_within_its_interval_and_equal_seeds_give_equal_figures():
    first, second = measure(measured(60, 7), reference()), measure(measured(60, 7), reference())
    assert first == second
    assert all(first[name].low < first[name].value < first[name].high for name in ("mmd", "frechet"))


def test_the_real_set_is_not_compared_with_itself():
    stick = reference()
    assert measure(stick.real, stick, "frechet")["frechet"].reason == "what the others are compared with"


def test_identical_real_clips_give_no_distance_and_identical_fakes_a_large_one():
    alike = {"features": np.ones((60, 6)), "statistics": np.ones((60, 4)), "laplacian_energies": np.ones((60, 3))}
    unknown = measure(measured(60), reference(measured(60, **alike)), "mmd")["mmd"]
    assert unknown.reason == "the real clips are all the same"
    collapsed = measure(measured(60, **alike), reference(), "frechet", "recall")
    fresh = measure(measured(60, 9), reference(), "frechet")
    assert collapsed["frechet"].value > 3 * fresh["frechet"].value
    assert collapsed["recall"].value == 0


def test_diversity_is_the_spread_within_captions_over_that_of_real_clips():
    """Within a caption the fakes lie half as far apart, however far the captions are from each other."""
    real = measured(60, 1, prompts=[prompt(row % MIN_CAPTIONS) for row in range(60)])
    meanings = np.array([one.meaning for one in real.prompts])
    centres = np.array([real.features[meanings == meaning].mean(axis=0) for meaning in range(MIN_CAPTIONS)])
    narrow = change(real, features=centres[meanings] * 9 + (real.features - centres[meanings]) / 2)
    figure = measure(narrow, reference(real), "diversity")["diversity"]
    assert figure.value == pytest.approx(0.5)
    assert (figure.low, figure.high) == (pytest.approx(0.5), pytest.approx(0.5))


def test_diversity_over_few_captions_has_no_interval():
    """With one caption in common all resamples are equal, and any difference seemed to be beyond chance."""
    real = measured(60, 1, prompts=[prompt(row % 2) for row in range(60)])
    figure = measure_diversity(real.features / 2, real.features, real, reference(real))
    assert figure == Figure(pytest.approx(0.5), clips=60)


def test_no_scale_ends_at_a_set_that_its_metric_is_not_measured_on():
    """Sets of the splits may be absent; the controls are always there."""
    ends = [(name, metric, end) for name, metric in METRICS.items() if metric.scale for end in metric.scale]
    assert len(ends) > 20
    assert [name for name, metric, end in ends if end in metric.spared or end in SPECIAL] == []


def test_a_judge_to_which_all_captions_are_equal_ranks_by_chance():
    prompts = [prompt(row % 21) for row in range(210)]
    bank = CaptionBank(prompts[:21], 20)
    cosines = torch.full((210, 21), 0.3) + 1e-8 * torch.rand(210, 21)
    ranks = bank.rank(torch.full((210,), 0.3), cosines, prompts).numpy()
    assert [(ranks < best).mean() for best in (1, 2, 21)] == pytest.approx([1 / 21, 2 / 21, 1])


def test_diversity_of_identical_clips_is_0_and_of_real_ones_unknown():
    same = measured(60, features=np.ones((60, 6)))
    assert measure(same, reference(), "diversity")["diversity"].value == 0
    unknown = measure(measured(60), reference(same), "diversity")["diversity"]
    assert unknown.reason == "real clips of a caption are all the same"
    others = measured(60, prompts=[prompt(99)] * 60)
    absent = measure(others, reference(), "diversity")["diversity"]
    assert absent.reason == "0 clips with another one of the caption, 10 are needed"


def test_copies_are_counted_in_any_space_and_with_few_unseen_clips_not_at_all():
    stick = reference()
    figures = measure(stick.copies.train, stick, *COPY_RATES)
    assert figures["copy_rate"].value == figures["copy_rate_features"].value == figures["copy_rate_flows"].value == 1
    few = measure(stick.copies.train, reference(unseen=20), *COPY_RATES)
    assert {few[name].reason for name in COPY_RATES} == {"20 unseen real clips to judge nearness by, 50 are needed"}


def test_every_metric_is_there_in_the_order_of_telling():
    assert tuple(measure_all(METRICS, measured(5), reference())) == tuple(METRICS)
    assert set(CLIP_METRICS) | set(DISTANCES) | set(COPY_RATES) | set(PRETRAINED_METRICS) < set(METRICS)


def test_a_share_leaves_out_what_tells_nothing():
    figure = average(np.array([1.0, 0.0, np.nan] * 10), reference())
    assert (figure.value, figure.clips) == (0.5, 20)
    assert figure.low < 0.5 < figure.high
