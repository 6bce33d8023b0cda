"""Networks to look into: no weight is zero, inputs are drawn, what a layer returns is recorded."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def stir(model: Network, by: float = 0.2) -> Network:
    """The model with random weights where it starts with zeros, so that every path counts."""
    for parameter in model.parameters():
        parameter.data += by * torch.randn_like(parameter)
    return model


def draw_inputs(model: nn.Module, cond: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Noise and captions' vectors for a generator."""
    draw = torch.Generator().manual_seed(7)
    return torch.randn(batch, model.z_width, generator=draw), torch.randn(batch, cond, generator=draw)


def record_outputs(layer: nn.Module) -> list[Tensor]:
    """What the layer returns from now on, call by call."""
    outputs: list[Tensor] = []
    layer.register_forward_hook(lambda *call: outputs.append(call[2]))
    return outputs
