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

    Without `pretrained` vectors each of the `count` words learns its own. With them (float [V,D], V >= count; a row of
    zeros for a word that has none) the vectors pass through a learned projection, so that a word never trained on is
    read like its neighbours: all ids from `count` on are such words. The others add a learned vector of their own: all
    of them if they are `trained`, else those without a pretrained one. Any other word is unknown.
    The mean of the vectors of the `count` words is subtracted first. `pretrained` is not part of the state: it is saved
    beside the model.
    """

    mean: Tensor
    pretrained: Tensor
    free: Tensor

    def __init__(self, count: int, width: int, pretrained: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        self.own = nn.Embedding(count, width, padding_idx=PAD_ID)
        self.project = None
        if pretrained is not None:
            missing = pretrained[:count].eq(0).all(dim=1, keepdim=True)
            self.register_buffer("mean", _mean_vector(pretrained[:count]), persistent=False)
            self.register_buffer("pretrained", self._centred(pretrained), persistent=False)
            self.given = len(pretrained)
            self.register_buffer("free", torch.ones_like(missing) if trained else missing, persistent=False)
            self.project = linear(pretrained.shape[1], width, bias=False)
            with torch.no_grad():
                self.own.weight.mul_(missing)  # a word with a vector starts from that alone

    def forward(self, token_ids: Tensor) -> Tensor:
        learned = token_ids < self.own.num_embeddings
        if self.project is None:
            words: Tensor = self.own(token_ids.where(learned, UNKNOWN_ID))
            return words
        vectors = self.pretrained[token_ids]  # [B,L,D]
        row = token_ids.where(learned, torch.where(vectors.any(dim=2), PAD_ID, UNKNOWN_ID))
        read: Tensor = self.project(vectors) + self.own(row) * self.free[row]
        return read

    def add(self, vectors: Tensor) -> None:
        """Take in more words that were not trained on: [N,D], in place of any taken in before.

        Their ids follow on the last one that this was built with.
        """
        self.pretrained = torch.cat((self.pretrained[: self.given], self._centred(vectors.to(self.pretrained))))

    def _centred(self, vectors: Tensor) -> Tensor:
        """Each row less the mean, and as loud as a learned vector at its start; rows of zeros stay."""
        rows = (vectors.float() - self.mean) * vectors.any(dim=1, keepdim=True)
        return rows * rows.square().mean(dim=1, keepdim=True).clamp(min=1e-20).rsqrt()


def _mean_vector(vectors: Tensor) -> Tensor:
    """Of the rows that are not zero: [V,D] -> [D]; 0 where there are no two, since a single one would vanish."""
    rows = vectors[vectors.any(dim=1)].float()
    return rows.mean(dim=0) if len(rows) > 1 else vectors.new_zeros(vectors.shape[1], dtype=torch.float32)


class CaptionEncoder(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> cond [B,E], float32; `read` gives the states of words as well.

    A subclass is built with (words, params): the word vectors and the section train.captions.
    """

    def __init__(self, words: WordVectors) -> None:
        super().__init__()
        self.words = words
        self.width = words.own.embedding_dim

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cond [B,E] of mean square 1, and a state for each word [B,L,E], zero where padded."""
        raise NotImplementedError

    def forward(self, token_ids: Tensor) -> Tensor:
        with in_float32(token_ids):
            return self.read(token_ids)[0]


class MeanCaptionEncoder(CaptionEncoder):
    """What the caption is about, whatever the order of its words. The states are the words themselves."""

    def __init__(self, words: WordVectors, params: CaptionParams) -> None:  # noqa: ARG002
        super().__init__(words)
        self.project = linear(self.width, self.width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        words = self.words(token_ids)  # [B,L,E]
        return _normalise_length(self.project(_mean(words, token_ids))), words


class GruCaptionEncoder(CaptionEncoder):
    """The mean of the word vectors, and a recurrent network that reads the words in both directions.

    The mean says what the caption is about from the first step on. The recurrent part adds the order of the words,
    since "from left to right" and "from right to left" hold the same ones. Cho et al. 2014, arXiv:1406.1078.
    """

    def __init__(self, words: WordVectors, params: CaptionParams) -> None:  # noqa: ARG002
        super().__init__(words)
        self.forwards = nn.GRU(self.width, self.width, batch_first=True)
        self.backwards = nn.GRU(self.width, self.width, batch_first=True)
        self.project = linear(3 * self.width, self.width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        words = self.words(token_ids)  # [B,L,E]
        lengths = _mask(token_ids).sum(dim=1)
        # Reversed before the padding, each caption can be read backwards from its own last word. Packed sequences do
        # the same, but they fetch the lengths from the device, and a GPU would stand still for that at every step.
        places = torch.arange(token_ids.shape[1], device=token_ids.device)
        mirrored = (lengths[:, None] - 1 - places).clamp(min=0)[:, :, None].expand_as(words)
        onward, homeward = self.forwards(words)[0], self.backwards(words.gather(1, mirrored))[0]
        end = (lengths - 1)[:, None, None].expand(-1, 1, self.width)
        ends = [states.gather(1, end).squeeze(1) for states in (onward, homeward)]
        cond = self.project(torch.cat((_mean(words, token_ids), *ends), dim=1))
        states = (onward + homeward.gather(1, mirrored)) * _mask(token_ids)[:, :, None]
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
    """Where there are words: bool [B,L]. A caption without any counts as one silent word."""
    first = torch.arange(token_ids.shape[1], device=token_ids.device) == 0
    return (token_ids != PAD_ID) | first


def _mean(words: Tensor, token_ids: Tensor) -> Tensor:
    """[B,L,E] -> [B,E]; the root keeps the variance of a single word."""
    mean: Tensor = words.sum(dim=1) / _mask(token_ids).sum(dim=1, keepdim=True).sqrt()
    return mean


def _normalise_length(cond: Tensor) -> Tensor:
    """Mean square 1 for each row of [B,E]."""
    return F.layer_norm(cond, cond.shape[1:])


def _positions(token_ids: Tensor, width: int) -> Tensor:
    """Waves of growing length over the places [L,E]: no caption is too long for them."""
    places = torch.arange(token_ids.shape[1], device=token_ids.device, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, width, 2, device=token_ids.device) * (-math.log(10_000) / width))
    angles = places[:, None] * rates
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
