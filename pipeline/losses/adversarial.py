"""Adversarial losses: (real logits [B], fake logits [B]) -> one loss per clip [B].

Real and fake of a row share their caption. All take raw logits and own the sigmoid.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

LogitLoss = Callable[[Tensor, Tensor], Tensor]


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

ADVERSARIAL: dict[str, Adversarial] = {
    "relativistic": RELATIVISTIC,
    "nonsaturating": NONSATURATING,
    "hinge": HINGE,
    "wasserstein": WASSERSTEIN,
}
