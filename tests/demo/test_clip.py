"""Clips: what is drawn moves the way its caption says, and equal plans give equal frames."""

import ffmpeg
import numpy as np
import pytest
from PIL import Image

from pipeline.demo import FPS, SIDE, ClipScene, draw_frames
from pipeline.demo.objects import OBJECTS
from pipeline.demo.plan import CATEGORIES, plan_clips
from pipeline.video.ffmpeg import encode_frames, run

PLANS = list(plan_clips(5, 400, 0.1))
WAYS = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}


def plans_of(motion):
    return [plan for plan in PLANS if plan.category.motion == motion]


def silhouette(scene, number):
    """Pixels that the moving object covers in one frame, before hand and background."""
    height, width, _ = scene.room.background.shape
    picture = Image.new("RGB", (width, height))
    scene.objects[0].show(picture, *scene.trajectory.mover[number])
    return np.asarray(picture).max(axis=2) > 24


def centroid(mask):
    y, x = np.nonzero(mask)
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize("motion", WAYS)
def test_the_drawn_object_goes_one_way_only(motion):
    for plan in plans_of(motion)[:4]:
        scene = ClipScene(plan)
        path = np.array([centroid(silhouette(scene, n)) for n in range(len(scene.trajectory.mover))])
        along = path @ np.array(WAYS[motion]) / SIDE
        assert along[-1] - along[0] > 0.4, plan.label
        assert np.diff(along).min() > -0.005, plan.label
        assert abs(np.ptp(path @ np.array(WAYS[motion][::-1]))) < 0.1 * SIDE, plan.label


@pytest.mark.parametrize("motion", WAYS)
def test_the_object_goes_the_same_way_after_encoding_and_decoding(motion, tmp_path):
    plan = plans_of(motion)[1]
    background = ClipScene(plan).room.background
    height, width, _ = background.shape
    encode_frames(draw_frames(plan), tmp_path / "clip.webm", fps=FPS, codec="vp9")
    stream = ffmpeg.input(str(tmp_path / "clip.webm")).output("pipe:", format="rawvideo", pix_fmt="rgb24")
    frames = np.frombuffer(run(stream, seconds=60), np.uint8).reshape(-1, height, width, 3)
    moved = np.abs(frames[[0, -1]].astype(int) - background).max(axis=3) > 45
    left, top = (width - SIDE) // 2, (height - SIDE) // 2  # the hand is outside this square, or goes with the object
    first, last = (centroid(mask[top : top + SIDE, left : left + SIDE]) for mask in moved)
    assert (last - first) @ np.array(WAYS[motion]) > 0.3 * SIDE, plan.label


@pytest.mark.parametrize(("motion", "grows"), [("towards", True), ("away", False)])
def test_the_drawn_object_grows_towards_the_camera_and_shrinks_away_from_it(motion, grows):
    for plan in plans_of(motion)[:4]:
        scene = ClipScene(plan)
        areas = [silhouette(scene, n).sum() for n in (0, -1)]
        assert (areas[1] > 3 * areas[0]) if grows else (areas[0] > 3 * areas[1]), plan.label


@pytest.mark.parametrize(("motion", "nearer"), [("closer", True), ("apart", False)])
def test_the_distance_to_the_second_object_changes_as_the_caption_says(motion, nearer):
    for plan in plans_of(motion)[:8]:
        trajectory = ClipScene(plan).trajectory
        apart = np.abs(trajectory.mover[:, 0] - trajectory.still[0])
        assert ((apart[0] - apart[-1]) if nearer else (apart[-1] - apart[0])) > 0.25, plan.label


def test_every_object_stays_in_the_centre_crop_in_every_category():
    cells = {(plan.category.template, plan.objects[0]): plan for plan in plan_clips(5, 240, 0.1)}
    assert len(cells) == len(CATEGORIES) * len(OBJECTS)
    for plan in list(cells.values())[::3]:
        scene = ClipScene(plan)
        body, path = scene.objects[0].reach, scene.trajectory.mover
        assert (path[:, 0] + path[:, 2] * body.left).min() > -0.55, plan.label
        assert (path[:, 0] + path[:, 2] * body.right).max() < 0.55, plan.label
        assert (path[:, 1] + path[:, 2] * body.top).min() > -0.55, plan.label
        assert (path[:, 1] + path[:, 2] * body.bottom).max() < 0.55, plan.label


def test_clips_have_twenty_to_sixty_frames_of_three_shapes():
    shapes = {draw_frames(plan).shape for plan in PLANS[:30]}
    assert all(20 <= frames <= 60 for frames, *_ in shapes)
    assert {shape[1:] for shape in shapes} == {(108, 192, 3), (192, 108, 3), (108, 144, 3)}


def test_the_camera_and_the_room_stand_still():
    frames = draw_frames(plans_of("right")[0]).astype(int)
    assert np.abs(frames[:, :3, :, :] - frames[0, :3, :, :]).max() == 0


def test_equal_plans_give_equal_frames_and_other_seeds_other_frames():
    frames = draw_frames(PLANS[3])
    assert np.array_equal(frames, draw_frames(next(p for p in plan_clips(5, 4, 0.1) if p.number == 3)))
    other = draw_frames(next(p for p in plan_clips(6, 4, 0.1) if p.number == 3))
    assert frames.shape != other.shape or not np.array_equal(frames, other)


def test_no_pixel_depends_on_the_last_bit_of_a_function(monkeypatch):
    """Numpy's functions differ in it between instruction sets."""
    plans = PLANS[:13]
    drawn = [draw_frames(plan) for plan in plans]
    for name in ("sin", "cos", "tanh", "exp", "hypot"):
        monkeypatch.setattr(np, name, _off_by_a_bit(getattr(np, name)))
    for plan, frames in zip(plans, drawn, strict=True):
        assert np.array_equal(draw_frames(plan), frames)


def _off_by_a_bit(function):
    return lambda *values: np.multiply(found := function(*values), 1 + np.finfo(found.dtype).eps, dtype=found.dtype)
