"""The two judges, built differently, and how they are saved and loaded."""

import itertools
import math
import textwrap
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.data.batches import to_training
from pipeline.errors import UserError
from pipeline.files import read_json, replacing, write_json
from pipeline.judges.classes import Classes
from pipeline.models.layers import ResidualBlock, activate, conv, downsample, linear
from pipeline.params import ClipParams, doublings_of
from pipeline.records import Frames
from pipeline.text.vocabulary import UNKNOWN_ID

LOOKS = 8  # frames that the second judge looks at, at most
GROUPS = 4  # of the second judge's norms; its width is a multiple

JudgeName = Literal["a", "b"]
EMBEDDING = 64
FEWEST_LESSONS = 20  # clips: fewer teach nothing that could be called judging
AT_ONCE = 32  # clips in one pass: memory stays small however many there are

DESCRIPTION = "judges.json"
REMEDY = "`dvc repro judge` makes it"
NAMES: tuple[JudgeName, ...] = get_args(JudgeName)


class VolumeTrunk(nn.Module):
    """Residual (2+1)D convolutions: frames [B,3,T,H,W] in [-1,1] -> features [B,F] and looks [B,S]."""

    def __init__(self, shape: ClipParams, width: int) -> None:
        super().__init__()
        channels = _channels(shape, width)
        time = 2 if shape.frames % 2 == 0 else 1
        self.stem = conv(3, width, (time, 4, 4), stride=(time, 2, 2), padding=(0, 1, 1))
        self.stages = nn.ModuleList(ResidualBlock(count) for count in channels)
        self.widen = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        steps, self.halve_time = shape.frames // time, []
        for _ in self.widen:
            self.halve_time.append(steps % 2 == 0)
            steps //= 2 if self.halve_time[-1] else 1
        volume = (steps, shape.height >> len(channels), shape.width >> len(channels))
        # A weight for each place and moment: where and when something is seen tells the direction.
        self.pool = nn.Parameter(torch.randn(1, channels[-1], *volume) / math.sqrt(math.prod(volume)))
        self.last = linear(channels[-1], channels[-1])
        self.features = channels[-1]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(frames)
        looks = []
        for place, stage in enumerate(self.stages):
            x = stage(x)
            looks += _moments(x.flatten(3))
            if place < len(self.widen):
                x = downsample(self.widen[place](x), time=self.halve_time[place])
        features = activate(self.last((activate(x) * self.pool).sum(dim=(2, 3, 4))))
        return features, torch.cat(looks, dim=1)


class FramesTrunk(nn.Module):
    """A few frames, each with its change since the one before, through 2-d convolutions, then a GRU: the same."""

    def __init__(self, shape: ClipParams, width: int) -> None:
        super().__init__()
        channels = _channels(shape, width)
        layers: list[nn.Module] = [nn.Conv2d(6, width, 4, 2, 1), nn.GroupNorm(GROUPS, width), nn.GELU()]
        for a, b in itertools.pairwise(channels):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(GROUPS, b), nn.GELU(), nn.AvgPool2d(2)]
        self.net = nn.Sequential(*layers)
        places = (shape.height >> len(channels)) * (shape.width >> len(channels))
        self.frame = linear(channels[-1] * places, channels[-1])
        self.time = nn.GRU(channels[-1], channels[-1], batch_first=True)
        self.features = 2 * channels[-1]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        stride = -(-frames.shape[2] // LOOKS)
        change = torch.diff(frames, dim=2, prepend=frames[:, :, :1])
        seen = torch.cat((frames, change), dim=1)[:, :, stride - 1 :: stride].transpose(1, 2)  # [B,S,6,H,W]
        x, looks = seen.flatten(0, 1), []
        for layer in self.net:
            x = layer(x)
            if isinstance(layer, nn.GELU):
                looks += _moments(x.unflatten(0, seen.shape[:2]).transpose(1, 2).flatten(3))
        x = self.frame(x.flatten(1)).unflatten(0, seen.shape[:2])  # [B,S,W]
        states, _ = self.time(F.gelu(x))
        return torch.cat((states[:, -1], x.mean(dim=1)), dim=1), torch.cat(looks, dim=1)


def _moments(x: Tensor) -> list[Tensor]:
    """What a stage sees, without where: mean, deviation over places and change over time, [B,C,T,P] -> [B,C] each."""
    change = torch.diff(x, dim=2).abs().sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])
    return [x.mean(dim=(2, 3)), x.std(dim=3).mean(dim=2), change]


def _channels(shape: ClipParams, width: int) -> list[int]:
    """Channels of the stages, each at half the height and width of the one before."""
    return [min(width << place, 4 * width) for place in range(doublings_of(shape))]


TRUNKS: dict[JudgeName, type[VolumeTrunk] | type[FramesTrunk]] = {"a": VolumeTrunk, "b": FramesTrunk}


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
        return F.normalize(self.captions(token_ids.where(token_ids < self.words, UNKNOWN_ID)), dim=1)


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


def save_judges(folder: Path, judges: dict[JudgeName, Judge], description: dict[str, Any]) -> None:
    """Write the networks, then the description (`clip`, `width`, `words`, `objects`, `categories`, `clips`, ...)."""
    for name, judge in judges.items():
        with replacing(folder / _file(name)) as temporary:
            temporary.write_bytes(save({key: value.contiguous() for key, value in judge.state_dict().items()}))
    write_json(folder / DESCRIPTION, description)


def load_judges(folder: Path) -> tuple[dict[JudgeName, Judge], Classes, ClipParams]:
    """The judges, ready to look. Raises UserError where files are absent or do not fit each other."""
    told = read_json(folder / DESCRIPTION, REMEDY)
    for name in NAMES:
        if not (folder / _file(name)).exists():
            raise UserError(f"{folder / _file(name)}: no such file; {REMEDY}")
    try:
        shape, classes = (
            ClipParams.model_validate(told["clip"]),
            Classes(tuple(told["objects"]), tuple(told["categories"])),
        )
        judges = {
            name: Judge(name, shape, told["width"], len(classes.objects), len(classes.categories), told["words"])
            for name in NAMES
        }
        for name, judge in judges.items():
            judge.lessons = int(told["clips"])
            judge.load_state_dict(load_file(folder / _file(name)))
            judge.eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
        why = textwrap.shorten(str(error), 200)
        raise UserError(f"{folder}: not the judges of this version ({why}); `dvc repro -f judge`") from None
    return judges, classes, shape


def _file(name: JudgeName) -> str:
    return f"judge_{name}.safetensors"
