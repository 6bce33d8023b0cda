"""Clips as layers: still pictures with transparency, each moved and scaled over time, on top of one another.

The object that is pushed and the hand that pushes it are drawn once and then moved, so they keep their looks, and what
moves how is learned apart from what it looks like. Reading and writing through moved and scaled windows: Gregor et al.
2015 (DRAW), arXiv:1502.04623; a still background under a moving foreground: Vondrick et al. 2016, arXiv:1609.02612.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, activate, conv, linear, upsample

PLACE = 4  # centre y, centre x, log scale y, log scale x; the frame reaches from -1 to 1
SCALING = 0.3  # how much slower a layer grows than it moves: wild scales at the start never settled


class Stills(nn.Module):
    """A code per clip [B,K] -> background [B,3,H,W] in [-1,1] and layers [B,N,4,H,W]: colours in [-1,1], then alpha."""

    def __init__(self, height: int, width: int, doublings: int, channels: int, code: int, layers: int) -> None:
        super().__init__()
        self.height, self.width, self.count = height >> doublings, width >> doublings, layers
        widths = [min(channels << (doublings - i), 4 * channels) for i in range(doublings + 1)]
        self.channels = widths[0]
        self.start = linear(code, widths[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(width, code=code, temporal=False) for width in widths)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.last = conv(widths[-1], 3 + 4 * layers, (1, 3, 3), scale=0.5)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        x = self.start(code).view(-1, 1, self.height, self.width, self.channels)
        x = x.permute(0, 4, 1, 2, 3)  # [B,C,1,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code[:, None])
            if place < len(self.narrow):
                x = upsample(self.narrow[place](x))
        x = self.last(activate(x)).squeeze(2)  # [B,3+4N,H,W]
        layers = x[:, 3:].reshape(len(x), self.count, 4, *x.shape[2:])
        colours, alpha = torch.tanh(layers[:, :, :3]), torch.sigmoid(layers[:, :, 3:] - 1)  # transparent at first
        return torch.tanh(x[:, :3]), torch.cat((colours, alpha), dim=2)


class Placement(nn.Module):
    """Codes of the steps [B,S,K] -> where each layer is in each frame: [B,T,N,PLACE]."""

    pace: Tensor

    def __init__(self, code: int, layers: int, frames: int) -> None:
        super().__init__()
        self.count, self.frames = layers, frames
        self.places = linear(code, layers * PLACE, scale=0.2)
        self.register_buffer("pace", torch.tensor([1, 1, SCALING, SCALING]), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        places = F.interpolate(self.places(code).transpose(1, 2), self.frames, mode="linear", align_corners=False)
        places = places.transpose(1, 2).reshape(-1, self.frames, self.count, PLACE)
        return places * self.pace


def compose(background: Tensor, layers: Tensor, places: Tensor) -> Tensor:
    """Background [B,3,H,W], layers [B,N,4,H,W], places [B,T,N,PLACE] -> frames [B,3,T,H,W], the last layer on top."""
    frames = background[:, :, None].expand(-1, -1, places.shape[1], -1, -1)
    # Colours are multiplied by alpha before they are moved, so that none bleeds in from transparent pixels.
    cover = torch.cat((layers[:, :, :3] * layers[:, :, 3:], layers[:, :, 3:]), dim=2)
    for number in range(layers.shape[1]):
        moved = move(cover[:, number], places[:, :, number])  # [B,4,T,H,W]
        frames = frames * (1 - moved[:, 3:]) + moved[:, :3]
    return frames.contiguous(memory_format=torch.channels_last_3d)


def move(picture: Tensor, places: Tensor) -> Tensor:
    """Picture [B,C,H,W] at places [B,T,PLACE] -> [B,C,T,H,W], bilinear, zero where the picture does not reach.

    As two matrix products rather than `grid_sample`, whose gradient is not deterministic on a GPU.
    """
    rows = _weights(picture.shape[2], places[:, :, 0], places[:, :, 2])  # [B,T,H,h]
    columns = _weights(picture.shape[3], places[:, :, 1], places[:, :, 3])  # [B,T,W,w]
    moved: Tensor = torch.einsum("btyh,bchw,btxw->bctyx", rows, picture, columns)
    return moved


def _weights(side: int, centre: Tensor, log_scale: Tensor) -> Tensor:
    """How much of each pixel of a picture is in each of the frame, along one side: [B,T] each -> [B,T,side,side]."""
    pixels = torch.arange(side, device=centre.device, dtype=centre.dtype)
    places = (pixels + 0.5) * (2 / side) - 1  # middles of the frame's pixels in [-1,1]
    source = (places - centre[..., None]) * torch.exp(-log_scale[..., None])  # [B,T,side]: where in the picture
    source = (source + 1) * (side / 2) - 0.5
    return (1 - (source[..., None] - pixels).abs()).clamp(min=0)
