"""Discriminators: does this clip look real, and does it fit the caption?"""

import itertools
import math

import torch
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, activate, conv, downsample, linear
from pipeline.params import ClipParams, DiscriminatorParams, doublings_of


class ProjectionDiscriminator(nn.Module):
    """Scores clips: frames [B,3,T,H,W] in [-1,1], cond [B,E] -> logits [B].

    Returns raw logits; losses own the sigmoid. Holds no batch norm, because gradient penalties need each logit to
    depend on its own clip only. Projection: Miyato & Koyama 2018, arXiv:1802.05637.
    """

    def __init__(self, shape: ClipParams, params: DiscriminatorParams, cond: int) -> None:
        super().__init__()
        self.time = 2 if shape.frames % 2 == 0 else 1
        halvings = doublings_of(shape)
        channels = [min(params.width << i, 4 * params.width) for i in range(halvings)]
        # Overlapping patches: the gradient of patches side by side would draw their borders into the samples.
        self.stem = conv(3, channels[0], (self.time, 4, 4), stride=(self.time, 2, 2), padding=(0, 1, 1))
        self.stages = nn.ModuleList(ResidualBlock(width) for width in channels)
        self.widen = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        steps, self.halve_time = shape.frames // self.time, []
        for _ in self.widen:
            self.halve_time.append(steps % 2 == 0 and steps > 4)
            steps //= 2 if self.halve_time[-1] else 1
        volume = (steps, shape.height >> halvings, shape.width >> halvings)
        # One weight for each place and channel in place of a mean, so that "where" and "when" count.
        self.pool = nn.Parameter(torch.randn(1, channels[-1], *volume) / math.sqrt(math.prod(volume)))
        self.features = linear(channels[-1], channels[-1])
        self.realness = linear(channels[-1], 1)
        self.match = linear(cond, channels[-1], bias=False)

    def describe(self, frames: Tensor) -> Tensor:
        """Features of the clips, before any caption: [B,3,T,H,W] -> [B,F]."""
        x = self.stem(frames)
        for place, stage in enumerate(self.stages):
            x = stage(x)
            if place < len(self.widen):
                x = downsample(self.widen[place](x), time=self.halve_time[place])
        x = (activate(x) * self.pool).sum(dim=(2, 3, 4))
        return activate(self.features(x))

    def score(self, features: Tensor, cond: Tensor) -> Tensor:
        """Logits of described clips for any captions: features [B,F], cond [B,E] -> [B]."""
        fit = (self.match(cond) * features).sum(dim=1) / math.sqrt(features.shape[1])
        logits: Tensor = self.realness(features).squeeze(1) + fit
        return logits

    def forward(self, frames: Tensor, cond: Tensor) -> Tensor:
        return self.score(self.describe(frames), cond)
