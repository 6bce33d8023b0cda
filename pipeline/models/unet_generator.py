"""The U-Net generator: the clean clip out of a noisy one, for flow.

The straight path from a clip x to noise e is (1 - t) x + t e, passed at the velocity e - x: Liu et al. 2022,
arXiv:2209.03003. The network predicts clips and not velocities, since clips lie near a surface of few dimensions and
noise fills all of them: Li and He 2025, arXiv:2511.13720.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import (
    Modulation,
    ResidualBlock,
    conv,
    downsample,
    fold,
    linear,
    normalise,
    rectify,
    unfold,
    upsample,
)
from pipeline.models.networks import FlowGenerator
from pipeline.params import ClipParams, UNetParams, count_doublings

TIME_FREQUENCIES, MAX_FREQUENCY = 16, 30.0  # of the time embedding; in radians over the whole path
HEADS = 4
LARGEST = 4  # times as many channels as at the start, at most
EXTRA_CHANNELS = 5  # channels beside the colours that the last convolutions read
FINE_CHANNELS = 12  # channels at full resolution


class UNetGenerator(FlowGenerator):
    """Patches of a noisy clip, down to a few pixels a side with attention over all of them, and up again.

    Stages are factorised over space and time. A code of the times and the caption, another one for each patch of
    frames, modulates each, and draws a coarse picture of its own at the bottom: there a caption says what is where and
    when. The last convolutions see the noisy clip at full resolution, so that patches leave no seams.
    """

    def __init__(self, shape: ClipParams, params: UNetParams, cond: int) -> None:
        super().__init__(shape)
        self.patch = (params.frame_patch, params.patch, params.patch)
        levels = max(count_doublings(shape) - int(math.log2(params.patch)), 0)
        widths = [min(params.width << level, LARGEST * params.width) for level in range(levels + 1)]
        sides = (shape.frames // self.patch[0], shape.height // self.patch[1], shape.width // self.patch[2])
        self.condition_embed = linear(4 * TIME_FREQUENCIES + cond, params.code_width)
        self.frame_embedding = nn.Parameter(torch.randn(1, sides[0], params.code_width))
        self.code = linear(params.code_width, params.code_width)
        self.patch_embed = conv(3 * math.prod(self.patch), params.width, (1, 1, 1))
        self.position_embedding = nn.Parameter(0.1 * torch.randn(1, params.width, *sides))
        self.down, self.up = (
            nn.ModuleList(Stage(width, params.code_width, params.blocks) for width in widths[:-1]) for _ in range(2)
        )
        self.widen = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.narrow = nn.ModuleList(conv(b, a, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.low = (sides[1] >> levels, sides[2] >> levels, widths[-1])
        self.canvas = linear(params.code_width, math.prod(self.low), scale=0.5)
        self.middle = nn.ModuleList(
            part
            for _ in range(2)
            for part in (
                Attention(widths[-1], params.code_width),
                ResidualBlock(widths[-1], code=params.code_width, normalised=True),
            )
        )
        self.modulation = Modulation(params.width, params.code_width)
        self.unpatch = conv(params.width, (3 + EXTRA_CHANNELS) * math.prod(self.patch), (1, 1, 1), scale=0.1)
        self.fine = conv(3 + EXTRA_CHANNELS + 3, FINE_CHANNELS, (1, 3, 3))
        self.last = conv(FINE_CHANNELS, 3, (3, 1, 1), scale=0.3, rectified=True)

    def predict(self, noisy: Tensor, end: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        known = torch.cat((embed_time(time), embed_time(time - end), cond), dim=1)
        code = F.silu(self.code(F.silu(self.condition_embed(known)[:, None] + self.frame_embedding)))  # [B,T/t,K]
        x = self.patch_embed(fold(noisy, self.patch)) + self.position_embedding
        skips = []
        for stage, widen in zip(self.down, self.widen, strict=True):
            x = stage(x, code)
            skips.append(x)
            x = widen(downsample(x, time=False))
        x = x + self.canvas(code).unflatten(2, self.low).permute(0, 4, 1, 2, 3)
        for block in self.middle:
            x = block(x, code)
        for stage, narrow in reversed(list(zip(self.up, self.narrow, strict=True))):
            x = stage(upsample(narrow(x)) + skips.pop(), code)
        drawn = unfold(self.unpatch(rectify(self.modulation(normalise(x), code))), self.patch)
        fine = self.fine(torch.cat((drawn, noisy), dim=1))
        clean: Tensor = drawn[:, :3] + self.last(rectify(fine))
        return clean


class Stage(nn.Module):
    """Some blocks: x [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W]."""

    def __init__(self, channels: int, code: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, code=code, normalised=True) for _ in range(blocks))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, code)
        return x


class Attention(nn.Module):
    """x + what each position gets from all positions and times: x [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W]."""

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.modulation = Modulation(channels, code)
        self.heads = math.gcd(channels, HEADS)
        self.qkv = linear(channels, 3 * channels)
        self.proj = linear(channels, channels, scale=0.0)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        positions = self.modulation(normalise(x), code).flatten(2).transpose(1, 2)  # [B,N,C]
        query, key, value = (
            self.qkv(positions).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # [B,heads,N,c]
        # Not torch's fused attention, which has no derivative forwards; few positions cost little.
        weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
        gathered = self.proj((weights @ value).transpose(1, 2).flatten(2))
        changed: Tensor = x + gathered.transpose(1, 2).unflatten(2, x.shape[2:])
        return changed


def embed_time(time: Tensor) -> Tensor:
    """Times in [0,1] as waves, slow ones and fast ones: [B] -> [B,2*TIME_FREQUENCIES]."""
    rates = torch.exp(
        torch.linspace(0, math.log(MAX_FREQUENCY), TIME_FREQUENCIES, device=time.device, dtype=time.dtype)
    )
    angles = time[:, None] * rates
    return torch.cat((angles.cos(), angles.sin()), dim=1)
