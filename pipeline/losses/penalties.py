"""Gradient penalties on the discriminator's raw logit: one value per clip [B], to be weighted by gamma."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.extensions import Signature, resolve

Discriminator = Callable[[Tensor, Tensor], Tensor]  # (frames [B,C,T,H,W], cond [B,E]) -> logits [B]


@dataclass(frozen=True)
class SharedRng:
    """Random numbers for all rows of the global batch, of which each process takes its share.

    The numbers of a row do not depend on the number of processes, as long as all draw in the same order from the same
    seed.
    """

    rows: int  # of the whole batch
    share: slice
    device: torch.device

    def uniform(self, *widths: int) -> Tensor:
        """Uniform in [0, 1), float32 [rows of the share, *widths]."""
        return torch.rand(self.rows, *widths, device=self.device)[self.share]

    def normal(self, *widths: int) -> Tensor:
        """Standard normal, float32 [rows of the share, *widths]."""
        return torch.randn(self.rows, *widths, device=self.device)[self.share]


@dataclass(frozen=True)
class DiscriminatorOutputs:
    """A discriminator's inputs and outputs for one batch, so that no penalty needs a second pass over the clips.

    `real` and `fake` require gradients if a penalty differentiates their logits: `r1`, `r2`, or a user's own. Logits of
    noisy clips are set if `r1_fd` or `r2_fd` is due, and the gradient if it has been computed already.
    """

    discriminator: Discriminator
    cond: Tensor  # [B,E]
    real: Tensor  # [B,C,T,H,W]
    fake: Tensor
    real_logits: Tensor  # [B]
    fake_logits: Tensor  # [B]
    rng: SharedRng
    sigma: float  # step of finite differences, in the unit of the frames
    fake_gradient: Tensor | None = None  # of each logit at its clip [B,C,T,H,W], with a graph
    moved_real_logits: Tensor | None = None  # [B], of `move_clips`
    moved_fake_logits: Tensor | None = None


Penalty = Callable[[DiscriminatorOutputs], Tensor]  # -> [B]


def gradient_at(logits: Tensor, frames: Tensor) -> Tensor:
    """dD/dx at each clip: logits [B] that were computed from frames [B,C,T,H,W] -> the shape of the frames."""
    (gradient,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    return gradient


def squared_gradient_norm(logits: Tensor, frames: Tensor) -> Tensor:
    """|dD/dx|^2 at each clip: logits [B] that were computed from frames [B,C,T,H,W] -> [B]."""
    return _squared_norm(gradient_at(logits, frames))


def _squared_norm(gradient: Tensor) -> Tensor:
    return gradient.square().flatten(1).sum(1)


def between(real: Tensor, fake: Tensor, rng: SharedRng) -> Tensor:
    """Random points between each real clip and a fake one: [B,C,T,H,W] each -> the same, requiring gradient."""
    share = rng.uniform(*[1] * (real.dim() - 1)).to(real.dtype)
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def r1(outputs: DiscriminatorOutputs) -> Tensor:
    """Half the squared gradient norm on real clips. Mescheder 2018, arXiv:1801.04406."""
    return squared_gradient_norm(outputs.real_logits, outputs.real) / 2


def r2(outputs: DiscriminatorOutputs) -> Tensor:
    """Half the squared gradient norm on generated clips. Mescheder 2018, arXiv:1801.04406."""
    gradient = (
        gradient_at(outputs.fake_logits, outputs.fake) if outputs.fake_gradient is None else outputs.fake_gradient
    )
    return _squared_norm(gradient) / 2


def r1_fd(outputs: DiscriminatorOutputs) -> Tensor:
    """R1 by finite differences: its expectation over the noise tends to r1 as sigma tends to 0. arXiv:2501.08316."""
    return _difference(outputs.moved_real_logits, outputs.real_logits, outputs.sigma) / 2


def r2_fd(outputs: DiscriminatorOutputs) -> Tensor:
    """R2 by finite differences, as r1_fd."""
    return _difference(outputs.moved_fake_logits, outputs.fake_logits, outputs.sigma) / 2


def zero_gp(outputs: DiscriminatorOutputs) -> Tensor:
    """The squared gradient norm between real and fake. Thanh-Tung 2019, arXiv:1902.03984."""
    point = between(outputs.real, outputs.fake, outputs.rng)
    return squared_gradient_norm(outputs.discriminator(point, outputs.cond), point)


def wgan_gp(outputs: DiscriminatorOutputs) -> Tensor:
    """The squared distance of the gradient norm from 1 between real and fake. Gulrajani 2017, arXiv:1704.00028."""
    return (torch.sqrt(zero_gp(outputs) + 1e-12) - 1).square()  # the root's own gradient is infinite at 0


def move_clips(frames: Tensor, rng: SharedRng, sigma: float) -> Tensor:
    """Clips with noise: x + sigma n with n standard normal, [B,C,T,H,W] -> the same shape and strides."""
    noise = rng.normal(*frames.shape[1:]).to(frames.dtype)
    return torch.add(frames.detach(), noise, alpha=sigma)


def _difference(moved: Tensor | None, logits: Tensor, sigma: float) -> Tensor:
    """(D(x + sigma n) - D(x))^2 / sigma^2 -> [B]; needs no second derivative."""
    assert moved is not None, "finite differences need the logits of moved clips"
    return ((moved - logits) / sigma).square()


PENALTIES: dict[str, Penalty] = {
    "r1": r1,
    "r2": r2,
    "r1_fd": r1_fd,
    "r2_fd": r2_fd,
    "zero_gp": zero_gp,
    "wgan_gp": wgan_gp,
}
PENALTY = Signature("a function (outputs: DiscriminatorOutputs) -> penalty [B]", arguments=("outputs",))


def find_penalty(name: str) -> Penalty:
    """The penalty that a key of train.penalties names. Raises UserError."""
    return PENALTIES.get(name) or resolve(name, PENALTIES, "train.penalties", PENALTY)


def needs_gradient(names: Iterable[str], *readers: str) -> bool:
    """Whether any of the named penalties is one of `readers`, or a user's own, which may differentiate anything."""
    return any(name in readers or name not in PENALTIES for name in names)
