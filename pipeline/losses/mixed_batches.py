"""Mixed batches: a discriminator tells which share of a group of clips is real. Lucas et al. 2018, arXiv:1806.07185."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.extensions import Signature, resolve

GroupLoss = Callable[[Tensor, Tensor], Tensor]  # (logits of all rows [G*N], share of real clips [G]) -> [G]


def spread_shares(uniform: Tensor, edge: float) -> Tensor:
    """Numbers drawn evenly from 0 to 1 -> shares drawn evenly from [0, edge] and [1 - edge, 1]: [G] -> [G]."""
    places = uniform * 2 * edge
    return torch.where(places < edge, places, places + 1 - 2 * edge)


def first_rows(shares: Tensor, group: int) -> Tensor:
    """Which rows are real where each group begins with so many of them, rounded: [G] -> bool [G*N].

    Where in its group a clip stands makes no difference to a discriminator that is fit for groups.
    """
    counts = (shares * group).round()
    return (torch.arange(group, device=shares.device) < counts[:, None]).flatten()


def realised_shares(is_real: Tensor, group: int) -> Tensor:
    """The share of real rows in each group, which is its label: bool [G*N] -> float32 [G]."""
    return is_real.float().view(-1, group).mean(dim=1)


def divergence(logits: Tensor, shares: Tensor) -> Tensor:
    """KL(Ber(share) || Ber(sigmoid(logit))), each for itself; 0 where the logit is right."""
    entropy = -torch.xlogy(shares, shares) - torch.xlogy(1 - shares, 1 - shares)
    return binary_cross_entropy_with_logits(logits, shares, reduction="none") - entropy


def bgan(logits: Tensor, shares: Tensor) -> Tensor:
    """One answer for each group, the mean of its logits."""
    return divergence(logits.view(len(shares), -1).mean(dim=1), shares)


def mbgan(logits: Tensor, shares: Tensor) -> Tensor:
    """One answer for each clip; the mean of their losses."""
    rows = logits.view(len(shares), -1)
    return divergence(rows, shares[:, None].expand_as(rows)).mean(dim=1)


MIXED_BATCHES: dict[str, GroupLoss] = {"bgan": bgan, "mbgan": mbgan}
GROUP_LOSS = Signature(
    "a function (logits of all rows [G*N], share of real clips [G]) -> loss [G]", arguments=("logits", "shares")
)


def find_group_loss(name: str) -> GroupLoss:
    """The loss that train.mixed.loss names. Raises UserError."""
    return resolve(name, MIXED_BATCHES, "train.mixed.loss", GROUP_LOSS)
