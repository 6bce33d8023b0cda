"""What the products of earlier stages tell of a training, or what is assumed where there are none yet."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.training.batches import condition_ids
from pipeline.training.export import read_vectors
from pipeline.training.inputs import Inputs, Places
from pipeline.training.loading import RESIDENT_SHARE

WORDS, TOKENS, WIDTH = 2000, 12, 300  # assumed: of a vocabulary, of the longest caption, of vectors from a file


@dataclass(frozen=True)
class Known:
    """What a plan needs of the data."""

    words: int  # that are learned
    tokens: int  # of the longest caption
    given: Tensor | None  # vectors of words
    clips: int  # of the train split; 0 where there are no data yet
    told: str  # where this comes from


def known_of(params: Params, places: Places) -> Known:
    """Counted in the data where it is there and of the right shape, else assumed."""
    try:
        inputs = Inputs(places, params.seed, params.clip, params.train, params.compute.loading)
    except UserError as reason:
        told = f"{WORDS:,} words and captions of up to {TOKENS} are assumed: {reason}"
        return Known(WORDS, TOKENS, _assumed_vectors(params), 0, told)
    shown = {clip.id for clip in inputs.labels if clip.split == "train"} & set(inputs.shards.ids)
    lengths = [len(condition_ids(c, params.train.captions.conditioning)) for c in inputs.captions if c.id in shown]
    words = len(inputs.vocabulary) - inputs.vocabulary.unlearned
    told = f"{len(lengths):,} training clips, {words:,} words, captions of up to {max(lengths, default=1)}"
    return Known(words, max(lengths, default=1), read_vectors(places.vectors), len(lengths), told)


def resident_bytes(params: Params, clips: int, available: int) -> int:
    """What the training clips take on each device: nothing where they are read from their shards meanwhile."""
    shape, loading = params.clip, params.compute.loading
    whole = clips * shape.frames * shape.height * shape.width * 3
    return whole if loading == "resident" or (loading == "auto" and whole <= available * RESIDENT_SHARE) else 0


def _assumed_vectors(params: Params) -> Tensor | None:
    embeddings = params.tokenize.embeddings
    if embeddings.source == "learned":
        return None
    width = embeddings.width if embeddings.source == "subword" else WIDTH
    spare = embeddings.spare_words if embeddings.source in ("file", "spacy") else 0
    return torch.ones(WORDS + spare, width)
