"""Which captions are drawn while a training goes on, and that they stay the same."""

from collections import Counter
from dataclasses import replace

import torch
from training_sets import CPU, tiny_clips, tiny_params, tiny_set

from pipeline.monitoring.loggers import SAMPLES, FixedSamples, select_varied
from pipeline.training.loop import Run, build_networks


def make_clips(*meanings):
    """One clip for each (category, object)."""
    model = tiny_clips(1)[0][0]
    return [replace(model, category=category, objects=(thing,)) for category, thing in meanings]


def shown(clips, count=SAMPLES):
    return [(clips[row].category, clips[row].objects[0]) for row in select_varied(clips, count)]


def test_categories_take_turns_and_the_commonest_objects_come_first():
    clips = make_clips(*[("up", "pen")] * 2, *[("up", "mug")] * 3, ("down", "box"), ("up", "zip"))
    assert shown(clips, 4) == [("down", "box"), ("up", "mug"), ("up", "pen"), ("up", "zip")]


def test_of_more_categories_than_pictures_a_part_is_shown_evenly():
    clips = make_clips(*[(f"c{number:02}", "pen") for number in range(29)])
    assert [category for category, _ in shown(clips)] == [f"c{number:02}" for number in range(0, 29, 4)]


def test_fewer_meanings_than_pictures_come_again():
    assert Counter(shown(make_clips(("up", "pen"), ("up", "pen"), ("down", "pen")))) == {
        ("up", "pen"): 4,
        ("down", "pen"): 4,
    }


def test_the_same_captions_and_noise_are_drawn_each_time(tmp_path):
    clips = tiny_set(tmp_path)
    params = tiny_params()
    nets = build_networks(Run(1, params.clip, params.train, 20), CPU)
    sampled = FixedSamples(3, clips)
    torch.manual_seed(1)
    first = sampled.generate(nets.average)
    torch.manual_seed(2)
    assert (first == FixedSamples(3, clips).generate(nets.average)).all()
    assert first.shape == (SAMPLES, 8, 16, 16, 3)
    assert len(set(sampled.captions)) == 6  # all there are
