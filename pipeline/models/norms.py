"""Normalisation: over the batch with a gain and bias from a code, and of weights by their spectral norm."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.models.layers import Modulation

MOMENTUM, EPSILON = 0.1, 1e-5
Mean = Callable[[Tensor], Tensor]  # a tensor -> its mean over all processes of the run, with gradient


class ConditionalBatchNorm(nn.Module):
    """(1 + gain(code)) * norm(h) + bias(code): h [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W].

    In training the moments are those of the batch, over all processes where `synchronise` has been called; otherwise
    running means of them. de Vries et al. 2017, arXiv:1707.00683.
    """

    running: Tensor

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.modulation = Modulation(channels, code)
        self.register_buffer("running", torch.stack((torch.zeros(channels), torch.ones(channels))))  # of h, of h^2
        self.over_processes: Mean | None = None

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        moments = self.running
        if self.training:
            moments = torch.stack((h.float().mean(dim=(0, 2, 3, 4)), h.float().square().mean(dim=(0, 2, 3, 4))))
            moments = moments if self.over_processes is None else self.over_processes(moments)
            with torch.no_grad():
                self.running.lerp_(moments, MOMENTUM)
        mean, spread = moments[0], (moments[1] - moments[0].square()).clamp(min=0)
        scale = torch.rsqrt(spread + EPSILON)[:, None, None, None]
        normalised: Tensor = self.modulation((h - mean[:, None, None, None]) * scale, code)
        return normalised


def synchronise(model: nn.Module, over_processes: Mean) -> None:
    """Let every batch norm of `model` take its moments over all processes."""
    for module in model.modules():
        if isinstance(module, ConditionalBatchNorm):
            module.over_processes = over_processes


def normalise_weights(model: nn.Module) -> None:
    """Divide the weight of every convolution and linear layer by its largest singular value, for as long as it lives.

    A layer that starts at zero starts at full strength instead: a norm of zero cannot be divided by, and any scale that
    a weight is given on purpose would be erased. Miyato et al. 2018, arXiv:1802.05957.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Conv3d | nn.Linear):
            if not module.weight.any():
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
            spectral_norm(module)
