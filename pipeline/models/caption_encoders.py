"""Caption encoders: token ids -> one vector per caption, and one per word; word vectors are learned or pretrained."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.extensions import Signature, resolve
from pipeline.models.layers import in_float32, linear
from pipeline.params import CaptionParams
from pipeline.records import PAD_ID, UNKNOWN_ID


class WordVectors(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> word vectors [B,L,E], zero where padded.

    Without `pretrained` vectors, each of the `count` words has a learned vector. With them (float [V,D], V >= count; a
    row of zeros for a word that has none), vectors are centred by the mean of the first `count` and projected by a
    learned matrix, so that a word that was not trained on is encoded like its neighbours: these are all ids from
    `count` on. A learned vector is added to the words that were: to all of them if they are `trained`, else to those
    without a pretrained vector. Any other word is unknown. `pretrained` is not part of the state: it is saved beside
    the model.
    """

    mean: Tensor
    pretrained: Tensor
    has_learned: Tensor

    def __init__(self, count: int, width: int, pretrained: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width, padding_idx=PAD_ID)
        self.project = None
        if pretrained is not None:
            missing = pretrained[:count].eq(0).all(dim=1, keepdim=True)
            self.register_buffer("mean", _mean_vector(pretrained[:count]), persistent=False)
            self.register_buffer("pretrained", self._centred(pretrained), persistent=False)
            self.pretrained_count = len(pretrained)
            self.register_buffer("has_learned", torch.ones_like(missing) if trained else missing, persistent=False)
            self.project = linear(pretrained.shape[1], width, bias=False)
            with torch.no_grad():
                self.embedding.weight.mul_(missing)  # a word with a pretrained vector starts from that alone

    def forward(self, token_ids: Tensor) -> Tensor:
        learned = token_ids < self.embedding.num_embeddings
        if self.project is None:
            words: Tensor = self.embedding(token_ids.where(learned, UNKNOWN_ID))
            return words
        vectors = self.pretrained[token_ids]  # [B,L,D]
        row = token_ids.where(learned, torch.where(vectors.any(dim=2), PAD_ID, UNKNOWN_ID))
        read: Tensor = self.project(vectors) + self.embedding(row) * self.has_learned[row]
        return read

    def add(self, vectors: Tensor) -> None:
        """Add words that were not trained on, by their vectors [N,D]; they replace any added before.

        Their ids follow those of the vectors that this was built with.
        """
        self.pretrained = torch.cat(
            (self.pretrained[: self.pretrained_count], self._centred(vectors.to(self.pretrained)))
        )

    def _centred(self, vectors: Tensor) -> Tensor:
        """Rows minus the mean, with a mean square of 1 as learned vectors have initially; rows of zeros stay."""
        rows = (vectors.float() - self.mean) * vectors.any(dim=1, keepdim=True)
        return rows * rows.square().mean(dim=1, keepdim=True).clamp(min=1e-20).rsqrt()


def _mean_vector(vectors: Tensor) -> Tensor:
    """Of the rows that are not zero: [V,D] -> [D]; 0 if there are fewer than two, since a single one would vanish."""
    rows = vectors[vectors.any(dim=1)].float()
    return rows.mean(dim=0) if len(rows) > 1 else vectors.new_zeros(vectors.shape[1], dtype=torch.float32)


class CaptionEncoder(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> cond [B,E], float32; `read` also returns a state per word.

    Subclasses are built with (words, params): the word vectors and the section train.captions.
    """

    def __init__(self, words: WordVectors) -> None:
        super().__init__()
        self.words = words
        self.width = words.embedding.embedding_dim

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cond [B,E] of mean square 1, and a state for each word [B,L,E], zero where padded."""
        raise NotImplementedError

    def forward(self, token_ids: Tensor) -> Tensor:
        with in_float32(token_ids):
            return self.read(token_ids)[0]


class MeanCaptionEncoder(CaptionEncoder):
    """A projection of the mean word vector, whatever the order of the words. The states are the word vectors."""

    def __init__(self, words: WordVectors, params: CaptionParams) -> None:  # noqa: ARG002
        super().__init__(words)
        self.project = linear(self.width, self.width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        words = self.words(token_ids)  # [B,L,E]
        return _normalise_length(self.project(_pool_words(words, token_ids))), words


class GruCaptionEncoder(CaptionEncoder):
    """The mean word vector and the last states of two GRUs, which read the words in both directions.

    The mean tells captions apart from the first step on. The GRUs add the order of the words: "from left to right" and
    "from right to left" consist of the same ones. Cho et al. 2014, arXiv:1406.1078.
    """

    def __init__(self, words: WordVectors, params: CaptionParams) -> None:  # noqa: ARG002
        super().__init__(words)
        self.forwards = nn.GRU(self.width, self.width, batch_first=True)
        self.backwards = nn.GRU(self.width, self.width, batch_first=True)
        self.project = linear(3 * self.width, self.width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        words = self.words(token_ids)  # [B,L,E]
        lengths = _mask(token_ids).sum(dim=1)
        # Captions are reversed without their padding, so that each is read backwards from its last word. Packed
        # sequences would do, but they fetch the lengths from the device, which synchronises with a GPU at every step.
        positions = torch.arange(token_ids.shape[1], device=token_ids.device)
        mirrored = (lengths[:, None] - 1 - positions).clamp(min=0)[:, :, None].expand_as(words)
        forward_states, backward_states = self.forwards(words)[0], self.backwards(words.gather(1, mirrored))[0]
        end = (lengths - 1)[:, None, None].expand(-1, 1, self.width)
        ends = [states.gather(1, end).squeeze(1) for states in (forward_states, backward_states)]
        cond = self.project(torch.cat((_pool_words(words, token_ids), *ends), dim=1))
        states = (forward_states + backward_states.gather(1, mirrored)) * _mask(token_ids)[:, :, None]
        return _normalise_length(cond), states


class TransformerCaptionEncoder(CaptionEncoder):
    """Self-attention over the words, then a mean weighted by attention.

    Vaswani et al. 2017, arXiv:1706.03762; normalised before each block: Xiong et al. 2020, arXiv:2002.04745.
    """

    def __init__(self, words: WordVectors, params: CaptionParams) -> None:
        super().__init__(words)
        width, heads = self.width, params.heads
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(params.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.weigh = linear(width, 1, scale=0.1)  # begins near the plain mean
        self.project = linear(width, width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = _mask(token_ids)
        states = self.words(token_ids) + _positions(token_ids, self.width)  # [B,L,E]
        for layer in self.layers:
            states = layer(states, src_key_padding_mask=~mask)
        states = self.norm(states) * mask[:, :, None]
        weights = self.weigh(states).squeeze(2).masked_fill(~mask, -math.inf).softmax(dim=1)  # [B,L]
        cond = self.project((weights[:, :, None] * states).sum(dim=1))
        return _normalise_length(cond), states


def build_caption_encoder(params: CaptionParams, words: int, pretrained: Tensor | None) -> CaptionEncoder:
    """The encoder that params name, for a vocabulary of `words` words; `pretrained`: their vectors, if not learned."""
    vectors = WordVectors(words, params.width, pretrained, trained=params.words == "trained")
    return find_caption_encoder(params)(vectors, params)


def _mask(token_ids: Tensor) -> Tensor:
    """Where there are words: bool [B,L]. An empty caption counts as one padding word."""
    first = torch.arange(token_ids.shape[1], device=token_ids.device) == 0
    return (token_ids != PAD_ID) | first


def _pool_words(words: Tensor, token_ids: Tensor) -> Tensor:
    """[B,L,E] -> [B,E]; divided by the root of the count, which keeps the variance of a single word."""
    pooled: Tensor = words.sum(dim=1) / _mask(token_ids).sum(dim=1, keepdim=True).sqrt()
    return pooled


def _normalise_length(cond: Tensor) -> Tensor:
    """Mean square 1 for each row of [B,E]."""
    return F.layer_norm(cond, cond.shape[1:])


def _positions(token_ids: Tensor, width: int) -> Tensor:
    """Sinusoidal position encoding [L,E], defined for captions of any length."""
    positions = torch.arange(token_ids.shape[1], device=token_ids.device, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, width, 2, device=token_ids.device) * (-math.log(10_000) / width))
    angles = positions[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width]


BuildEncoder = Callable[[WordVectors, CaptionParams], CaptionEncoder]
CAPTION_ENCODERS: dict[str, BuildEncoder] = {
    "mean": MeanCaptionEncoder,
    "gru": GruCaptionEncoder,
    "transformer": TransformerCaptionEncoder,
}
CAPTION_ENCODER = Signature(
    "a subclass of pipeline.models.caption_encoders:CaptionEncoder",
    arguments=("words", "params"),
    base=CaptionEncoder,
    is_class=True,
)


def find_caption_encoder(params: CaptionParams) -> BuildEncoder:
    """The class that train.captions.encoder names. Raises UserError."""
    return resolve(params.encoder, CAPTION_ENCODERS, "train.captions.encoder", CAPTION_ENCODER)
