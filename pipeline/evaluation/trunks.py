"""What the two judges are built on: one looks at space and time at once, the other at frame after frame."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, activate, conv, downsample, linear
from pipeline.params import ClipParams, doublings_of

LOOKS = 8  # frames that the second judge looks at, at most
GROUPS = 4  # of the second judge's norms; its width is a multiple


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
