"""What one judge, and the flow, see in a set of clips: computed once, used by every metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.batches import pad
from pipeline.judges.classes import Prompt
from pipeline.judges.networks import Judge
from pipeline.measures import energy_of, fineness_of, flow_of, in_parts, jerk_of, movement_of, shrink
from pipeline.records import Frames

EDGE = 2  # pixels left out all round in small pictures, so that a clip moved by as many still lies upon the other

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Views:
    """N clips as seen; rows belong to `prompts`. Each is equal to itself alone, so that it can be a key."""

    frames: Frames  # uint8 [N,T,H,W,3]
    prompts: Sequence[Prompt]
    features: Floats  # [N,F]
    looks: Floats  # [N,S]
    fineness: Floats  # [N,D]
    objects: Whole  # [N] the judge's answer
    categories: Whole  # [N]
    ranks: Floats  # [N] how many captions of other meanings fit the clip better than its own, nan with too few of them
    movements: Floats  # [N,2] pixels per frame to the right and down
    energies: Floats  # [N]
    jerks: Floats  # [N]
    pixels: Floats  # [N,P] small pictures
    flows: Floats  # [N,Q] small flows

    def __len__(self) -> int:
        return len(self.frames)

    def by_meaning(self) -> dict[int, Whole]:
        """The rows of each meaning, in order."""
        meanings = np.array([prompt.meaning for prompt in self.prompts])
        return {int(meaning): np.flatnonzero(meanings == meaning) for meaning in np.unique(meanings)}

    def joined(self, other: "Views") -> "Views":
        """The rows of both."""
        arrays = {
            name: np.concatenate((value, getattr(other, name)))
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return Views(prompts=[*self.prompts, *other.prompts], **arrays)


def look(judge: Judge, frames: Frames, prompts: Sequence[Prompt], bank: Sequence[Prompt], distractors: int) -> Views:
    """See clips that should show `prompts`; `bank` holds one prompt per meaning, to draw wrong captions from."""
    features, looks = judge.extract_all(frames)
    with torch.inference_mode():
        objects, categories = judge.objects(features).argmax(dim=1), judge.categories(features).argmax(dim=1)
        ranks = _ranks(judge, features, prompts, bank, distractors)
    flows = [flow_of(clip) for clip in frames]
    return Views(
        frames=frames,
        prompts=prompts,
        features=features.double().numpy(),
        looks=looks.double().numpy(),
        fineness=np.array([fineness_of(clip) for clip in frames]),
        objects=objects.numpy(),
        categories=categories.numpy(),
        ranks=ranks.numpy(),
        movements=np.array([movement_of(flow) for flow in flows]),
        energies=np.array([energy_of(clip) for clip in frames]),
        jerks=np.array([jerk_of(clip) for clip in frames]),
        pixels=small_pictures([in_parts(clip) for clip in frames]),
        flows=np.array([shrink(in_parts(flow)) for flow in flows]),
    )


def _ranks(
    judge: Judge, features: Tensor, prompts: Sequence[Prompt], bank: Sequence[Prompt], distractors: int
) -> Tensor:
    clips = judge.clip_vectors(features)
    own = (clips * judge.caption_vectors(pad([prompt.caption.token_ids for prompt in prompts]))).sum(dim=1)
    cosines = clips @ judge.caption_vectors(pad([prompt.caption.token_ids for prompt in bank])).T
    return ranks_of(own, cosines, prompts, bank, distractors)


def ranks_of(
    own: Tensor, cosines: Tensor, prompts: Sequence[Prompt], bank: Sequence[Prompt], distractors: int
) -> Tensor:
    """For each clip, how many of `distractors` captions of other meanings have a larger cosine than its own: [N].

    `own` [N] are the cosines with its own caption, `cosines` [N,K] those with the captions of the bank.
    """
    meanings = torch.tensor([prompt.meaning for prompt in bank])
    ranks = []
    for row, prompt in enumerate(prompts):
        # Which wrong captions a clip meets must not depend on chance: they follow its own around the bank.
        start = prompt.meaning * 7 + row
        others = (torch.arange(len(bank)) + start) % len(bank)
        others = others[meanings[others] != prompt.meaning][:distractors]
        better = float((cosines[row, others] > own[row]).sum())
        ranks.append(better if len(others) == distractors else math.nan)
    return torch.tensor(ranks, dtype=torch.float64)


def small_pictures(clips: Sequence[NDArray[np.float32]], down: int = 0, right: int = 0) -> Floats:
    """The insides of clips `in_parts`, looked at so many pixels further down and to the right: [N,P]."""
    height, width = clips[0].shape[1:3]
    rows, columns = slice(EDGE + down, height - EDGE + down), slice(EDGE + right, width - EDGE + right)
    return np.array([shrink(parts[:, rows, columns]) for parts in clips])
