"""Joins labels, captions and shards: a dataset, and a split of it that gives batches for training.

The two conversions between uint8 frames and float clips are here and nowhere else.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.data.loading import open_source, to_device
from pipeline.directions import DirectionRules, read_directions
from pipeline.errors import UserError, describe_fault
from pipeline.files import digest_file, read_json
from pipeline.params import ClipParams, Conditioning, Loading
from pipeline.records import DIRECTION_RULES, VECTORS, Caption, Clip, Frames, Split, select_condition_ids
from pipeline.shards import INDEX, ShardReader
from pipeline.tables import read_table
from pipeline.text.vocabulary import Vocabulary, read_vocabulary

REMEDY = "`dvc repro filter` creates it"

Item = TypeVar("Item")


def to_training(frames: Tensor) -> Tensor:
    """uint8 [B,T,H,W,C] in 0..255 -> float32 [B,C,T,H,W] in [-1,1], with channels_last_3d strides, so no reordering."""
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

        It reads the same if the dataset has only one meaning, or if the words that differ are both unknown.
        """
        return (self.token_ids != self.mismatched_ids).any(dim=1).float()


def select_object_words(captions: Sequence[Caption], words: int) -> Tensor:
    """Which words name an object more often than not: bool [words]; all of them if no caption names one."""
    balance = torch.zeros(words, dtype=torch.int64)
    for caption in captions:
        for token, slot in zip(caption.token_ids, caption.slots, strict=True):
            if token < words:
                balance[token] += 1 if slot > 0 else -1
    named = balance > 0
    return named if named.any() else torch.ones(words, dtype=torch.bool)


class Meanings:
    """Clips grouped by category and objects: "a mug" and "the mug" pushed to the right have the same meaning.

    If only the objects condition the networks, the category is ignored: equal conditions are no mismatch. If clips
    differ in neither, as in tables of free captions, each caption is a meaning.
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
        """For each row, a random one of a different meaning, all meanings equally likely: int64 [B] -> int64 [B].

        If there is only one meaning, the rows themselves are returned.
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
    captions: Sequence[Caption], known: Iterable[Caption], directions: DirectionRules
) -> list[tuple[int, ...]]:
    """The token ids of each caption with its direction reversed; empty if that needs words that `known` lack.

    "from left to right" and "from right to left" consist of the same words, so these are the hardest negatives.
    """
    ids = {token: number for caption in known for token, number in zip(caption.tokens, caption.token_ids, strict=True)}
    reversed_ids: dict[tuple[str, ...], tuple[int, ...]] = {}
    for caption in captions:
        if caption.tokens not in reversed_ids:
            words = (directions.find_opposite(" ".join(caption.tokens)) or "").split()
            reversed_ids[caption.tokens] = tuple(ids[word] for word in words) if set(words) <= ids.keys() else ()
    return [reversed_ids[caption.tokens] for caption in captions]


@dataclass(frozen=True)
class DataFolders:
    """The folders that the stages `filter`, `transcode` and `tokenize` write."""

    labels: Path
    clips: Path
    captions: Path

    @property
    def vectors(self) -> Path:
        """The pretrained word vectors; the file does not exist if vectors are learned."""
        return self.captions / VECTORS

    def list_files(self) -> list[Path]:
        """The files whose digests identify this data; the index of the shards holds the digests of their frames."""
        captions = [self.captions / name for name in ("captions.parquet", "vocabulary.json")]
        paths = [self.labels / "clips.parquet", self.labels / DIRECTION_RULES, self.clips / INDEX, *captions]
        return [*paths, self.vectors] if self.vectors.exists() else paths

    def digest(self) -> dict[str, str]:
        """What identifies this data: names such as labels/clips.parquet, wherever the folders are -> SHA-256."""
        return {f"{path.parent.name}/{path.name}": digest_file(path) for path in self.list_files()}


class Dataset:
    """The clips that have a label, frames and a caption. Rows are positions in the shards.

    A row is a window of a video, so a clip may have several. Raises UserError if a file is missing.
    """

    def __init__(self, folders: DataFolders) -> None:
        self.folders = folders
        labels = {clip.id: clip for clip in read_table(folders.labels / "clips.parquet", Clip)}
        self.captions = {c.id: c for c in read_table(folders.captions / "captions.parquet", Caption)}
        self.shards = ShardReader(folders.clips)
        self._clips = {
            row: labels[name] for row, name in enumerate(self.shards.ids) if name in labels and name in self.captions
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the frames of every clip: (T, H, W, 3)."""
        return self.shards.shape

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of the token ids."""
        return read_vocabulary(self.folders.captions / "vocabulary.json")

    @cached_property
    def directions(self) -> DirectionRules:
        """The rules for directions in captions, as `filter` wrote them."""
        return open_directions(self.folders.labels / DIRECTION_RULES)

    def require_shape(self, shape: ClipParams) -> None:
        """Raises UserError if the clips have another shape than `clip` in params.yaml."""
        if self.shape != (shape.frames, shape.height, shape.width, 3):
            raise UserError(
                f"{self.folders.clips}: holds clips of {self.shape}, but `clip` differs; run `dvc repro transcode`"
            )

    def rows(self, split: Split | None = None, most: int | None = None) -> list[int]:
        """The rows of a split, or all rows, in order; at most `most` of them, evenly spread."""
        return select_evenly([row for row, clip in self._clips.items() if split in (None, clip.split)], most)

    def find_rows(self, ids: Iterable[str]) -> list[int]:
        """The last row of each of these clips."""
        row_of = {clip.id: row for row, clip in self._clips.items()}
        return [row_of[clip_id] for clip_id in ids]

    def clips(self, rows: Iterable[int] | None = None) -> list[Clip]:
        """The labels of these rows, or of all rows in order."""
        return [self._clips[row] for row in (self._clips if rows is None else rows)]

    def frames(self, rows: Sequence[int]) -> Frames:
        """uint8 [N,T,H,W,3]."""
        return self.shards.frames(rows)

    def read_vectors(self) -> Tensor | None:
        """The pretrained vectors of the vocabulary [V,D]; None if vectors are learned."""
        return read_vectors(self.folders.vectors)


class TrainingSplit:
    """One split of a dataset on `device`: rows are counted within the split, `source` gives the frames.

    Raises UserError if the split is empty, or does not fit into the device's memory although `loading` is `resident`.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        device: torch.device,
        conditioning: Conditioning = "caption",
        loading: Loading = "resident",
        sharers: int = 1,
    ) -> None:
        rows = dataset.rows(split)
        if not rows:
            raise UserError(
                f"no clip of split {split} has frames and a caption; data/*/report.json say where they went"
            )
        self.clips = dataset.clips(rows)
        self.source = open_source(dataset.shards, np.array(rows, np.int64), device, loading, sharers)
        captions = [dataset.captions[clip.id] for clip in self.clips]
        by_caption = conditioning == "caption"
        opposites = encode_opposites(captions, captions, dataset.directions) if by_caption else [()] * len(captions)
        ids = pad([*(select_condition_ids(caption, conditioning) for caption in captions), *opposites]).to(device)
        # The second half are captions with their direction reversed; zeros for those without.
        self.token_ids, self.opposite_ids = ids[: len(captions)], ids[len(captions) :]
        self.meanings = Meanings(self.clips, device, conditioning)

    def __len__(self) -> int:
        return len(self.clips)

    def read_ahead(self, coming: Iterable[NDArray[np.int64]]) -> AbstractContextManager[None]:
        """A context in which frames are prefetched; `coming` are the rows of this rank's batches."""
        return self.source.read_ahead(coming)

    def batch(self, rows: NDArray[np.int64], z_width: int, share: slice, opposites: float = 0.0) -> Batch:
        """This rank's `share` of the clips at `rows`, with mismatched captions and noise.

        A share `opposites` of the mismatched captions are the clip's own with its direction reversed, if it has one.
        Random numbers are drawn for all rows, so that they do not depend on the number of ranks.
        """
        places = to_device(torch.from_numpy(rows), self.token_ids.device)
        others, z = self.meanings.others(places)[share], torch.randn(len(rows), z_width, device=places.device)[share]
        mismatched = self.token_ids[others]
        if opposites:
            reversed_ids = self.opposite_ids[places[share]]
            chosen = (torch.rand(len(rows), device=places.device)[share] < opposites) & reversed_ids.any(dim=1)
            mismatched = torch.where(chosen[:, None], reversed_ids, mismatched)
        return Batch(self.source.take(rows[share]), self.token_ids[places[share]], mismatched, z)


def select_evenly(items: Sequence[Item], most: int | None) -> list[Item]:
    """All items, or `most` of them spread evenly from the first to the last."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def read_vectors(path: Path) -> Tensor | None:
    """The pretrained vectors of a vocabulary [V,D]; None if there is no such file: vectors are learned."""
    try:
        return load_file(path)["vectors"]
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError) as error:
        fault = describe_fault(error)
        raise UserError(f"{path}: not a file of word vectors ({fault}); run `dvc repro` to make it again") from None


def open_directions(path: Path) -> DirectionRules:
    """The rules for directions that `filter` wrote. Raises UserError if they are missing or broken."""
    try:
        return read_directions(read_json(path, REMEDY))
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: not what `filter` wrote ({describe_fault(error)}); {REMEDY}") from None
