"""Matching-aware losses: a real clip under another clip's caption must score below the same clip under its own."""

from torch import Tensor
from torch.nn.functional import softplus


def relativistic_matching(matched: Tensor, mismatched: Tensor) -> Tensor:
    """Logits of real clips under their own and under a different caption, [B] each -> [B].

    The negatives of Reed et al. 2016, arXiv:1605.05396, in the pairing of arXiv:1807.00734.
    """
    return softplus(mismatched - matched)
