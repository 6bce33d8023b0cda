"""Clips with their captions, as training wants them. The two conversions of frames live here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError
from pipeline.params import Conditioning
from pipeline.records import Caption, Clip, Frames, Split
from pipeline.shards import ShardReader
from pipeline.training.negatives import opposite_ids


def to_training(frames: Tensor) -> Tensor:
    """uint8 [B,T,H,W,C] in 0..255 -> float32 [B,C,T,H,W] in [-1,1], with channels_last_3d strides and no reordering."""
    return frames.float().mul_(2 / 255).sub_(1).permute(0, 4, 1, 2, 3)


def to_frames(clips: Tensor) -> Frames:
    """float [B,C,T,H,W] in [-1,1] -> uint8 [B,T,H,W,C] in 0..255, rounded; values outside are clamped."""
    scaled = clips.detach().float().permute(0, 2, 3, 4, 1).add(1).mul(255 / 2).round().clamp(0, 255)
    array: Frames = scaled.to(torch.uint8).cpu().contiguous().numpy()
    return array


@dataclass(frozen=True)
class Batch:
    """Rows of one step."""

    frames: Tensor  # uint8 [B,T,H,W,3]
    token_ids: Tensor  # int64 [B,L]
    mismatched_ids: Tensor  # int64 [B,L]: captions of another category or other objects, or turned round
    z: Tensor  # float32 [B,Z]

    def mismatches(self) -> Tensor:
        """1 where the mismatched caption differs from the clip's own, 0 where it reads the same: float32 [B].

        It does where the set holds one meaning alone, or where the words that differ are both unknown.
        """
        return (self.token_ids != self.mismatched_ids).any(dim=1).float()


def condition_ids(caption: Caption, conditioning: Conditioning) -> tuple[int, ...]:
    """The token ids that the networks hear of a caption: all of them where it names no object."""
    return caption.token_ids if conditioning == "caption" else caption.object_ids or caption.token_ids


def object_words(captions: Sequence[Caption], words: int) -> Tensor:
    """Which of the words name an object more often than not: bool [words]; all of them where no caption has any."""
    balance = torch.zeros(words, dtype=torch.int64)
    for caption in captions:
        for token, slot in zip(caption.token_ids, caption.slots, strict=True):
            if token < words:
                balance[token] += 1 if slot > 0 else -1
    named = balance > 0
    return named if named.any() else torch.ones(words, dtype=torch.bool)


class ClipSet:
    """The clips of one split that have both frames and a caption, whole in memory on `device`.

    Raises UserError where the split is empty.
    """

    def __init__(
        self,
        labels: Sequence[Clip],
        captions: Sequence[Caption],
        shards: ShardReader,
        split: Split,
        device: torch.device,
        conditioning: Conditioning = "caption",
    ) -> None:
        clips = {clip.id: clip for clip in labels if clip.split == split}
        by_id = {caption.id: caption for caption in captions}
        rows = [row for row, name in enumerate(shards.ids) if name in clips and name in by_id]
        if not rows:
            raise UserError(
                f"no clip of split {split} has frames and a caption; data/*/report.json say where they went"
            )
        self.clips = [clips[shards.ids[row]] for row in rows]
        self.frames = torch.from_numpy(shards.frames(rows)).to(device)
        heard = [by_id[clip.id] for clip in self.clips]
        turned = opposite_ids(heard, heard) if conditioning == "caption" else [()] * len(heard)
        ids = pad([*(condition_ids(caption, conditioning) for caption in heard), *turned]).to(device)
        self.token_ids, self.opposite_ids = ids[: len(heard)], ids[len(heard) :]  # opposites: zeros where there is none
        self.meanings = Meanings(self.clips, device, conditioning)

    def __len__(self) -> int:
        return len(self.frames)

    def batch(self, rows: NDArray[np.int64], z_width: int, share: slice, opposites: float = 0.0) -> Batch:
        """This rank's `share` of the clips at `rows`, with mismatched captions and noise.

        Of the mismatched captions the share `opposites` are the clip's own turned round, where it can be. Randomness is
        drawn for all rows, so that it does not depend on how many ranks there are.
        """
        places = torch.from_numpy(rows).to(self.frames.device)
        others, z = self.meanings.others(places)[share], torch.randn(len(rows), z_width, device=places.device)[share]
        mismatched = self.token_ids[others]
        if opposites:
            turned = self.opposite_ids[places[share]]
            chosen = (torch.rand(len(rows), device=places.device)[share] < opposites) & turned.any(dim=1)
            mismatched = torch.where(chosen[:, None], turned, mismatched)
        places = places[share]
        return Batch(self.frames[places], self.token_ids[places], mismatched, z)


class Meanings:
    """Clips grouped by what is done with what: "a mug" and "the mug" pushed to the right are one meaning.

    Where the objects alone are heard the category does not count: captions that sound alike are no mismatch.
    """

    def __init__(self, clips: Sequence[Clip], device: torch.device, conditioning: Conditioning = "caption") -> None:
        heard = conditioning == "caption"
        meanings = [(clip.category if heard else "", clip.objects) for clip in clips]
        groups = {meaning: number for number, meaning in enumerate(sorted(set(meanings)))}
        group_of = torch.tensor([groups[meaning] for meaning in meanings])
        self.count = len(groups)
        self.group_of = group_of.to(device)
        self.members = group_of.argsort(stable=True).to(device)  # rows, group after group
        self.sizes = group_of.bincount().to(device)
        self.starts = self.sizes.cumsum(0) - self.sizes

    def others(self, rows: Tensor) -> Tensor:
        """For each row, one of a different meaning, every meaning alike: int64 [B] -> int64 [B].

        With a single meaning in the set there is no other, and the rows themselves come back.
        """
        if self.count == 1:
            return rows
        step = torch.randint(1, self.count, rows.shape, device=rows.device)
        group = (self.group_of[rows] + step) % self.count
        member = (torch.rand(rows.shape, device=rows.device) * self.sizes[group]).long()
        return self.members[self.starts[group] + member.clamp(max=self.sizes[group] - 1)]


def pad(token_ids: Sequence[Sequence[int]]) -> Tensor:
    """Sequences of token ids -> int64 [N,L], zeros at the end; L is at least 1."""
    length = max(1, *map(len, token_ids))
    return torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in token_ids], dtype=torch.int64)
