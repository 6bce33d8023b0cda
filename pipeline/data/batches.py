"""What a training step is given. The two conversions of frames live here and nowhere else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.directions.table import Directions
from pipeline.params import Conditioning
from pipeline.records import Caption, Clip, Frames


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
    mismatched_ids: Tensor  # int64 [B,L]: captions of another category or other objects, or with the direction reversed
    z: Tensor  # float32 [B,Z]

    def mismatches(self) -> Tensor:
        """1 where the mismatched caption differs from the clip's own, 0 where it reads the same: float32 [B].

        It does where the set holds one meaning alone, or where the words that differ are both unknown.
        """
        return (self.token_ids != self.mismatched_ids).any(dim=1).float()


def select_object_words(captions: Sequence[Caption], words: int) -> Tensor:
    """Which of the words name an object more often than not: bool [words]; all of them where no caption has any."""
    balance = torch.zeros(words, dtype=torch.int64)
    for caption in captions:
        for token, slot in zip(caption.token_ids, caption.slots, strict=True):
            if token < words:
                balance[token] += 1 if slot > 0 else -1
    named = balance > 0
    return named if named.any() else torch.ones(words, dtype=torch.bool)


class Meanings:
    """Clips grouped by what is done with what: "a mug" and "the mug" pushed to the right are one meaning.

    Where the objects alone condition the networks the category does not count: equal conditions are no mismatch. Where
    neither objects nor categories tell clips apart, as in tables of free captions, each caption is a meaning.
    """

    def __init__(self, clips: Sequence[Clip], device: torch.device, conditioning: Conditioning = "caption") -> None:
        whole_caption = conditioning == "caption"
        meanings = [(clip.category if whole_caption else "", clip.objects) for clip in clips]
        if whole_caption and len(set(meanings)) == 1:
            meanings = [(clip.caption, ()) for clip in clips]
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
    length = max([1, *map(len, token_ids)])
    rows = [[*ids, *[0] * (length - len(ids))] for ids in token_ids]
    return torch.tensor(rows, dtype=torch.int64).view(len(rows), length)


def encode_opposites(
    captions: Sequence[Caption], known: Iterable[Caption], directions: Directions
) -> list[tuple[int, ...]]:
    """The token ids of each caption with its direction reversed; empty where it needs words beyond those of `known`.

    "from left to right" and "from right to left" hold the same words, so these are the hardest negatives there are.
    """
    ids = {token: number for caption in known for token, number in zip(caption.tokens, caption.token_ids, strict=True)}
    reversed_ids: dict[tuple[str, ...], tuple[int, ...]] = {}
    for caption in captions:
        if caption.tokens not in reversed_ids:
            words = (directions.find_opposite(" ".join(caption.tokens)) or "").split()
            reversed_ids[caption.tokens] = tuple(ids[word] for word in words) if set(words) <= ids.keys() else ()
    return [reversed_ids[caption.tokens] for caption in captions]
