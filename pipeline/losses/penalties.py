"""Gradient penalties on the discriminator's raw logit: one value per clip [B], to be weighted by gamma."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Discriminator = Callable[[Tensor, Tensor], Tensor]  # (frames [B,C,T,H,W], cond [B,E]) -> logits [B]


@dataclass(frozen=True)
class Draws:
    """Draws for the rows of the whole batch and hands out this process's share of them.

    So the numbers of a row do not depend on how many processes there are, as long as all of them draw in one order from
    one seed.
    """

    rows: int  # of the whole batch
    share: slice
    device: torch.device

    def uniform(self, *widths: int) -> Tensor:
        """Evenly from 0 to 1, float32 [rows of the share, *widths]."""
        return torch.rand(self.rows, *widths, device=self.device)[self.share]

    def normal(self, *widths: int) -> Tensor:
        """Standard normal, float32 [rows of the share, *widths]."""
        return torch.randn(self.rows, *widths, device=self.device)[self.share]


@dataclass(frozen=True)
class Judged:
    """What a discriminator has said about a batch, so that no penalty needs a second pass at the clips themselves.

    `r1` and `r2` differentiate the logits at hand, so `real` or `fake` must require its gradient before it is judged.
    """

    discriminator: Discriminator
    cond: Tensor  # [B,E]
    real: Tensor  # [B,C,T,H,W]
    fake: Tensor
    on_real: Tensor  # logits [B]
    on_fake: Tensor
    draws: Draws
    sigma: float  # step of finite differences, in the unit of the frames


Penalty = Callable[[Judged], Tensor]  # -> [B]


def squared_slope(logits: Tensor, frames: Tensor) -> Tensor:
    """|dD/dx|^2 at each clip: logits [B] that were computed from frames [B,C,T,H,W] -> [B]."""
    (slope,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    return slope.square().flatten(1).sum(1)


def between(real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    """A random point on the line from each real clip to its fake: [B,C,T,H,W] each -> the same, requiring gradient."""
    share = draws.uniform(*[1] * (real.dim() - 1)).to(real.dtype)
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def r1(judged: Judged) -> Tensor:
    """Half the squared slope on real clips. Mescheder 2018, arXiv:1801.04406."""
    return squared_slope(judged.on_real, judged.real) / 2


def r2(judged: Judged) -> Tensor:
    """Half the squared slope on generated clips. Mescheder 2018, arXiv:1801.04406."""
    return squared_slope(judged.on_fake, judged.fake) / 2


def r1_fd(judged: Judged) -> Tensor:
    """R1 by finite differences: in the mean over the noise it tends to r1 as sigma does to 0. arXiv:2501.08316."""
    return _difference(judged, judged.real, judged.on_real) / 2


def r2_fd(judged: Judged) -> Tensor:
    """R2 by finite differences, as r1_fd."""
    return _difference(judged, judged.fake, judged.on_fake) / 2


def zero_gp(judged: Judged) -> Tensor:
    """The squared slope between real and fake. Thanh-Tung 2019, arXiv:1902.03984."""
    point = between(judged.real, judged.fake, judged.draws)
    return squared_slope(judged.discriminator(point, judged.cond), point)


def wgan_gp(judged: Judged) -> Tensor:
    """The squared distance of the slope from 1 between real and fake. Gulrajani 2017, arXiv:1704.00028."""
    return (torch.sqrt(zero_gp(judged) + 1e-12) - 1).square()  # the root's own slope is infinite at 0


def _difference(judged: Judged, frames: Tensor, logits: Tensor) -> Tensor:
    """(D(x + sigma n) - D(x))^2 / sigma^2 with n standard normal -> [B]; no second derivative is taken."""
    noise = judged.draws.normal(*frames.shape[1:]).to(frames.dtype)
    moved = torch.add(frames.detach(), noise, alpha=judged.sigma)  # with the strides of the frames
    return ((judged.discriminator(moved, judged.cond) - logits) / judged.sigma).square()


PENALTIES: dict[str, Penalty] = {
    "r1": r1,
    "r2": r2,
    "r1_fd": r1_fd,
    "r2_fd": r2_fd,
    "zero_gp": zero_gp,
    "wgan_gp": wgan_gp,
}
