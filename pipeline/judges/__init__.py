"""The judge: a network trained on real clips of the split `judge`, which measures generated clips.

Its classes, prompts, network and files; `training` trains it.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.data.dataset import to_training
from pipeline.directions import DIRECTIONS
from pipeline.errors import UserError, describe_fault
from pipeline.files import atomic_write, read_json, write_json
from pipeline.models.layers import linear
from pipeline.params import ClipParams, count_doublings
from pipeline.records import UNKNOWN_ID, Caption, Clip, Frames

Meaning = tuple[str, tuple[str, ...]]  # category and objects

Tokens = tuple[str, ...]

MAX_FRAMES = 8  # frames of a clip that the judge reads at most
GROUPS = 4  # of the group norms; the judge's width must be a multiple
EMBEDDING = 64
MIN_JUDGE_CLIPS = 20  # a judge with fewer is not trained: its predictions would be meaningless
BATCH_CLIPS = 32  # clips in one pass, to limit memory

WEIGHTS, DESCRIPTION = "judge.safetensors", "judge.json"
REMEDY = "`dvc repro judge` creates it"


@dataclass(frozen=True)
class NewWord:
    """An object without training clips, and the seen object with the nearest word vector."""

    name: str
    near: str
    cosine: float


@dataclass(frozen=True)
class Prompt:
    """What a clip should show, as classes of the judge."""

    caption: Caption
    object: int  # class of the first object; -1 if the judge has none of that name
    category: int
    meaning: int  # index of category and objects
    moves: tuple[float, float] | None  # (right, down); None if the label has no direction
    new: NewWord | None = None  # for an unseen object; `object` is then its nearest seen one


@dataclass(frozen=True)
class Classes:
    """The classes of the judge. Of a clip's objects only the first counts."""

    objects: tuple[str, ...]
    categories: tuple[str, ...]
    _meanings: dict[Meaning, int] = field(default_factory=dict, compare=False)

    def build_prompt(self, clip: Clip, caption: Caption) -> Prompt:
        """The prompt of a clip; -1 for an object or category that is no class of the judge."""
        return Prompt(
            caption=caption,
            object=self.find_object(clip.objects[0] if clip.objects else ""),
            category=_find(self.categories, clip.category),
            meaning=self._meanings.setdefault((clip.category, clip.objects), len(self._meanings)),
            moves=DIRECTIONS.get(clip.moves),
        )

    def find_object(self, name: str) -> int:
        """The class of an object by name; -1 if there is none."""
        return _find(self.objects, name)

    def build_prompts(self, clips: Sequence[Clip], captions: Mapping[str, Caption]) -> list[Prompt]:
        """A prompt for each clip; `captions` are by clip id."""
        return [self.build_prompt(clip, captions[clip.id]) for clip in clips]


def select_classes(clips: Sequence[Clip], min_clips: int) -> Classes:
    """The first objects and the categories that at least `min_clips` clips have, in alphabetical order."""
    objects = Counter(clip.objects[0] for clip in clips if clip.objects)
    categories = Counter(clip.category for clip in clips)
    return Classes(_select_frequent(objects, min_clips), _select_frequent(categories, min_clips))


def _select_frequent(counts: Counter[str], least: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in counts.items() if count >= least))


def _find(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


class CaptionParser:
    """Finds the category and the objects of a caption, by the words that the given captions use for them."""

    def __init__(self, clips: Iterable[Clip], captions: Mapping[str, Caption]) -> None:
        categories: dict[Tokens, Counter[str]] = defaultdict(Counter)
        objects: dict[Tokens, Counter[str]] = defaultdict(Counter)
        for clip in clips:
            caption = captions[clip.id]
            categories[caption.action_tokens][clip.category] += 1
            # By slot, since a caption may lack one of the objects.
            for number, name in enumerate(clip.objects, 1):
                objects[_select_slot(caption, number)][name] += 1
        objects.pop((), None)
        self._categories, self._objects = _commonest(categories), _commonest(objects)

    def parse(self, caption: Caption) -> Meaning:
        """The category, empty if the action words are those of none, and the objects."""
        numbers = range(1, max(caption.slots, default=0) + 1)
        parts = [tokens for number in numbers if (tokens := _select_slot(caption, number))]
        objects = tuple(self._objects.get(tokens, " ".join(tokens)) for tokens in parts)
        return self._categories.get(caption.action_tokens, ""), objects


def _select_slot(caption: Caption, number: int) -> Tokens:
    return tuple(token for token, slot in zip(caption.tokens, caption.slots, strict=True) if slot == number)


def _commonest(names: Mapping[Tokens, Counter[str]]) -> dict[Tokens, str]:
    return {tokens: counts.most_common(1)[0][0] for tokens, counts in names.items()}


class JudgeTrunk(nn.Module):
    """2-d convolutions over a few frames, each with the difference from the frame before, then a GRU.

    Frames [B,3,T,H,W] in [-1,1] -> features [B,F] and feature statistics [B,S].
    """

    def __init__(self, shape: ClipParams, width: int) -> None:
        super().__init__()
        channels = [min(width << index, 4 * width) for index in range(count_doublings(shape))]
        layers: list[nn.Module] = [nn.Conv2d(6, width, 4, 2, 1), nn.GroupNorm(GROUPS, width), nn.GELU()]
        for a, b in itertools.pairwise(channels):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(GROUPS, b), nn.GELU(), nn.AvgPool2d(2)]
        self.net = nn.Sequential(*layers)
        positions = (shape.height >> len(channels)) * (shape.width >> len(channels))
        self.frame = linear(channels[-1] * positions, channels[-1])
        self.time = nn.GRU(channels[-1], channels[-1], batch_first=True)
        self.features = 2 * channels[-1]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        stride = -(-frames.shape[2] // MAX_FRAMES)
        change = torch.diff(frames, dim=2, prepend=frames[:, :, :1])
        seen = torch.cat((frames, change), dim=1)[:, :, stride - 1 :: stride].transpose(1, 2)  # [B,S,6,H,W]
        x, statistics = seen.flatten(0, 1), []
        for layer in self.net:
            x = layer(x)
            if isinstance(layer, nn.GELU):
                statistics += _summarise(x.unflatten(0, seen.shape[:2]).transpose(1, 2).flatten(3))
        x = self.frame(x.flatten(1)).unflatten(0, seen.shape[:2])  # [B,S,W]
        states, _ = self.time(F.gelu(x))
        return torch.cat((states[:, -1], x.mean(dim=1)), dim=1), torch.cat(statistics, dim=1)


def _summarise(x: Tensor) -> list[Tensor]:
    """Mean, deviation over positions and mean change over time of activations [B,C,T,P] -> [B,C] each."""
    change = torch.diff(x, dim=2).abs().sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])
    return [x.mean(dim=(2, 3)), x.std(dim=3).mean(dim=2), change]


class Judge(nn.Module):
    """Classifies clips and compares them with captions: frames [B,3,T,H,W] in [-1,1], token ids [B,L], 0 is padding.

    The similarity of a clip and a caption is the cosine of `clip_vectors` and `caption_vectors`. Radford et al. 2021
    (CLIP), arXiv:2103.00020.
    """

    training_clips: int  # in its training set

    def __init__(self, shape: ClipParams, width: int, objects: int, categories: int, words: int) -> None:
        super().__init__()
        self.words = words
        self.training_clips = 0
        self.trunk = JudgeTrunk(shape, width)
        self.objects = linear(self.trunk.features, max(objects, 1))
        self.categories = linear(self.trunk.features, max(categories, 1))
        self.clips = linear(self.trunk.features, EMBEDDING)
        self.captions = CaptionTower(words, EMBEDDING)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # log of the inverse temperature of the cosines

    @property
    def untrained(self) -> bool:
        """Whether its weights are still random: features can be compared, predictions are meaningless."""
        return self.training_clips < MIN_JUDGE_CLIPS

    @property
    def unavailable_reason(self) -> str:
        """Why an untrained judge's predictions cannot be used; empty for a trained one."""
        if not self.untrained:
            return ""
        had = f"the judge had {self.training_clips} clips to train on"
        return f"{had}, {MIN_JUDGE_CLIPS} are needed; see filter.shares.judge"

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B,F], from which the predictions are computed, and statistics of every layer [B,S].

        Distances compare both: features alone discard whatever does not distinguish classes, so that a blurred mean of
        clips would score best.
        """
        found: tuple[Tensor, Tensor] = self.trunk(frames)
        return found

    def extract_all(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """The same for any number of clips uint8 [N,T,H,W,3], in batches, without gradients."""
        with torch.inference_mode():
            parts = [
                self(to_training(torch.from_numpy(np.ascontiguousarray(frames[at : at + BATCH_CLIPS]))))
                for at in range(0, len(frames), BATCH_CLIPS)
            ]
            features, statistics = (torch.cat(part) for part in zip(*parts, strict=True))
        return features, statistics

    def clip_vectors(self, features: Tensor) -> Tensor:
        """Unit vectors [B,E] of clips from their features."""
        return F.normalize(self.clips(features), dim=1)

    def caption_vectors(self, token_ids: Tensor) -> Tensor:
        """Unit vectors [B,E] of captions; words added after the judge was trained are unknown."""
        return F.normalize(self.captions(token_ids.where(token_ids < self.words, UNKNOWN_ID)), dim=1)


class CaptionTower(nn.Module):
    """Token ids [B,L], 0 is padding -> [B,E]. A convolution over words distinguishes "from left" and "from right"."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.phrases = nn.Conv1d(width, width, 3, padding=1)
        self.project = linear(width, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        present = (token_ids != 0).float()[:, None]  # [B,1,L]
        x = F.gelu(self.phrases(self.words(token_ids).transpose(1, 2))) * present
        vectors: Tensor = self.project(x.sum(dim=2) / present.sum(dim=2).clamp(min=1).sqrt())
        return vectors


def save_judge(folder: Path, judge: Judge, description: dict[str, Any]) -> None:
    """Write the weights, then the description (`clip`, `width`, `words`, `objects`, `categories`, `clips`, ...)."""
    with atomic_write(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save({key: value.contiguous() for key, value in judge.state_dict().items()}))
    write_json(folder / DESCRIPTION, description)


def load_judge(folder: Path) -> tuple[Judge, Classes, ClipParams]:
    """The judge, ready for inference. Raises UserError if files are missing or inconsistent."""
    description = read_json(folder / DESCRIPTION, REMEDY)
    if not (folder / WEIGHTS).exists():
        raise UserError(f"{folder / WEIGHTS}: no such file; {REMEDY}")
    try:
        shape = ClipParams.model_validate(description["clip"])
        classes = Classes(tuple(description["objects"]), tuple(description["categories"]))
        judge = Judge(shape, description["width"], len(classes.objects), len(classes.categories), description["words"])
        judge.training_clips = int(description["clips"])
        judge.load_state_dict(load_file(folder / WEIGHTS))
        judge.eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
        why = describe_fault(error)
        raise UserError(f"{folder}: not the judge of this version ({why}); run `dvc repro -f judge`") from None
    return judge, classes, shape
