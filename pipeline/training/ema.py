"""The averaged generator: the one that is sampled and measured."""

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, for every parameter; buffers are copied."""
    old: list[torch.Tensor] = list(average.parameters())
    new: list[torch.Tensor] = list(model.parameters())
    torch._foreach_lerp_(old, new, 1 - decay)
    for kept, current in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(current)
