"""Generators: noise and a caption's vector -> a clip."""

import itertools
import math

import torch
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, activate, conv, linear, unfold_time, upsample
from pipeline.params import ClipParams, GeneratorParams

CURVE_KNOTS = 4  # values that a smooth motion curve runs through
TAIL = 16  # channels at full resolution


class ResidualGenerator(nn.Module):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W] in [-1,1].

    Content noise is fixed for the clip, motion noise is a few smooth curves over time (noise drawn anew for each
    frame would be flicker); the caption enters the code of every frame, and that code every block. Content and motion:
    Tulyakov et al. 2018 (MoCoGAN), arXiv:1707.04993. With a background, frames = mask * moving + (1 - mask) * still:
    Vondrick et al. 2016 (VGAN), arXiv:1609.02612.
    """

    def __init__(self, shape: ClipParams, params: GeneratorParams, cond: int) -> None:
        super().__init__()
        doublings = doublings_of(shape)
        self.content, self.curves = params.content_width, params.motion_width
        self.time = 2 if shape.frames % 2 == 0 else 1  # frames per step inside the network
        self.steps = shape.frames // self.time
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        # Half as many pixels on a side, twice as many channels, with a limit where there are few pixels.
        channels = [min(params.width << (doublings - 1 - i), 4 * params.width) for i in range(doublings)]
        code = 2 * params.width
        self.z_width = self.content + self.curves * CURVE_KNOTS
        self.code = FrameCode(self.content + self.curves + cond, code)
        self.start = linear(code, channels[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(width, code=code) for width in channels)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        self.spread = conv(channels[-1], TAIL * self.time, (1, 1, 1))
        self.smooth = conv(TAIL, TAIL, (1, 3, 3))
        self.colours = conv(TAIL, 4 if params.background else 3, (1, 3, 3), scale=0.5)
        self.background = Background(shape, params.width, self.content + cond) if params.background else None

    def forward(self, z: Tensor, cond: Tensor) -> Tensor:
        content, knots = z[:, : self.content], z[:, self.content :]
        curves = smooth_curves(knots.reshape(-1, self.curves, CURVE_KNOTS), self.steps)  # [B,S,M]
        still = torch.cat((content, cond), dim=1)
        code = self.code(torch.cat((still[:, None].expand(-1, self.steps, -1), curves), dim=2))  # [B,S,K]
        x = self.start(code).unflatten(2, (self.height, self.width, -1)).permute(0, 4, 1, 2, 3)  # [B,C,S,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code)
            if place < len(self.narrow):
                x = upsample(self.narrow[place](x))
        x = upsample(unfold_time(self.spread(activate(x)), self.time))  # [B,16,T,H,W]
        x = self.colours(activate(x + self.smooth(activate(x))))
        if self.background is None:
            return torch.tanh(x)
        mask = torch.sigmoid(x[:, 3:])
        frames: Tensor = torch.lerp(self.background(still), torch.tanh(x[:, :3]), mask)
        return frames


class FrameCode(nn.Module):
    """Features of each step [B,S,F] -> its code [B,S,K]; the step's place in time is added to the features."""

    def __init__(self, features: int, code: int) -> None:
        super().__init__()
        self.place = linear(2 * CURVE_KNOTS, code)
        self.first, self.second, self.third = linear(features, code), linear(code, code), linear(code, code)

    def forward(self, features: Tensor) -> Tensor:
        steps = torch.linspace(0, 1, features.shape[1], device=features.device, dtype=features.dtype)
        waves = steps[:, None] * math.pi * torch.arange(1, CURVE_KNOTS + 1, device=features.device) / 2
        x = self.first(features) + self.place(torch.cat((waves.sin(), waves.cos()), dim=1))
        x = self.second(activate(x))
        code: Tensor = activate(self.third(activate(x)))
        return code


class Background(nn.Module):
    """Features of the clip [B,F] -> one still image [B,3,1,H,W] in [-1,1]."""

    def __init__(self, shape: ClipParams, width: int, features: int) -> None:
        super().__init__()
        doublings = doublings_of(shape)
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        channels = [max(width >> i, 8) for i in range(doublings + 1)]
        self.start = linear(features, channels[0] * self.height * self.width)
        self.stages = nn.ModuleList(conv(a, b, (1, 3, 3)) for a, b in itertools.pairwise(channels))
        self.colours = conv(channels[-1], 3, (1, 3, 3), scale=0.5)

    def forward(self, features: Tensor) -> Tensor:
        x = self.start(features).unflatten(1, (1, self.height, self.width, -1)).permute(0, 4, 1, 2, 3)
        for stage in self.stages:
            x = stage(upsample(activate(x)))
        return torch.tanh(self.colours(activate(x)))


def smooth_curves(knots: Tensor, steps: int) -> Tensor:
    """Curves through evenly spaced knots, eased by a raised cosine: knots [B,M,K] -> [B,steps,M]."""
    places = torch.linspace(0, knots.shape[2] - 1, steps, device=knots.device, dtype=knots.dtype)
    left = places.floor().long().clamp(max=knots.shape[2] - 2)
    ease = (1 - torch.cos(math.pi * (places - left))) / 2
    return torch.lerp(knots[:, :, left], knots[:, :, left + 1], ease).transpose(1, 2)


def doublings_of(shape: ClipParams) -> int:
    """How often the generator doubles height and width: from 4 to 7 pixels on the shorter side to the full shape.

    Raises ValueError where a side is not made whole by that.
    """
    doublings = int(math.log2(min(shape.height, shape.width) / 4)) if min(shape.height, shape.width) >= 8 else 0
    if doublings == 0 or shape.height % (1 << doublings) or shape.width % (1 << doublings):
        step = 1 << max(doublings, 1)
        raise ValueError(
            f"clip.height {shape.height} and clip.width {shape.width} must be at least 8 and multiples of {step}"
        )
    return doublings
