"""Random numbers for the rows of a batch that several processes share."""

from dataclasses import dataclass

import torch
from torch import Tensor


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
