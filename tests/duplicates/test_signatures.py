"""What a signature is, and which clips are near-duplicates by it: those shown again in disguise, and no others."""

import numpy as np
import pytest

from pipeline.duplicates import (
    FRAMES,
    GRID,
    LENGTH,
    NEAR,
    NearPair,
    compare_signatures,
    compute_signature,
    count_leaks,
    decode_signatures,
    describe_leaks,
    encode_signature,
    find_leaks,
    find_nearest_points,
    find_sets,
)
from pipeline.records import Signature

CLIPS = 40


def draw_clips(count, seed=0):
    """Clips of soft blobs that wander over a background which all of them share: uint8 [N,6,24,24,3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :24]
    background = 80 + 60 * np.sin(x / 3) * np.cos(y / 4)
    frames = np.empty((count, 6, 24, 24, 3), np.uint8)
    for clip in frames:
        start, step, colour = rng.uniform(4, 20, 2), rng.uniform(-3, 3, 2), rng.uniform(40, 110, 3)
        for time, frame in enumerate(clip):
            down, right = start + time * step
            frame[:] = background[..., None] + np.exp(-((y - down) ** 2 + (x - right) ** 2) / 25)[..., None] * colour
    return frames


def sign(clips, name=str):
    return [Signature(name(place), encode_signature(compute_signature(clip))) for place, clip in enumerate(clips)]


def add_grain(clips, levels=5):
    return np.clip(clips + np.random.default_rng(1).normal(0, levels, clips.shape), 0, 255).astype(np.uint8)


def compare(*sets):
    """The signatures of all sets as points, parted again into those of each set."""
    points = compare_signatures(decode_signatures([row for clips in sets for row in sign(clips)]))
    return np.split(points, np.cumsum([len(clips) for clips in sets])[:-1])


def test_a_cell_is_the_mean_of_the_grey_levels_in_it():
    levels = np.random.default_rng(0).integers(0, 256, (FRAMES, GRID, GRID))
    clip = np.repeat(levels, 2, axis=0).repeat(3, axis=1).repeat(5, axis=2)[..., None].repeat(3, axis=3)
    assert np.array_equal(compute_signature(clip.astype(np.uint8)), levels.ravel())


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 70), (31, 8, 5)])
def test_clips_of_any_shape_have_a_signature(shape):
    assert np.array_equal(compute_signature(np.full((*shape, 3), 77, np.uint8)), np.full(LENGTH, 77))


def test_a_signature_is_read_back_from_its_text():
    clips = draw_clips(3)
    assert np.array_equal(decode_signatures(sign(clips)), [compute_signature(clip) for clip in clips])
    assert decode_signatures([]).shape == (0, LENGTH)


@pytest.mark.parametrize("disguise", [add_grain, lambda clips: (clips * 0.85 + 25).astype(np.uint8)])
def test_a_clip_in_disguise_is_near_and_other_clips_are_not(disguise):
    clips = draw_clips(CLIPS)
    own, others = compare(clips, disguise(clips))
    rows, distances = find_nearest_points(others, own)
    assert rows.tolist() == list(range(CLIPS))
    assert distances.max() <= NEAR
    apart = np.linalg.norm(own[:, None] - own[None], axis=2) + 9 * np.eye(CLIPS)
    assert apart.min() > NEAR


def test_distances_are_those_of_the_points_however_many_are_compared_at_once(monkeypatch):
    asked, base = compare(draw_clips(9, 1), draw_clips(7, 2))
    apart = np.linalg.norm(asked[:, None] - base[None], axis=2)
    for at_once in (1, 20, 1000):
        monkeypatch.setattr("pipeline.duplicates.CHUNK_DISTANCES", at_once)
        rows, distances = find_nearest_points(asked, base)
        assert rows.tolist() == apart.argmin(axis=1).tolist()
        assert distances == pytest.approx(apart.min(axis=1), abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("grain", [0, 3])
def test_clips_that_are_all_alike_are_near_however_few(count, grain):
    clips = np.repeat(draw_clips(1), count, axis=0)
    (points,) = compare(add_grain(clips, grain))
    assert np.linalg.norm(points[:, None] - points[None], axis=2).max() <= NEAR


def test_two_clips_alone_are_told_apart_and_blank_ones_are_not():
    (points,) = compare(draw_clips(2))
    assert np.linalg.norm(points[0] - points[1]) > NEAR
    (points,) = compare(np.stack([np.full((4, 8, 8, 3), level, np.uint8) for level in (0, 90)]))
    assert np.linalg.norm(points[0] - points[1]) <= NEAR


def test_unseen_clips_with_a_near_duplicate_in_train_are_counted_by_split():
    clips = draw_clips(CLIPS)
    again = add_grain(clips[:3])
    rows = sign(clips) + sign(again, lambda place: f"again {place}") + sign(clips[3:4], lambda _: "unlabelled")
    splits = {str(place): "train" for place in range(CLIPS)}
    splits |= {"20": "val", "21": "judge", "again 0": "val", "again 1": "test", "again 2": "judge"}
    pairs = find_leaks(rows, splits)
    assert sorted((pair.one, pair.other) for pair in pairs) == [(CLIPS, 0), (CLIPS + 1, 1)]
    assert all(isinstance(pair, NearPair) and 0 < pair.distance <= NEAR for pair in pairs)
    leaks = count_leaks(pairs, rows, splits)
    assert leaks == {"val": (2, 1), "test": (1, 1)}
    assert describe_leaks(leaks) == "1 of 2 clips of val, 1 of 1 clips of test have a near-duplicate in train"


@pytest.mark.parametrize("splits", [{}, {"0": "train", "1": "train"}, {"0": "val", "1": "test"}])
def test_without_training_or_unseen_clips_nothing_is_near(splits):
    rows = sign(np.repeat(draw_clips(1), 2, axis=0))
    pairs = find_leaks(rows, splits)
    assert pairs == []
    assert describe_leaks(count_leaks(pairs, rows, splits)) == ""


def test_windows_of_one_clip_count_once():
    clip = draw_clips(1)[0]
    rows = [Signature(name, encode_signature(compute_signature(clip))) for name in ("a", "a", "b", "b")]
    splits = {"a": "val", "b": "train"}
    assert count_leaks(find_leaks(rows, splits), rows, splits) == {"val": (1, 1)}


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1024, 4096)])
def test_near_duplicates_of_near_duplicates_are_one_set(monkeypatch, shape):
    compare_at_once(monkeypatch, shape)
    line = np.zeros((6, 4), np.float32)
    line[:, 0] = np.array([0, 5, 0.9, 1.8, 5.5, 9]) * NEAR
    assert find_sets(line) == [[0, 2, 3], [1, 4]]
    assert find_sets(line[:0]) == []


def test_no_signatures_are_no_points():
    assert compare_signatures(decode_signatures([])).shape == (0, LENGTH)


@pytest.mark.parametrize("shape", [(3, 7), (50, 11), (1024, 4096)])
def test_sets_are_those_of_a_search_from_point_to_point(monkeypatch, shape):
    compare_at_once(monkeypatch, shape)
    points = np.random.default_rng(0).uniform(0, 1.6, (160, 2)).astype(np.float32)
    points[::4] = points[0]
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= NEAR
    left, expected = set(range(len(points))), []
    while left:
        found, ahead = set(), {min(left)}
        while ahead:
            found |= ahead
            ahead = {other for one in ahead for other in np.flatnonzero(near[one]).tolist()} - found
        left -= found
        expected += [sorted(found)] * (len(found) > 1)
    assert find_sets(points) == expected
    assert len(expected) > 3


def compare_at_once(monkeypatch, shape):
    for name, value in zip(("ROWS", "COLUMNS"), shape, strict=True):
        monkeypatch.setattr(f"pipeline.duplicates.{name}", value)
