"""Adversarial losses, (real logits [B], fake logits [B]) -> one loss per clip [B], and matching-aware ones."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

from pipeline.extensions import Signature, resolve

LogitLoss = Callable[[Tensor, Tensor], Tensor]

# (the discriminator's adversarial loss, logits on real, fake and mismatched [B], weight of the mismatch [B]) -> [B]
Matching = Callable[[LogitLoss, Tensor, Tensor, Tensor, Tensor], Tensor]


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
    """A clip must score higher under its own caption: the pairing of arXiv:1807.00734, beside any adversarial loss."""
    return adversarial(real, fake) + weight * softplus(mismatched - real)


def reed(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """The mean of the adversarial loss over both kinds of negatives, Reed's formula where it is `nonsaturating`."""
    return (adversarial(real, fake) + weight * adversarial(real, mismatched)) / (1 + weight)


def thirds(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """Real, fake and mismatched weigh a third each: for `nonsaturating` alone. arXiv:1804.08264, the seed's."""
    return (adversarial(real, fake) + weight * softplus(mismatched)) / (2 + weight)


ADVERSARIAL: dict[str, Adversarial] = {
    "relativistic": RELATIVISTIC,
    "nonsaturating": NONSATURATING,
    "hinge": HINGE,
    "wasserstein": WASSERSTEIN,
}
ADVERSARIAL_LOSS = Signature(
    "a pipeline.losses.adversarial:Adversarial of two functions (real logits [B], fake logits [B]) -> loss [B]",
    base=Adversarial,
)

MATCHING: dict[str, Matching] = {"relativistic": relativistic, "reed": reed, "thirds": thirds}
MATCHING_LOSS = Signature(
    "a function (adversarial loss, real, fake, mismatched logits, weight), [B] each -> loss [B]",
    arguments=("adversarial", "real", "fake", "mismatched", "weight"),
)


def find_adversarial(name: str) -> Adversarial:
    """The loss that train.adversarial names. Raises UserError."""
    return resolve(name, ADVERSARIAL, "train.adversarial", ADVERSARIAL_LOSS)


def find_matching(name: str) -> Matching:
    """The loss that train.matching names. Raises UserError."""
    return resolve(name, MATCHING, "train.matching", MATCHING_LOSS)
