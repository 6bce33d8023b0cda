"""Detail by size, on patterns whose detail is known."""

import cv2
import numpy as np

from pipeline.measures import LEVELS
from pipeline.measures import measure_laplacian_energies as measure

RNG = np.random.default_rng(0)


def still(picture):
    """A clip of four equal frames, uint8 [4,32,32,3]."""
    return np.repeat(np.asarray(picture, np.uint8)[None], 4, axis=0)


def test_an_even_picture_has_no_detail_of_any_size():
    assert not measure(still(np.full((32, 32, 3), 90))).any()


def test_a_chequered_board_has_detail_of_its_own_size_alone():
    board = np.indices((32, 32)).sum(axis=0) % 2 * 100 + 50
    finest, middle, coarsest = measure(still(np.repeat(board[:, :, None], 3, axis=2))).reshape(LEVELS, 4)
    np.testing.assert_allclose(
        finest, [*[np.log1p(50)] * 3, 0], rtol=1e-5
    )  # each pixel is 50 away from the mean of all
    assert not middle.any() and not coarsest.any()


def test_blur_takes_more_of_the_fine_detail_than_of_the_coarse():
    sharp = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    lost = (measure(still(sharp)) - measure(still(cv2.blur(sharp, (3, 3))))).reshape(LEVELS, 4)[:, :3].mean(axis=1)
    assert lost[0] > lost[1] > lost[2] > 0


def test_change_over_time_is_told_apart_from_detail():
    flashing = still(np.full((32, 32, 3), 50))
    flashing[1::2] += 20
    values = measure(flashing).reshape(LEVELS, 4)
    np.testing.assert_allclose(values[:, 3], np.log1p(20), rtol=1e-5)
    assert not values[:, :3].any()


def test_a_single_frame_changes_nothing():
    assert not measure(RNG.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)).reshape(LEVELS, 4)[:, 3].any()
