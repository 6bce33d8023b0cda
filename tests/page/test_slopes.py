"""Slopes of clips, where they are known."""

import pytest
import torch
from torch import nn

from pipeline.page.weights import measure_slopes


class Scaled(nn.Module):
    """Each pixel is one value of the noise times a weight of its own, so its only slope is that value."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), 0.5))
        self.idle = nn.Parameter(torch.ones(3))

    def forward(self, z, _ids):
        return (self.weight * z).reshape(len(z), 1, 1, 2, 2)


def test_slopes_of_a_linear_generator_are_its_noise_and_clamped_pixels_have_none():
    z = torch.tensor([[0.3, -0.4, 1.2, 9.0]])
    slopes = measure_slopes(Scaled(), z, torch.ones(1, 1))
    assert slopes == {"weight": pytest.approx(((0.09 + 0.16 + 1.44) / 4) ** 0.5)}
