"""Matching-aware losses: a real clip under another clip's caption is one more negative. Reed 2016, arXiv:1605.05396.

Each returns the discriminator's whole loss, one value per clip [B]. The weight is one per clip too, so that a mismatch
that is none can weigh nothing; with a weight of 0 the first two are the adversarial loss alone.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import softplus

from pipeline.losses.adversarial import LogitLoss

# (the discriminator's adversarial loss, logits on real, fake and mismatched [B], weight of the mismatch [B]) -> [B]
Matching = Callable[[LogitLoss, Tensor, Tensor, Tensor, Tensor], Tensor]


def relativistic(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """A clip must score higher under its own caption: the pairing of arXiv:1807.00734, beside any adversarial loss."""
    return adversarial(real, fake) + weight * softplus(mismatched - real)


def reed(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """The mean of the adversarial loss over both kinds of negatives, Reed's formula where it is `nonsaturating`."""
    return (adversarial(real, fake) + weight * adversarial(real, mismatched)) / (1 + weight)


def thirds(adversarial: LogitLoss, real: Tensor, fake: Tensor, mismatched: Tensor, weight: Tensor) -> Tensor:
    """Real, fake and mismatched weigh a third each: for `nonsaturating` alone. arXiv:1804.08264, the seed's."""
    return (adversarial(real, fake) + weight * softplus(mismatched)) / (2 + weight)


MATCHING: dict[str, Matching] = {"relativistic": relativistic, "reed": reed, "thirds": thirds}
