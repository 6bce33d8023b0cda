"""Planted clips are what they are called."""

import numpy as np
import pytest
from measured_clips import prompt

from pipeline.evaluation import controls

RNG = np.random.default_rng(1)
TRAIN = RNG.integers(0, 256, (12, 5, 8, 8, 3), dtype=np.uint8)
SHOWN = [prompt(row % 3) for row in range(12)]


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_a_training_copy_shows_what_is_wanted_and_no_clip_comes_twice_while_others_are_left(rng):
    frames, shown = controls.copy_train(TRAIN, SHOWN, [prompt(1)] * 4 + [prompt(2)] * 5, rng)
    assert [one.meaning for one in shown] == [1] * 4 + [2] * 5
    rows = [int((clip == TRAIN).all(axis=(1, 2, 3, 4)).argmax()) for clip in frames]
    assert sorted(rows[:4]) == [1, 4, 7, 10]
    assert set(rows[4:]) == {2, 5, 8, 11}


def test_of_a_meaning_that_training_lacks_any_clip_is_copied_and_none_is_averaged(rng):
    frames, shown = controls.copy_train(TRAIN, SHOWN, [prompt(7)], rng)
    assert frames[0] in TRAIN
    assert shown[0] in SHOWN
    frames, kept = controls.average_clips(TRAIN, SHOWN, [prompt(7)])
    assert (len(frames), kept) == (0, [])


def test_the_mean_clip_is_the_mean_of_its_meaning():
    frames, kept = controls.average_clips(TRAIN, SHOWN, [prompt(2), prompt(7), prompt(2)])
    assert [one.meaning for one in kept] == [2, 2]
    assert np.abs(frames[0] - TRAIN[2::3].mean(axis=0)).max() <= 0.5
    assert (frames[0] == frames[1]).all()


def test_a_noisy_copy_is_the_clip_one_or_two_pixels_to_the_side(rng, monkeypatch):
    monkeypatch.setattr(controls, "NOISE", 0.0)
    for clip, moved in zip(TRAIN, controls.add_noise(TRAIN, rng), strict=True):
        steps = (-2, -1, 1, 2)
        fits = [
            (down, right)
            for down in steps
            for right in steps
            if (moved[:, 2:6, 2:6] == clip[:, 2 - down : 6 - down, 2 - right : 6 - right]).all()
        ]
        assert len(fits) == 1


def test_noise_has_the_strength_it_says(rng):
    grey = np.full((40, 5, 8, 8, 3), 128, np.uint8)
    assert controls.add_noise(grey, rng).astype(float).std() == pytest.approx(controls.NOISE, rel=0.05)
    assert controls.draw_noise(3, (5, 8, 8, 3), rng).shape == (3, 5, 8, 8, 3)


def test_frozen_shuffled_and_backwards_keep_the_frames_they_have(rng):
    assert (controls.freeze(TRAIN) == TRAIN[:, 2:3]).all()
    assert (controls.reverse(controls.reverse(TRAIN)) == TRAIN).all()
    assert (controls.reverse(TRAIN)[:, 0] == TRAIN[:, -1]).all()
    shuffled = controls.shuffle_frames(TRAIN, rng)
    assert (shuffled != TRAIN).any()
    for clip, before in zip(shuffled, TRAIN, strict=True):
        assert {frame.tobytes() for frame in clip} == {frame.tobytes() for frame in before}


def test_shuffled_captions_are_the_same_captions_in_another_order(rng):
    dealt = controls.shuffle_captions(SHOWN, rng)
    assert dealt != SHOWN
    assert sorted(one.meaning for one in dealt) == sorted(one.meaning for one in SHOWN)
