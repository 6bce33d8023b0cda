"""Flow, movement and energy of drawn clips whose motion is known."""

import numpy as np
import pytest

from pipeline.evaluation.controls import freeze, reverse
from pipeline.measures import is_along, measure_energy, measure_flow, measure_jerk, measure_movement

T, SIDE = 8, 32
WAYS = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]


def square(right, down, speed=2):
    """A textured square that moves from the middle so many pixels per frame: uint8 [T,H,W,3]."""
    rng = np.random.default_rng(1)
    frames = np.full((T, SIDE, SIDE, 3), 120, np.uint8)
    frames += rng.integers(0, 6, frames.shape[1:], dtype=np.uint8)
    texture = rng.integers(150, 256, (8, 8, 3), dtype=np.uint8)
    for time in range(T):
        x, y = (12 + speed * way * (time - T // 2) for way in (right, down))
        frames[time, y : y + 8, x : x + 8] = texture
    return frames


@pytest.mark.parametrize("way", WAYS)
def test_a_square_moves_the_way_it_was_drawn_and_no_other(way):
    movement = measure_movement(measure_flow(square(*way)))
    assert is_along(movement, way)
    angle = np.degrees(np.arctan2(movement[1], movement[0]) - np.arctan2(way[1], way[0]))
    assert abs((angle + 180) % 360 - 180) < 15
    assert not any(is_along(movement, other) for other in WAYS if np.dot(way, other) < 0)


@pytest.mark.parametrize("way", WAYS)
def test_backwards_it_moves_the_other_way(way):
    movement = measure_movement(measure_flow(reverse(square(*way)[None])[0]))
    assert is_along(movement, (-way[0], -way[1]))
    assert not is_along(movement, way)


def test_what_stands_still_moves_no_way_at_all():
    grain = np.random.default_rng(2).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    down, right = np.mgrid[0:SIDE, 0:SIDE]
    # Texture that runs into the border, where OpenCV alone sees it move by 1.6 pixels.
    stripes = np.where(((right + 2 * down) // 6) % 2 > 0, 200, 60).astype(np.uint8)[None, :, :, None].repeat(3, axis=3)
    still = [grain.repeat(T, axis=0), stripes.repeat(T, axis=0), stripes[:, ::-1].repeat(T, axis=0)]
    for clip in (square(0, 0), freeze(square(1, 0)[None])[0], *still, square(1, 0)[:1]):
        assert measure_movement(measure_flow(clip)).tolist() == [0, 0]
        assert not any(is_along(measure_movement(measure_flow(clip)), way) for way in WAYS)
        assert measure_energy(clip) == measure_jerk(clip) == 0


def test_within_45_degrees_is_the_way_that_was_said():
    assert is_along(np.array([1.0, 0.99]), (1, 0))
    assert not is_along(np.array([1.0, 1.01]), (1, 0))
    assert is_along(np.array([0.001, 0.001]), (1, 1))


def test_energy_and_jerk_are_mean_first_and_second_differences():
    ramp = np.arange(T, dtype=np.uint8)[:, None, None, None] * np.full((1, 4, 4, 3), 5, np.uint8)
    assert (measure_energy(ramp), measure_jerk(ramp)) == (5, 0)
    blinking = np.zeros((T, 4, 4, 3), np.uint8)
    blinking[1::2] = 10
    assert (measure_energy(blinking), measure_jerk(blinking)) == (10, 20)
