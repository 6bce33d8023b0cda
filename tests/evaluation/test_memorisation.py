"""A copy is found wherever it is moved to, and unseen clips are not taken for copies."""

import numpy as np
import pytest
from measured_clips import change, measured, prompt

from pipeline.evaluation.controls import add_noise
from pipeline.evaluation.measured_clips import make_clip_thumbnails
from pipeline.evaluation.memorisation import QUANTILE, SPACES, CopySearch
from pipeline.measures import average_parts

TRAIN, UNSEEN = 120, 80


def blobs(count, seed):
    """Clips of a soft light that wanders, each another: uint8 [N,T,H,W,3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :24]
    frames = np.empty((count, 6, 24, 24, 3), np.uint8)
    for clip in frames:
        start, step, colour = rng.uniform(4, 20, 2), rng.uniform(-2, 2, 2), rng.uniform(60, 200, 3)
        for time, frame in enumerate(clip):
            place = start + time * step
            light = np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / 20)
            frame[:] = 30 + light[..., None] * colour
    return frames


def seen(frames, seed=0):
    """Clips of these frames; features and flows are random."""
    pixels = make_clip_thumbnails([average_parts(clip) for clip in frames])
    return measured(len(frames), seed, frames=frames, pixels=pixels)


@pytest.fixture(scope="module")
def copies():
    return CopySearch(seen(blobs(TRAIN, 1), 1), seen(blobs(UNSEEN, 2), 2), "numpy")


@pytest.mark.slow
def test_a_copy_is_found_though_it_is_moved_and_grained(copies):
    rng = np.random.default_rng(3)
    for frames in (copies.train.frames, add_noise(copies.train.frames, rng)):
        near = copies.find_nearest(seen(frames), "pixels")
        assert (near.rows == np.arange(TRAIN)).mean() > 0.95
        assert copies.find_copies(seen(frames))["pixels"].mean() > 0.95


def test_the_nearest_is_that_of_a_plain_search(copies):
    other = seen(blobs(10, 4), 4)
    for space in ("features", "flows"):
        distances = np.linalg.norm(getattr(other, space)[:, None] - getattr(copies.train, space)[None], axis=2)
        near = copies.find_nearest(other, space)
        assert near.rows.tolist() == distances.argmin(axis=1).tolist()
        assert near.distances == pytest.approx(distances.min(axis=1))


def test_no_more_unseen_clips_than_the_quantile_are_nearer_than_the_limit(copies):
    unseen = seen(blobs(UNSEEN, 2), 2)
    for space, nearer in copies.find_copies(unseen).items():
        assert nearer.mean() <= QUANTILE
        assert copies.find_nearest(unseen, space).distances.min() <= copies.limits[space]


def test_fresh_clips_are_hardly_ever_taken_for_copies(copies):
    nearer = copies.find_copies(seen(blobs(200, 5), 5))
    assert set(nearer) == set(SPACES)
    assert all(found.mean() < 0.05 for found in nearer.values())


def test_it_is_found_whose_nearest_training_clip_shows_another_object(copies):
    shown = [one.object for one in copies.train.prompts]
    prompts = [prompt(thing) for thing in shown]
    prompts[:3] = [prompt(shown[0] + 1), prompt(-1), prompt(shown[2])]
    others = copies.compare_objects(change(copies.train, prompts=prompts))
    assert (others[0], others[2]) == (1, 0)
    assert np.isnan(others[1])
    assert np.nansum(others) == 1


def test_clips_that_stand_still_are_no_copies_of_a_training_clip_that_does(copies):
    train = copies.train.flows.copy()
    train[3] *= 1e-3
    search = CopySearch(change(copies.train, flows=train), seen(blobs(UNSEEN, 2), 2), "numpy")
    rng = np.random.default_rng(6)
    still = train[3] + 1e-3 * rng.standard_normal((20, train.shape[1]))
    still[0] = 0
    assert (search.find_nearest(seen_with(flows=still), "flows").distances < search.limits["flows"]).all()
    assert not search.find_copies(seen_with(flows=still))["flows"].any()
    moving = train[4:24] + 1e-3 * rng.standard_normal((20, train.shape[1]))
    assert search.find_copies(seen_with(flows=moving))["flows"].all()


def seen_with(**measurements):
    """Clips with these measurements; all else is random."""
    return change(seen(blobs(20, 8), 8), **measurements)


def test_unseen_clips_that_repeat_training_clips_are_no_yardstick():
    """With training clips among the unseen ones no distance would be below the limit, and no copy would be found."""
    train, unseen = blobs(TRAIN, 1), blobs(UNSEEN, 7)
    leaky = np.concatenate((unseen[:-2], train[:1], train[1:2] + 1))
    found = CopySearch(seen(train, 1), seen(leaky, 2), "numpy")
    assert (found.unseen, found.repeated) == (UNSEEN - 2, 2)
    assert found.limits["pixels"] > 0
    assert found.find_copies(seen(train))["pixels"].all()


def test_where_every_unseen_clip_repeats_a_training_clip_nothing_is_found():
    train = blobs(60, 1)
    found = CopySearch(seen(train, 1), seen(train, 1), "numpy")
    assert (found.unseen, found.repeated) == (0, 60)
    assert not any(copied.any() for copied in found.find_copies(seen(train, 1)).values())
