"""Judges: networks trained on real clips of the `judge` split, which measure generated ones.

Two of them, built differently, so that a model chosen by A on `val` can be reported by B on `test`.
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.evaluation.trunks import FramesTrunk, VolumeTrunk
from pipeline.models.layers import linear
from pipeline.models.words import UNKNOWN
from pipeline.params import ClipParams
from pipeline.records import Frames
from pipeline.training.batches import to_training

JudgeName = Literal["a", "b"]
TRUNKS: dict[JudgeName, type[VolumeTrunk] | type[FramesTrunk]] = {"a": VolumeTrunk, "b": FramesTrunk}
EMBEDDING = 64
FEWEST_LESSONS = 20  # clips: fewer teach nothing that could be called judging
AT_ONCE = 32  # clips in one pass: memory stays small however many there are


class Judge(nn.Module):
    """Clips and captions as one judge sees them. Frames are [B,3,T,H,W] in [-1,1], token ids [B,L] padded with 0.

    Whether a clip fits a caption is the cosine of `clip_vectors` and `caption_vectors`. Radford et al. 2021 (CLIP),
    arXiv:2103.00020.
    """

    lessons: int  # clips that it could learn from

    def __init__(
        self, name: JudgeName, shape: ClipParams, width: int, objects: int, categories: int, words: int
    ) -> None:
        super().__init__()
        self.words = words
        self.lessons = 0
        self.trunk = TRUNKS[name](shape, width)
        self.objects = linear(self.trunk.features, max(objects, 1))
        self.categories = linear(self.trunk.features, max(categories, 1))
        self.clips = linear(self.trunk.features, EMBEDDING)
        self.captions = CaptionTower(words, EMBEDDING)
        self.sharpness = nn.Parameter(torch.tensor(math.log(10.0)))  # of the contrastive loss

    @property
    def blind(self) -> bool:
        """Whether it has learned nothing: it describes clips as it was born, but cannot say what they show."""
        return self.lessons < FEWEST_LESSONS

    @property
    def excuse(self) -> str:
        """Why a blind judge says nothing."""
        return (
            f"the judges had {self.lessons} clips to learn from, {FEWEST_LESSONS} are needed; see filter.shares.judge"
        )

    def describe(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """What the answers are given by, features [B,F], and how the clips look at every stage, [B,S].

        Distances compare both: the features forget all that does not tell classes apart, and a blurred mean of clips
        has the best of features.
        """
        features, looks = self.trunk(frames)
        return features, looks

    def describe_all(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """The same of any number of clips, uint8 [N,T,H,W,3], a few at a time and without gradients."""
        with torch.inference_mode():
            parts = [
                self.describe(to_training(torch.from_numpy(np.ascontiguousarray(frames[at : at + AT_ONCE]))))
                for at in range(0, len(frames), AT_ONCE)
            ]
            features, looks = (torch.cat(part) for part in zip(*parts, strict=True))
        return features, looks

    def clip_vectors(self, features: Tensor) -> Tensor:
        """Unit vectors [B,E] of described clips."""
        return F.normalize(self.clips(features), dim=1)

    def caption_vectors(self, token_ids: Tensor) -> Tensor:
        """Unit vectors [B,E] of captions; words that came later than the judge are unknown ones."""
        return F.normalize(self.captions(token_ids.where(token_ids < self.words, UNKNOWN)), dim=1)


class CaptionTower(nn.Module):
    """Token ids [B,L], 0 is padding -> [B,E]: means over neighbouring words: "from left" is not "from right"."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.phrases = nn.Conv1d(width, width, 3, padding=1)
        self.project = linear(width, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        spoken = (token_ids != 0).float()[:, None]  # [B,1,L]
        x = F.gelu(self.phrases(self.words(token_ids).transpose(1, 2))) * spoken
        vectors: Tensor = self.project(x.sum(dim=2) / spoken.sum(dim=2).clamp(min=1).sqrt())
        return vectors
