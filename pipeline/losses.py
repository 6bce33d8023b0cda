"""Losses on a discriminator's raw logits, one value per clip [B]: adversarial, matching, mixed batches, penalties.

Penalties are of its gradient at the clips and still to be weighted by gamma. In mixed batches a discriminator estimates
which share of a group of clips is real: Lucas et al. 2018, arXiv:1806.07185.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

from pipeline.errors import UserError
from pipeline.extensions import Signature, resolve

LogitLoss = Callable[[Tensor, Tensor], Tensor]

# (the discriminator's adversarial loss, logits on real, fake and mismatched [B], weight of the mismatch [B]) -> [B]
Matching = Callable[[LogitLoss, Tensor, Tensor, Tensor, Tensor], Tensor]

GroupLoss = Callable[[Tensor, Tensor], Tensor]  # (logits of all rows [G*N], share of real clips [G]) -> [G]

DiscriminatorFunction = Callable[[Tensor, Tensor], Tensor]  # (frames [B,C,T,H,W], cond [B,E]) -> logits [B]


class Adversarial(NamedTuple):
    """Both losses of a GAN; without `generator_reads_real`, the generator's is given fake logits in place of real ones.

    That saves a pass over the real clips.
    """

    discriminator: LogitLoss  # (real logits, fake logits), [B] each -> [B]
    generator: LogitLoss
    generator_reads_real: bool = True


NONSATURATING = Adversarial(  # Goodfellow 2014, arXiv:1406.2661
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: softplus(-fake),  # noqa: ARG005
    generator_reads_real=False,
)


HINGE = Adversarial(  # Lim & Ye 2017, arXiv:1705.02894
    discriminator=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,  # noqa: ARG005
    generator_reads_real=False,
)


WASSERSTEIN = Adversarial(  # Arjovsky 2017, arXiv:1701.07875
    discriminator=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,  # noqa: ARG005
    generator_reads_real=False,
)


RELATIVISTIC = Adversarial(  # Jolicoeur-Martineau 2018, arXiv:1807.00734
    discriminator=lambda real, fake: softplus(fake - real),
    generator=lambda real, fake: softplus(real - fake),
)


def _relativistic_matching(
    adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor
) -> Tensor:
    """A clip must score higher with its own caption: the pairing of arXiv:1807.00734, added to the adversarial loss."""
    return adversarial(real, fake) + weight * softplus(mismatched - real)


def reed(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """The mean of the adversarial loss over both kinds of negatives: arXiv:1605.05396 with `nonsaturating`."""
    return (adversarial(real, fake) + weight * adversarial(real, mismatched)) / (1 + weight)


def thirds(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """Real, fake and mismatched have equal weights, for `nonsaturating` only: the 2019 project's. arXiv:1804.08264."""
    return (adversarial(real, fake) + weight * softplus(mismatched)) / (2 + weight)


def spread_shares(uniform: Tensor, edge: float) -> Tensor:
    """Uniform numbers in [0, 1] -> shares uniform in [0, edge] and [1 - edge, 1]: [G] -> [G]."""
    shares = uniform * 2 * edge
    return torch.where(shares < edge, shares, shares + 1 - 2 * edge)


def first_rows(shares: Tensor, group: int) -> Tensor:
    """Shares of real rows [G] -> which rows are real, the first ones of each group: bool [G*N].

    The position of a clip in its group makes no difference to a permutation-equivariant discriminator.
    """
    counts = (shares * group).round()
    return (torch.arange(group, device=shares.device) < counts[:, None]).flatten()


def realised_shares(is_real: Tensor, group: int) -> Tensor:
    """The share of real rows in each group, which the discriminator predicts: bool [G*N] -> float32 [G]."""
    return is_real.float().view(-1, group).mean(dim=1)


def divergence(logits: Tensor, shares: Tensor) -> Tensor:
    """KL(Ber(share) || Ber(sigmoid(logit))), elementwise; 0 where the logit is right."""
    entropy = -torch.xlogy(shares, shares) - torch.xlogy(1 - shares, 1 - shares)
    return binary_cross_entropy_with_logits(logits, shares, reduction="none") - entropy


def bgan(logits: Tensor, shares: Tensor) -> Tensor:
    """One prediction per group, the mean of its logits."""
    return divergence(logits.view(len(shares), -1).mean(dim=1), shares)


def mbgan(logits: Tensor, shares: Tensor) -> Tensor:
    """One prediction per clip; the mean of their losses."""
    rows = logits.view(len(shares), -1)
    return divergence(rows, shares[:, None].expand_as(rows)).mean(dim=1)


ADVERSARIAL: dict[str, Adversarial] = {
    "relativistic": RELATIVISTIC,
    "nonsaturating": NONSATURATING,
    "hinge": HINGE,
    "wasserstein": WASSERSTEIN,
}
RISING = ("relativistic", "nonsaturating", "wasserstein")  # the discriminator's loss increases in every fake logit
ADVERSARIAL_LOSS = Signature(
    "a pipeline.losses:Adversarial of two functions (real logits [B], fake logits [B]) -> loss [B]",
    base=Adversarial,
)

MATCHING: dict[str, Matching] = {"relativistic": _relativistic_matching, "reed": reed, "thirds": thirds}
MATCHING_LOSS = Signature(
    "a function (adversarial loss, real, fake, mismatched logits, weight), [B] each -> loss [B]",
    arguments=("adversarial", "real", "fake", "mismatched", "weight"),
)

MIXED_BATCHES: dict[str, GroupLoss] = {"bgan": bgan, "mbgan": mbgan}
GROUP_LOSS = Signature(
    "a function (logits of all rows [G*N], share of real clips [G]) -> loss [G]", arguments=("logits", "shares")
)


def check_losses(adversarial: str, matching: str, mixed: str) -> None:
    """Raise UserError if a loss that params name does not return one value per clip or group, with a gradient."""
    logits = torch.zeros(2, requires_grad=True)
    pair = find_adversarial(adversarial)
    for role in ("discriminator", "generator"):
        _check_loss(f"train.adversarial: the {role} of {adversarial!r}", getattr(pair, role), real=logits, fake=logits)
    found = find_matching(matching)(RELATIVISTIC.discriminator, logits, logits, logits, logits)
    _require_one_each(f"train.matching: {matching!r}", found)
    if mixed != "none":
        _require_one_each(f"train.mixed.loss: {mixed!r}", find_group_loss(mixed)(logits.repeat(2), torch.zeros(2)))


def _check_loss(what: str, loss: LogitLoss, **logits: Tensor) -> None:
    if fault := Signature("", arguments=tuple(logits)).find_fault(loss):
        raise UserError(f"{what} {fault}; docs/extending.md has an example")
    _require_one_each(what, loss(*logits.values()))


def _require_one_each(what: str, found: object) -> None:
    shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != [2]:
        raise UserError(f"{what} returns {shape} where it must return a tensor [2], one loss for each of two")
    _require_gradient(what, found)


def _require_gradient(what: str, found: object) -> None:
    if not isinstance(found, Tensor) or not found.requires_grad:
        way = "compute it from the logits by torch alone, without detach, item, numpy or no_grad"
        raise UserError(f"{what} has no gradient, so nothing would be learnt from it; {way}")


def find_adversarial(name: str) -> Adversarial:
    """The loss that train.adversarial names. Raises UserError."""
    return ADVERSARIAL.get(name) or resolve(name, ADVERSARIAL, "train.adversarial", ADVERSARIAL_LOSS)


def find_matching(name: str) -> Matching:
    """The loss that train.matching names. Raises UserError."""
    return MATCHING.get(name) or resolve(name, MATCHING, "train.matching", MATCHING_LOSS)


def find_group_loss(name: str) -> GroupLoss:
    """The loss that train.mixed.loss names. Raises UserError."""
    return MIXED_BATCHES.get(name) or resolve(name, MIXED_BATCHES, "train.mixed.loss", GROUP_LOSS)


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

    discriminator: DiscriminatorFunction
    cond: Tensor  # [B,E]
    real: Tensor  # [B,C,T,H,W]
    fake: Tensor
    real_logits: Tensor  # [B]
    fake_logits: Tensor  # [B]
    rng: SharedRng
    sigma: float  # step of finite differences, in the unit of the frames
    fake_gradient: Tensor | None = None  # of each logit at its clip [B,C,T,H,W], with a graph
    perturbed_real_logits: Tensor | None = None  # [B], of `perturb_clips`
    perturbed_fake_logits: Tensor | None = None


Penalty = Callable[[DiscriminatorOutputs], Tensor]  # -> [B]


def gradient_at(logits: Tensor, frames: Tensor) -> Tensor:
    """dD/dx at each clip: logits [B] that were computed from frames [B,C,T,H,W] -> the shape of the frames."""
    (gradient,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    return gradient


def _squared_gradient_norm(logits: Tensor, frames: Tensor) -> Tensor:
    """|dD/dx|^2 at each clip: logits [B] that were computed from frames [B,C,T,H,W] -> [B]."""
    return _squared_norm(gradient_at(logits, frames))


def _squared_norm(gradient: Tensor) -> Tensor:
    return gradient.square().flatten(1).sum(1)


def interpolate(real: Tensor, fake: Tensor, rng: SharedRng) -> Tensor:
    """Random points between each real clip and a fake one: [B,C,T,H,W] each -> the same, requiring gradient."""
    share = rng.uniform(*[1] * (real.dim() - 1)).to(real.dtype)
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def r1(outputs: DiscriminatorOutputs) -> Tensor:
    """Half the squared gradient norm on real clips. Mescheder 2018, arXiv:1801.04406."""
    return _squared_gradient_norm(outputs.real_logits, outputs.real) / 2


def r2(outputs: DiscriminatorOutputs) -> Tensor:
    """Half the squared gradient norm on generated clips. Mescheder 2018, arXiv:1801.04406."""
    gradient = (
        gradient_at(outputs.fake_logits, outputs.fake) if outputs.fake_gradient is None else outputs.fake_gradient
    )
    return _squared_norm(gradient) / 2


def r1_fd(outputs: DiscriminatorOutputs) -> Tensor:
    """R1 by finite differences: its expectation over the noise tends to r1 as sigma tends to 0. arXiv:2501.08316."""
    return _difference(outputs.perturbed_real_logits, outputs.real_logits, outputs.sigma) / 2


def r2_fd(outputs: DiscriminatorOutputs) -> Tensor:
    """R2 by finite differences, as r1_fd."""
    return _difference(outputs.perturbed_fake_logits, outputs.fake_logits, outputs.sigma) / 2


def zero_gp(outputs: DiscriminatorOutputs) -> Tensor:
    """The squared gradient norm between real and fake. Thanh-Tung 2019, arXiv:1902.03984."""
    point = interpolate(outputs.real, outputs.fake, outputs.rng)
    return _squared_gradient_norm(outputs.discriminator(point, outputs.cond), point)


def wgan_gp(outputs: DiscriminatorOutputs) -> Tensor:
    """The squared distance of the gradient norm from 1 between real and fake. Gulrajani 2017, arXiv:1704.00028."""
    return (torch.sqrt(zero_gp(outputs) + 1e-12) - 1).square()  # the root's own gradient is infinite at 0


def perturb_clips(frames: Tensor, rng: SharedRng, sigma: float) -> Tensor:
    """Clips with noise: x + sigma n with n standard normal, [B,C,T,H,W] -> the same shape and strides."""
    noise = rng.normal(*frames.shape[1:]).to(frames.dtype)
    return torch.add(frames.detach(), noise, alpha=sigma)


def _difference(perturbed: Tensor | None, logits: Tensor, sigma: float) -> Tensor:
    """(D(x + sigma n) - D(x))^2 / sigma^2 -> [B]; needs no second derivative."""
    assert perturbed is not None, "finite differences need the logits of perturbed clips"
    return ((perturbed - logits) / sigma).square()


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


def check_penalty(name: str, found: Tensor, outputs: DiscriminatorOutputs) -> Tensor:
    """The penalty [B] unchanged. Raises UserError if a user's own is not one value per clip, with a gradient."""
    if name not in PENALTIES:
        what, expected = f"train.penalties: {name!r}", [len(outputs.real_logits)]
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != expected:
            raise UserError(f"{what} returns {shape} where it must return a tensor {expected}, one value for each clip")
        _require_gradient(what, found)
    return found


def needs_gradient(names: Iterable[str], *readers: str) -> bool:
    """Whether any of the named penalties is one of `readers`, or a user's own, which may differentiate anything."""
    return any(name in readers or name not in PENALTIES for name in names)
