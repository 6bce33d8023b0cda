"""Caption encoders: token ids -> one vector per caption, and one per word.

All of them give captions a fixed length, mean square 1, which keeps them as loud as noise: with a free one the
generator began by ignoring them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import in_float32, linear
from pipeline.models.words import PADDING, WordVectors
from pipeline.params import CaptionParams


class CaptionEncoder(nn.Module):
    """Token ids [B,L], padded with 0 at the end -> cond [B,E], float32; `read` gives the states of words as well."""

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

    def __init__(self, words: WordVectors) -> None:
        super().__init__(words)
        self.project = linear(self.width, self.width)

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        words = self.words(token_ids)  # [B,L,E]
        return _of_fixed_length(self.project(_mean(words, token_ids))), words


class GruCaptionEncoder(CaptionEncoder):
    """The mean of the word vectors, and a recurrent network that reads the words in both directions.

    The mean says what the caption is about from the first step on. The recurrent part adds the order of the words,
    since "from left to right" and "from right to left" hold the same ones. Cho et al. 2014, arXiv:1406.1078.
    """

    def __init__(self, words: WordVectors) -> None:
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
        return _of_fixed_length(cond), states


class TransformerCaptionEncoder(CaptionEncoder):
    """Self-attention over the words, then a mean weighted by attention.

    Vaswani et al. 2017, arXiv:1706.03762; normalised before each block: Xiong et al. 2020, arXiv:2002.04745.
    """

    def __init__(self, words: WordVectors, layers: int, heads: int) -> None:
        super().__init__(words)
        width = self.width
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(layers)
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
        return _of_fixed_length(cond), states


def caption_encoder(params: CaptionParams, words: int, given: Tensor | None) -> CaptionEncoder:
    """The encoder that params name, for a vocabulary of so many words; `given`: their vectors, if not learned."""
    vectors = WordVectors(words, params.width, given, trained=params.words == "trained")
    if params.encoder == "transformer":
        return TransformerCaptionEncoder(vectors, params.layers, params.heads)
    return {"mean": MeanCaptionEncoder, "gru": GruCaptionEncoder}[params.encoder](vectors)


def _mask(token_ids: Tensor) -> Tensor:
    """Where there are words: bool [B,L]. A caption without any counts as one silent word."""
    first = torch.arange(token_ids.shape[1], device=token_ids.device) == 0
    return (token_ids != PADDING) | first


def _mean(words: Tensor, token_ids: Tensor) -> Tensor:
    """[B,L,E] -> [B,E]; the root keeps the variance of a single word."""
    mean: Tensor = words.sum(dim=1) / _mask(token_ids).sum(dim=1, keepdim=True).sqrt()
    return mean


def _of_fixed_length(cond: Tensor) -> Tensor:
    """Mean square 1 for each row of [B,E]."""
    return F.layer_norm(cond, cond.shape[1:])


def _positions(token_ids: Tensor, width: int) -> Tensor:
    """Waves of growing length over the places [L,E]: no caption is too long for them."""
    places = torch.arange(token_ids.shape[1], device=token_ids.device, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, width, 2, device=token_ids.device) * (-math.log(10_000) / width))
    angles = places[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width]
