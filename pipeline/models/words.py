"""Word vectors: token ids -> what a caption encoder reads, learned here or given from elsewhere.

Given vectors are centred. In GloVe and its like, words of daily use point in about one direction, so the conditions of
all captions began nearly alike. Mu & Viswanath 2018, "All-but-the-Top", arXiv:1702.01417, who remove the directions of
largest variance besides; here the words of few captions would have none to spare.
"""

import torch
from torch import Tensor, nn

from pipeline.models.layers import linear

PADDING, UNKNOWN = 0, 1  # token ids


class WordVectors(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> word vectors [B,L,E], zero where padded.

    Without `given` each of the `count` words learns its own vector. With it (float [V,D], V >= count; a row of zeros
    for a word that has none) the vectors come through a learned projection, so that a word never trained on is read
    like its neighbours: all ids from `count` on are such words. The others have a part of their own besides: all of
    them if they are `trained`, else those without a vector. Any other word is unknown.
    Vectors are read less the mean of those of the `count` words. `given` is no part of the state: it lies beside the
    model.
    """

    mean: Tensor
    given: Tensor
    free: Tensor

    def __init__(self, count: int, width: int, given: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        self.own = nn.Embedding(count, width, padding_idx=PADDING)
        self.project = None
        if given is not None:
            missing = given[:count].eq(0).all(dim=1, keepdim=True)
            self.register_buffer("mean", _mean(given[:count]), persistent=False)
            self.register_buffer("given", self._centred(given), persistent=False)
            self.register_buffer("free", torch.ones_like(missing) if trained else missing, persistent=False)
            self.project = linear(given.shape[1], width, bias=False)
            with torch.no_grad():
                self.own.weight.mul_(missing)  # a word with a vector starts from that alone

    def forward(self, token_ids: Tensor) -> Tensor:
        learned = token_ids < self.own.num_embeddings
        if self.project is None:
            words: Tensor = self.own(token_ids.where(learned, UNKNOWN))
            return words
        vectors = self.given[token_ids]  # [B,L,D]
        row = token_ids.where(learned, torch.where(vectors.any(dim=2), PADDING, UNKNOWN))
        read: Tensor = self.project(vectors) + self.own(row) * self.free[row]
        return read

    def add(self, vectors: Tensor) -> None:
        """Take in more words that were not trained on: [N,D]; their ids follow on the last one."""
        self.given = torch.cat((self.given, self._centred(vectors.to(self.given))))

    def _centred(self, vectors: Tensor) -> Tensor:
        """Each row less the mean, and as loud as a learned vector at its start; rows of zeros stay."""
        rows = (vectors.float() - self.mean) * vectors.any(dim=1, keepdim=True)
        return rows * rows.square().mean(dim=1, keepdim=True).clamp(min=1e-20).rsqrt()


def _mean(vectors: Tensor) -> Tensor:
    """Of the rows that are not zero: [V,D] -> [D]; 0 where there are no two, since a single one would vanish."""
    rows = vectors[vectors.any(dim=1)].float()
    return rows.mean(dim=0) if len(rows) > 1 else vectors.new_zeros(vectors.shape[1], dtype=torch.float32)
