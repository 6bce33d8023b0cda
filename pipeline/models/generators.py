"""Generators: noise and a caption's vector -> a clip."""

import itertools
import math

import torch
from torch import Tensor, nn

from pipeline.models.layered import Placement, Still, compose, cut_out
from pipeline.models.layers import ResidualBlock, activate, conv, in_float32, linear, rectify, unfold_time, upsample
from pipeline.params import ClipParams, GeneratorParams, doublings_of

CURVE_KNOTS = 4  # values that a smooth motion curve runs through
TAIL = 16  # channels at full resolution


class ResidualGenerator(nn.Module):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W], about [-1,1]: only the discriminator bounds colours.

    Content noise is fixed for the clip, motion noise is a few smooth curves over time (noise drawn anew for each
    frame would be flicker); the caption enters the code of every step, and that code every block. Content and motion:
    Tulyakov et al. 2018 (MoCoGAN), arXiv:1707.04993. Layers are moved over a still background, and a volume of
    space and time, with a mask, over both: it draws what changes its shape. The background hears the noise alone: where
    it heard the caption, every caption got a background of its own and the noise was hardly listened to. The layers
    that hold objects hear `things` [B,E] and the others, hands above all, `acts` [B,E], where those are given.
    """

    def __init__(self, shape: ClipParams, params: GeneratorParams, cond: int) -> None:
        super().__init__()
        self.content, self.curves = params.content_width, params.motion_width
        self.z_width = self.content + self.curves * CURVE_KNOTS
        self.time = 2 if shape.frames % 2 == 0 else 1  # frames per step inside the network
        self.steps = shape.frames // self.time
        code = params.code_width
        self.code = FrameCode(self.content + self.curves + cond, code)
        self.look, self.helping = linear(self.content + cond, code), linear(self.content + cond, code)
        self.setting = linear(self.content, code)
        half = max(params.still_width // 2, 1)
        self.layers = Still(shape, 4 * params.object_layers, code, params.still_width)
        others = params.layers - params.object_layers
        self.helpers = Still(shape, 4 * others, code, half) if others else None
        self.background = Still(shape, 3, code, half)
        self.placement = Placement(code, params.layers, shape.frames)
        self.volume = Volume(shape, params.volume_width, code, self.time) if params.volume_width else None

    def forward(self, z: Tensor, cond: Tensor, things: Tensor | None = None, acts: Tensor | None = None) -> Tensor:
        content, knots = z[:, : self.content], z[:, self.content :]
        curves = smooth_curves(knots.reshape(-1, self.curves, CURVE_KNOTS), self.steps)  # [B,S,M]
        still = torch.cat((content, cond), dim=1)
        with in_float32(z):  # a rounded place would tremble
            code = self.code(torch.cat((still[:, None].expand(-1, self.steps, -1), curves), dim=2))  # [B,S,K]
            places = self.placement(code)
        look = self.look(torch.cat((content, cond if things is None else things), dim=1))
        layers = cut_out(self.layers(activate(look)))  # [B,N,4,H,W]
        if self.helpers is not None:
            helping = self.helping(torch.cat((content, cond if acts is None else acts), dim=1))
            layers = torch.cat((layers, cut_out(self.helpers(activate(helping)))), dim=1)
        background = self.background(activate(self.setting(content)))  # [B,3,H,W]
        with in_float32(z):
            frames = compose(background.to(places.dtype), layers.to(places.dtype), places)  # [B,3,T,H,W]
        if self.volume is None:
            return frames
        colours, mask = self.volume(code)
        return torch.lerp(frames, colours.to(frames.dtype), mask.to(frames.dtype))


class Volume(nn.Module):
    """Codes of the steps [B,S,K] -> colours [B,3,T,H,W] in [-1,1] and a mask [B,1,T,H,W] in [0,1]."""

    def __init__(self, shape: ClipParams, width: int, code: int, time: int) -> None:
        super().__init__()
        doublings, self.time = doublings_of(shape), time
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        # Half as many pixels on a side, twice as many channels, with a limit where there are few pixels.
        channels = [min(width << (doublings - 1 - i), 4 * width) for i in range(doublings)]
        self.start = linear(code, channels[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code) for count in channels)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        self.spread = conv(channels[-1], TAIL * time, (1, 1, 1), rectified=True)
        self.smooth = conv(TAIL, TAIL, (1, 3, 3), rectified=True)
        self.last = conv(TAIL, 4, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        x = self.start(code).unflatten(2, (self.height, self.width, -1)).permute(0, 4, 1, 2, 3)  # [B,C,S,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code)
            if place < len(self.narrow):
                x = upsample(self.narrow[place](x))
        x = upsample(unfold_time(self.spread(rectify(x)), self.time))  # [B,16,T,H,W]
        x = self.last(rectify(x + self.smooth(rectify(x))))
        return torch.tanh(x[:, :3]), torch.sigmoid(x[:, 3:] - 1)


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


def smooth_curves(knots: Tensor, steps: int) -> Tensor:
    """Curves through evenly spaced knots, eased by a raised cosine: knots [B,M,K] -> [B,steps,M]."""
    places = torch.linspace(0, knots.shape[2] - 1, steps, device=knots.device, dtype=knots.dtype)
    left = places.floor().long().clamp(max=knots.shape[2] - 2)
    ease = (1 - torch.cos(math.pi * (places - left))) / 2
    return torch.lerp(knots[:, :, left], knots[:, :, left + 1], ease).transpose(1, 2)
