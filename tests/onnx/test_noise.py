"""Noise without torch."""

import numpy as np
import pytest
import torch

from pipeline.data.sampler import draw_noise
from pipeline.onnx import draw_noise_rows, draw_normal


@pytest.mark.parametrize("seed", [0, 1, 17, 2**32 - 1, 2**32 + 5, 2**62 + 12345])
@pytest.mark.parametrize("count", [1, 2, 7, 15, 16, 17, 31, 32, 1000, 24576])
def test_normal_values_are_those_of_torch(seed, count):
    """Below 16 values, and at the end of what is no multiple of 16, torch draws by other rules."""
    expected = torch.randn(count, generator=torch.Generator().manual_seed(seed)).numpy()
    drawn = draw_normal(seed, count)
    assert drawn.dtype == np.float32
    assert np.abs(drawn - expected).max() <= 1e-6


def test_noise_of_a_seed_is_that_of_torch_row_by_row():
    assert np.abs(draw_noise_rows(3, 5, 40) - draw_noise(3, 5, 40).numpy()).max() <= 1e-6


@pytest.mark.parametrize("draw", [draw_noise, draw_noise_rows])
def test_noise_from_a_later_row_on_is_that_of_those_rows(draw):
    assert np.array_equal(draw(3, 2, 40, first=3), draw(3, 5, 40)[3:])
