"""Caption encoders: token ids -> one vector per caption."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from pipeline.models.layers import linear

PADDING = 0  # token id


class GruCaptionEncoder(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> cond [B,E].

    A bidirectional GRU over learned word vectors: the order of the words counts, since "from left to right" and
    "from right to left" hold the same words. Cho et al. 2014, arXiv:1406.1078.
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=PADDING)
        self.recurrent = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.project = linear(2 * width, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        lengths = (token_ids != PADDING).sum(dim=1).clamp(min=1)
        packed = pack_padded_sequence(self.words(token_ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.recurrent(packed)  # [2,B,E]: the last state of either direction
        cond: Tensor = self.project(torch.cat((last[0], last[1]), dim=1))
        return cond
