"""Layers that see a group of clips and not their order, for discriminators of mixed batches.

y_i = Theta x_i + Lambda mean_j(x_j) + b: Lucas et al. 2018, arXiv:1806.07185.
"""

import copy
import math

import torch
from torch import Tensor, nn


class Symmetric(nn.Module):
    """A layer for rows that come in groups, [G*N,...]: what the group has in common is added to each row's own output.

    Permuting the rows of a group permutes its output alike and changes nothing else.
    """

    def __init__(self, own: nn.Conv3d | nn.Linear, group: int) -> None:
        super().__init__()
        self.own, self.group = own, group
        self.common = copy.deepcopy(own)
        self.common.bias = None  # one is enough
        with torch.no_grad():  # both alike, and together as strong as the layer was; 0 where that starts at 0
            self.common.weight.copy_(torch.randn_like(own.weight) * own.weight.std() * math.sqrt(0.5))
            own.weight.mul_(math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.view(-1, self.group, *x.shape[1:]).mean(dim=1)  # [G,...]
        changed: Tensor = self.own(x) + self.common(mean).repeat_interleave(self.group, dim=0)
        return changed


def make_symmetric(model: nn.Module, group: int) -> None:
    """Put a Symmetric layer in place of every convolution and linear layer of `model`."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Conv3d | nn.Linear):
            setattr(model, name, Symmetric(child, group))
        else:
            make_symmetric(child, group)
