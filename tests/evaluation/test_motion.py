"""How far motion lies from that of real clips: what it tells, what it does not, and where it cannot be asked."""

import numpy as np
import pytest
from measured_clips import measured, prompt, reference
from scipy.spatial.distance import cdist

from pipeline.evaluation.controls import double_speed, freeze, reverse, shuffle_frames, swap_categories
from pipeline.evaluation.distances import explain_both_ways, measure_energy_distance, measure_one_way
from pipeline.evaluation.measured_clips import HALVES, REGIONS, ClipSet, MeasuredClips, tally_velocities
from pipeline.evaluation.metrics import METRICS
from pipeline.measures import STILL

SETS, CATEGORIES = METRICS["motion_distance"], METRICS["motion_distance_by_category"]
COUNT = 40


def draw(seed, back_and_forth=False, count=COUNT, size=24):
    """Squares that cross a noisy ground, to the right in even rows (category 0), to the left in odd ones."""
    rng = np.random.default_rng(seed)
    clips = rng.integers(60, 100, (count, 9, size, size, 3), dtype=np.uint8)
    for row, clip in enumerate(clips):
        top, left = rng.integers(0, size - 8), rng.integers(3, 6)
        for place, frame in enumerate(clip):
            step = min(place, 8 - place) if back_and_forth else place
            at = left + step if row % 2 == 0 else size - 8 - left - step
            frame[top : top + 8, at : at + 8] = 220
    return clips


def show(frames, prompts=None):
    return MeasuredClips(ClipSet(frames, prompts or [prompt(0, row % 2) for row in range(len(frames))]))


REAL = show(draw(0))


@pytest.fixture(scope="module")
def against():
    return reference(real=REAL, equal=COUNT)


def distance(metric, clips, against):
    return metric.measure(clips, against, "it")


def test_the_tally_holds_how_far_each_region_goes_each_way_in_shares_of_the_height():
    flow = np.zeros((4, 32, 32, 2), np.float32)
    flow[:2, :8, :8, 0] = 3.2  # a tenth of the height to the right, in the first region and half of the time
    flow[2:, 24:, 24:, 1] = -1.6  # up, in the last ones
    velocities, changes = tally_velocities(flow).reshape(2, HALVES, REGIONS, REGIONS, 4)
    wanted = np.zeros((HALVES, REGIONS, REGIONS, 4))
    wanted[0, 0, 0, 0], wanted[1, -1, -1, 3] = np.log1p(0.1 / STILL), np.log1p(0.05 / STILL)
    np.testing.assert_allclose(velocities, wanted, rtol=1e-5)
    assert changes[:, 0, 0].any(axis=0).tolist() == [
        False,
        False,
        True,
        False,
    ]  # it stops: a change to the left
    assert not tally_velocities(np.zeros((1, 32, 32, 2), np.float32)).any()


def test_energy_distance_is_that_of_the_definition_and_unbiased():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(30, 3)), rng.normal(1, 2, (20, 3))
    own, other = cdist(a, a).sum() / (30 * 29), cdist(b, b).sum() / (20 * 19)
    assert measure_energy_distance(a, b) == pytest.approx((2 * cdist(a, b).mean() - own - other) / own)
    assert measure_energy_distance(a, b + 5) > measure_energy_distance(a, b) > 0.2
    found = [measure_energy_distance(*rng.normal(size=(2, 20, 3))) for _ in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


def test_clips_of_the_same_motion_are_near_and_every_planted_fault_is_far(against):
    same = show(draw(1))
    rng = np.random.default_rng(0)
    swapped = swap_categories(REAL.prompts, rng)
    planted = {
        "frozen": show(freeze(REAL.frames)),
        "shuffled": show(shuffle_frames(REAL.frames, rng)),
        "faster": show(double_speed(REAL.frames)),
        "backwards": show(reverse(REAL.frames)),
        "other category": show(REAL.frames[list(swapped)], list(swapped.values())),
    }
    limits = {metric: distance(metric, same, against).high for metric in (SETS, CATEGORIES)}
    assert max(limits.values()) < 0.3
    far = {
        (name, metric is CATEGORIES)
        for name, clips in planted.items()
        for metric, limit in limits.items()
        if distance(metric, clips, against).value > limit
    }
    assert {(name, True) for name in planted} <= far
    assert {("frozen", False), ("shuffled", False), ("faster", False)} <= far
    assert ("other category", False) not in far  # as a set they are the same clips


def test_what_it_looks_like_does_not_count(against):
    for metric in (SETS, CATEGORIES):
        assert distance(metric, show(255 - draw(2)), against).value < 0.1


def test_movement_that_comes_back_reads_the_same_backwards_and_is_not_asked_for():
    assert measure_one_way(REAL) > 0.6
    assert explain_both_ways(REAL) == ""
    coming_back = show(draw(3, back_and_forth=True))
    assert measure_one_way(coming_back) < 0.3
    assert "both ways" in explain_both_ways(coming_back)
    assert measure_one_way(show(freeze(REAL.frames))) == 0.0


def test_categories_of_few_clips_and_sets_of_few_say_how_many_are_needed(against):
    few = show(draw(1)[:15])
    assert distance(CATEGORIES, few, against).reason == "8 clips of a category on either side, 10 are needed"
    assert distance(SETS, few, against).reason == "15 clips on either side, 20 are needed"
    unknown = show(draw(1), [prompt(0, -1)] * COUNT)
    assert distance(CATEGORIES, unknown, against).reason == "0 clips of a category on either side, 10 are needed"
    assert distance(SETS, REAL, against).reason == distance(CATEGORIES, REAL, against).reason
    alike = reference(real=show(np.repeat(REAL.frames[:1], COUNT, axis=0)), equal=COUNT)
    for metric in (SETS, CATEGORIES):
        assert distance(metric, show(draw(1)), alike).reason == "the real clips are all the same"


def test_clips_of_an_unknown_category_and_rare_ones_are_left_out(against):
    prompts = [prompt(0, 0)] * 30 + [prompt(0, 1)] * 4 + [prompt(0, -1)] * 6
    found = distance(CATEGORIES, show(draw(1), prompts), against)
    assert found.clips == 30
    assert found.value > 0.15  # half of them go to the left


def test_every_prompt_is_swapped_for_one_of_another_category():
    rng = np.random.default_rng(0)
    prompts = [prompt(row, row % 3 - 1) for row in range(9)]
    swapped = swap_categories(prompts, rng)
    assert list(swapped) == [1, 2, 4, 5, 7, 8]
    assert all({prompts[row].category, new.category} == {0, 1} for row, new in swapped.items())
    assert swap_categories([prompt(row) for row in range(9)], rng) == {}


def test_a_measure_of_flow_is_taken_once_for_joined_clips_too(monkeypatch):
    taken = []
    measure = "pipeline.evaluation.measured_clips.measure_flows"
    made = {"velocities": np.zeros((4, 2, 3)), "flows": np.ones((4, 6))}
    monkeypatch.setattr(measure, lambda frames: taken.append(len(frames)) or made)
    one, other = (MeasuredClips(ClipSet(np.zeros((4, 2, 8, 8, 3), np.uint8), [prompt(0)] * 4)) for _ in range(2))
    joined = one.join(other)
    assert joined.flows.shape == (8, 6) and joined.velocities.shape == (8, 2, 3)
    assert one.velocities.shape == (4, 2, 3)
    assert taken == [4, 4]
    assert measured(3).flows.shape[0] == 3
