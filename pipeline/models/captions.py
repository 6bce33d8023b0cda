"""Caption encoders: token ids -> one vector per caption."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from pipeline.models.layers import linear

PADDING = 0  # token id


class GruCaptionEncoder(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> cond [B,E], each of mean square 1.

    The mean of learned word vectors says what the caption is about from the first step on. A bidirectional GRU adds the
    order of the words, since "from left to right" and "from right to left" hold the same ones. Cho et al. 2014,
    arXiv:1406.1078. The fixed length keeps captions as loud as noise: with a free one the generator began by ignoring
    them.
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=PADDING)
        self.recurrent = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.project = linear(3 * width, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        words = self.words(token_ids)  # [B,L,E], zero where padded
        lengths = (token_ids != PADDING).sum(dim=1).clamp(min=1)
        packed = pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.recurrent(packed)  # [2,B,E]: the last state of either direction
        mean = words.sum(dim=1) / lengths[:, None].sqrt()  # the root keeps the variance of a single word
        cond = self.project(torch.cat((mean, last[0], last[1]), dim=1))
        return F.layer_norm(cond, cond.shape[1:])
