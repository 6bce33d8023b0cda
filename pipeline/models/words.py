"""Word vectors: token ids -> what a caption encoder reads, learned here or given from elsewhere."""

import torch
from torch import Tensor, nn

from pipeline.models.layers import linear

PADDING = 0  # token id


class WordVectors(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> word vectors [B,L,E], zero where padded.

    Without `given` every word of the vocabulary learns its own vector. With it (float [V,D], a row of zeros for a word
    that has none) the vectors come through a learned projection, so that a word never trained on is read like its
    neighbours. On top each word has a part of its own: all words if they are `trained`, else those without a vector.
    `given` is no part of the state: it lies beside the model.
    """

    given: Tensor
    free: Tensor

    def __init__(self, count: int, width: int, given: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        self.own = nn.Embedding(count, width, padding_idx=PADDING)
        self.project = None
        if given is not None:
            missing = given.eq(0).all(dim=1, keepdim=True)
            self.register_buffer("given", _of_mean_square_one(given), persistent=False)
            self.register_buffer("free", torch.ones_like(missing) if trained else missing, persistent=False)
            self.project = linear(given.shape[1], width, bias=False)
            with torch.no_grad():
                self.own.weight.mul_(missing)  # a word with a vector starts from that alone

    def forward(self, token_ids: Tensor) -> Tensor:
        if self.project is None:
            learned: Tensor = self.own(token_ids)
            return learned
        row = token_ids.where(token_ids < self.own.num_embeddings, PADDING)  # added words have no own part
        read: Tensor = self.project(self.given[token_ids]) + self.own(row) * self.free[row]
        return read

    def add(self, vectors: Tensor) -> None:
        """Take in words that were not trained on: [N,D]; their ids follow on the last one."""
        more = _of_mean_square_one(vectors.to(self.given))
        self.given = torch.cat((self.given, more))


def _of_mean_square_one(vectors: Tensor) -> Tensor:
    """Each row as loud as a learned vector at its start; rows of zeros stay."""
    return vectors.float() * vectors.float().square().mean(dim=1, keepdim=True).clamp(min=1e-20).rsqrt()
