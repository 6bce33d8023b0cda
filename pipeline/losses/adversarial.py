"""Losses on logits: adversarial, (real logits [B], fake logits [B]) -> one loss per clip [B]; matching; mixed batches.

In mixed batches a discriminator estimates which share of a group of clips is real: Lucas et al. 2018, arXiv:1806.07185.
"""

from collections.abc import Callable
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


class Adversarial(NamedTuple):
    discriminator: LogitLoss  # (real logits, fake logits), [B] each -> [B]
    generator: LogitLoss


NONSATURATING = Adversarial(  # Goodfellow 2014, arXiv:1406.2661
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: softplus(-fake),  # noqa: ARG005
)


HINGE = Adversarial(  # Lim & Ye 2017, arXiv:1705.02894
    discriminator=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,  # noqa: ARG005
)


WASSERSTEIN = Adversarial(  # Arjovsky 2017, arXiv:1701.07875
    discriminator=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,  # noqa: ARG005
)


RELATIVISTIC = Adversarial(  # Jolicoeur-Martineau 2018, arXiv:1807.00734
    discriminator=lambda real, fake: softplus(fake - real),
    generator=lambda real, fake: softplus(real - fake),
)


def relativistic(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
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
    "a pipeline.losses.adversarial:Adversarial of two functions (real logits [B], fake logits [B]) -> loss [B]",
    base=Adversarial,
)

MATCHING: dict[str, Matching] = {"relativistic": relativistic, "reed": reed, "thirds": thirds}
MATCHING_LOSS = Signature(
    "a function (adversarial loss, real, fake, mismatched logits, weight), [B] each -> loss [B]",
    arguments=("adversarial", "real", "fake", "mismatched", "weight"),
)

MIXED_BATCHES: dict[str, GroupLoss] = {"bgan": bgan, "mbgan": mbgan}
GROUP_LOSS = Signature(
    "a function (logits of all rows [G*N], share of real clips [G]) -> loss [G]", arguments=("logits", "shares")
)


def check_losses(adversarial: str, matching: str, mixed: str) -> None:
    """Raise UserError if a loss that params name does not return one value per clip or group."""
    logits = torch.zeros(2)
    pair = find_adversarial(adversarial)
    for role in Adversarial._fields:
        _check_loss(f"train.adversarial: the {role} of {adversarial!r}", getattr(pair, role), real=logits, fake=logits)
    found = find_matching(matching)(RELATIVISTIC.discriminator, logits, logits, logits, logits)
    _require_one_each(f"train.matching: {matching!r}", found)
    if mixed != "none":
        _require_one_each(f"train.mixed.loss: {mixed!r}", find_group_loss(mixed)(torch.zeros(4), logits))


def _check_loss(what: str, loss: LogitLoss, **logits: Tensor) -> None:
    if fault := Signature("", arguments=tuple(logits)).find_fault(loss):
        raise UserError(f"{what} {fault}; docs/extending.md has an example")
    _require_one_each(what, loss(*logits.values()))


def _require_one_each(what: str, found: object) -> None:
    shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != [2]:
        raise UserError(f"{what} returns {shape} where it must return a tensor [2], one loss for each of two")


def find_adversarial(name: str) -> Adversarial:
    """The loss that train.adversarial names. Raises UserError."""
    return ADVERSARIAL.get(name) or resolve(name, ADVERSARIAL, "train.adversarial", ADVERSARIAL_LOSS)


def find_matching(name: str) -> Matching:
    """The loss that train.matching names. Raises UserError."""
    return MATCHING.get(name) or resolve(name, MATCHING, "train.matching", MATCHING_LOSS)


def find_group_loss(name: str) -> GroupLoss:
    """The loss that train.mixed.loss names. Raises UserError."""
    return MIXED_BATCHES.get(name) or resolve(name, MIXED_BATCHES, "train.mixed.loss", GROUP_LOSS)
