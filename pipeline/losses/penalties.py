"""Gradient penalties on the discriminator's raw logit: one value per clip [B], to be weighted by gamma.

Squared slopes are summed over C,T,H,W. A logit's slope is penalised, never that of a loss: a saturated sigmoid would
buy the penalty off.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Discriminator = Callable[[Tensor, Tensor], Tensor]  # (frames [B,C,T,H,W], cond [B,E]) -> logits [B]
Penalty = Callable[[Discriminator, Tensor, Tensor, Tensor], Tensor]  # (discriminator, real, fake, cond) -> [B]


def squared_slope(discriminator: Discriminator, frames: Tensor, cond: Tensor) -> Tensor:
    """|dD/dx|^2 at each clip: frames [B,C,T,H,W], cond [B,E] -> [B]."""
    frames = frames.detach().requires_grad_()
    logits = discriminator(frames, cond)
    (slope,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    return slope.square().flatten(1).sum(1)


def between(real: Tensor, fake: Tensor) -> Tensor:
    """A random point on the line from each real clip to its fake: [B,C,T,H,W] each -> the same."""
    share = torch.rand(real.shape[0], 1, 1, 1, 1, device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, share)


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor, cond: Tensor) -> Tensor:  # noqa: ARG001
    """Half the squared slope on real clips. Mescheder 2018, arXiv:1801.04406."""
    return squared_slope(discriminator, real, cond) / 2


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor, cond: Tensor) -> Tensor:  # noqa: ARG001
    """Half the squared slope on generated clips. Mescheder 2018, arXiv:1801.04406."""
    return squared_slope(discriminator, fake, cond) / 2


def zero_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, cond: Tensor) -> Tensor:
    """The squared slope between real and fake. Thanh-Tung 2019, arXiv:1902.03984."""
    return squared_slope(discriminator, between(real, fake), cond)


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, cond: Tensor) -> Tensor:
    """The squared distance of the slope from 1 between real and fake. Gulrajani 2017, arXiv:1704.00028."""
    squared = squared_slope(discriminator, between(real, fake), cond)
    return (torch.sqrt(squared + 1e-12) - 1).square()  # the root's own slope is infinite at 0


PENALTIES: dict[str, Penalty] = {"r1": r1, "r2": r2, "zero_gp": zero_gp, "wgan_gp": wgan_gp}
