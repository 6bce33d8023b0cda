"""Word vectors: token ids -> what a caption encoder reads, learned here or given from elsewhere."""

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
    `given` is no part of the state: it lies beside the model.
    """

    given: Tensor
    free: Tensor

    def __init__(self, count: int, width: int, given: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        self.own = nn.Embedding(count, width, padding_idx=PADDING)
        self.project = None
        if given is not None:
            missing = given[:count].eq(0).all(dim=1, keepdim=True)
            self.register_buffer("given", _of_mean_square_one(given), persistent=False)
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
        self.given = torch.cat((self.given, _of_mean_square_one(vectors.to(self.given))))


def _of_mean_square_one(vectors: Tensor) -> Tensor:
    """Each row as loud as a learned vector at its start; rows of zeros stay."""
    return vectors.float() * vectors.float().square().mean(dim=1, keepdim=True).clamp(min=1e-20).rsqrt()
