"""Which clips a run is validated on: enough of them or none, with training clips of the same contents beside them."""

from dataclasses import replace

import numpy as np
import pytest
from training_sets import CPU, open_dataset, tiny_clips, tiny_params, write_data

from pipeline.training.validation import match_clips, open_validation_set


def opened(folder, made, clips=64, metric="discrepancy", **train):
    """The validation on these clips."""
    params = tiny_params(**train).train
    validation = params.validation.model_copy(update={"clips": clips, "metric": metric})
    params = params.model_copy(update={"validation": validation})
    return open_validation_set(1, params, open_dataset(write_data(folder, made)), CPU, 8)


def named(clips):
    return [(clip.category, clip.objects) for clip in clips]


def test_counterparts_have_the_same_meaning_where_there_is_one_and_none_comes_twice():
    clips = [clip for clip, _ in tiny_clips(30)]
    wanted, others = clips[:12], clips[12:]
    places = match_clips(wanted, others)
    assert len(set(places)) == 12
    assert named(others[place] for place in places) == named(wanted)


def test_where_no_clip_has_the_meaning_one_of_the_category_stands_in_and_then_any():
    clips = [clip for clip, _ in tiny_clips(12)]
    ways = sorted({clip.category for clip in clips})
    first = [clip for clip in clips if clip.category == ways[0]]
    other = next(clip for clip in clips if clip.category == ways[1])
    unknown = replace(first[0], objects=("zebra",))
    elsewhere = replace(unknown, category="holding-something")
    assert match_clips([elsewhere, unknown], [other, first[1]]) == [0, 1]
    # What fits one clip best is not given to another before.
    assert match_clips([unknown, first[1]], [first[1], first[2]]) == [1, 0]


@pytest.mark.parametrize(("val", "clips"), [(19, 64), (40, 19)])
def test_too_few_clips_are_told_of_once_and_give_no_validation(tmp_path, capsys, val, clips):
    assert opened(tmp_path, tiny_clips(80, val=val), clips) is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"train: no validation: {val} clips of the val split" in told
    assert "it takes 20 of each" in told


def test_clips_are_taken_evenly_and_no_more_than_asked_for(tmp_path):
    made = tiny_clips(120, val=60)
    validation = opened(tmp_path, made, 24)
    taken = [made[60 + at] for at in np.linspace(0, 59, 24).round().astype(int)]
    assert list(validation._val.moves) == [clip.moves for clip, _ in taken]
    assert np.array_equal(validation._val.frames, [frames for _, frames in taken])
    assert len(validation._train.frames) == 24


def test_what_is_judged_in_groups_is_whole_groups(tmp_path):
    validation = opened(tmp_path, tiny_clips(80, val=27), mixed={"loss": "mbgan", "group": 4})
    assert len(validation._val.moves) == 24


def test_captions_that_say_no_direction_are_told_of_where_it_tells_the_best(tmp_path, capsys):
    made = [(replace(clip, caption="holding a pen", moves=""), frames) for clip, frames in tiny_clips(60, val=24)]
    assert opened(tmp_path, made, metric="motion_direction")
    assert "no best checkpoint: 0 of 24 captions of val name a direction of motion" in capsys.readouterr().err
