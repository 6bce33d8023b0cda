"""The pictures show what there is to worry about."""

import numpy as np
from measured_clips import measured, prompt, reference

from pipeline.evaluation.controls import REAL
from pipeline.evaluation.evaluate import Evaluation, select_nearest, select_worst
from pipeline.evaluation.metrics import METRICS


def assessment(model):
    return Evaluation(METRICS, {}, {"model": model, REAL: measured(60, seed=1)}, reference(), [])


def test_the_sample_nearest_to_a_training_clip_in_any_space_comes_first_with_its_distance():
    model = measured(12, seed=9)
    copied = reference().copies.train
    model.flows[5] = copied.flows[7]  # in one space alone
    first, *others = select_nearest(assessment(model), 3)
    assert first.caption == model.prompts[5].caption.text
    generated, *found = first.clips.values()
    assert np.array_equal(generated, model.frames[5])
    assert np.array_equal(found[2], copied.frames[7])
    assert list(first.clips)[3] == "flows: 0.00 of the limit"
    assert len(others) == 2


def test_distances_are_given_by_the_limit_below_which_a_clip_is_a_copy():
    model, copies = measured(12, seed=9), reference().copies
    nearer = copies.find_copies(model)
    for space, close in copies.measure_closeness(model).items():
        assert (close < 1).tolist() == nearer[space].tolist()
        np.testing.assert_allclose(close * copies.limits[space], copies.find_nearest(model, space).distances)


def test_where_all_unseen_clips_are_copies_none_of_the_samples_is_called_one():
    model, copies = measured(12, seed=9), reference().copies
    copies.limits["flows"] = 0.0
    model.flows[5] = copies.train.flows[7]
    assert copies.measure_closeness(model)["flows"].min() == 1


def test_wrong_samples_of_the_worst_captions_come_first_and_right_captions_not_at_all():
    prompts = [prompt(row % 3) for row in range(12)]
    model = measured(12, seed=9, prompts=prompts)
    model.objects[[4, 7, 8]] += 1  # two of the second object, one of the third
    lines = select_worst(assessment(model), 8, 3)
    assert [line.caption for line in lines] == ["pushing 1 as 0: 2 of 4 right", "pushing 2 as 0: 3 of 4 right"]
    assert list(lines[0].clips) == ["generated 1, wrong", "generated 2, wrong", "generated 3, right", "real"]
    for frames, row in zip(lines[0].clips.values(), (4, 7, 1), strict=False):
        assert np.array_equal(frames, model.frames[row])


def test_where_all_are_right_the_captions_are_shown_all_the_same():
    assert len(select_worst(assessment(measured(12, seed=9)), 2, 3)) == 2
