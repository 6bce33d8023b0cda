"""Clips as layers: still pictures with transparency, each moved and scaled over time, on top of one another.

The object that is pushed and the hand that pushes it are drawn once and then moved, so they keep their looks, and what
moves how is learned apart from what it looks like. Reading and writing through moved and scaled windows: Gregor et al.
2015 (DRAW), arXiv:1502.04623; a still background under a moving foreground: Vondrick et al. 2016, arXiv:1609.02612.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, conv, linear, rectify
from pipeline.params import ClipParams, doublings_of

PLACE = 4  # centre y, centre x, log scale y, log scale x; the frame reaches from -1 to 1
# How much slower a layer moves and grows than weights change. At full speed an early step of Adam threw layers out of
# the frame, where nothing tells them the way back, or to wild scales that never settled.
MOVING, GROWING = 0.3, 0.1


class Still(nn.Module):
    """A code per clip [B,K] -> a picture of any number of channels, without bounds: [B,C,H,W]."""

    def __init__(self, shape: ClipParams, channels: int, code: int, width: int) -> None:
        super().__init__()
        doublings = doublings_of(shape)
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        widths = [min(width << (doublings - i), 4 * width) for i in range(doublings + 1)]
        self.channels = widths[0]
        self.start = linear(code, widths[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code, temporal=False) for count in widths)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.last = conv(widths[-1], channels, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, code: Tensor) -> Tensor:
        x = self.start(code).view(-1, 1, self.height, self.width, self.channels).permute(0, 4, 1, 2, 3)  # [B,C,1,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code[:, None])
            if place < len(self.narrow):
                x = enlarge(self.narrow[place](x))
        picture: Tensor = self.last(rectify(x)).squeeze(2)
        return picture


def enlarge(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear: repeated pixels would show as blocks. [B,C,1,H,W] -> [B,C,1,2H,2W]."""
    return F.interpolate(x.squeeze(2), scale_factor=2, mode="bilinear", align_corners=False).unsqueeze(2)


def cut_out(picture: Tensor) -> Tensor:
    """A picture without bounds [B,4N,H,W] -> layers [B,N,4,H,W]: colours, still without bounds, then alpha in [0,1].

    A bound such as tanh has no slope far out: colours that once got there stayed, as pure red, green and blue.
    """
    layers = picture.reshape(len(picture), -1, 4, *picture.shape[2:])
    return torch.cat((layers[:, :, :3], torch.sigmoid(layers[:, :, 3:] - 1)), dim=2)  # mostly clear at first


class Placement(nn.Module):
    """Codes of the steps [B,S,K] -> where each layer is in each frame: [B,T,N,PLACE]."""

    pace: Tensor

    def __init__(self, code: int, layers: int, frames: int) -> None:
        super().__init__()
        self.count, self.frames = layers, frames
        self.places = linear(code, layers * PLACE, scale=0.6)
        self.register_buffer("pace", torch.tensor([MOVING, MOVING, GROWING, GROWING]), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        places = F.interpolate(self.places(code).transpose(1, 2), self.frames, mode="linear", align_corners=False)
        places = places.transpose(1, 2).reshape(-1, self.frames, self.count, PLACE)
        return places * self.pace


def compose(background: Tensor, layers: Tensor, places: Tensor) -> Tensor:
    """Background [B,3,H,W], layers [B,N,4,H,W], places [B,T,N,PLACE] -> frames [B,3,T,H,W], the last layer on top."""
    frames = background[:, :, None]
    # Colours are multiplied by alpha before they are moved, so that none bleeds in from transparent pixels.
    colours, alpha = torch.split(layers, [3, 1], dim=2)
    for moved in move(torch.cat((colours * alpha, alpha), dim=2), places).unbind(1):
        above, cover = torch.split(moved, [3, 1], dim=1)
        frames = torch.addcmul(above, frames, 1 - cover)
    return frames.contiguous(memory_format=torch.channels_last_3d)


def move(layers: Tensor, places: Tensor) -> Tensor:
    """Layers [B,N,C,H,W] at places [B,T,N,PLACE] -> [B,N,C,T,H,W], bilinear, zero where a layer does not reach.

    As two matrix products rather than `grid_sample`, whose gradient is not deterministic on a GPU; their results lie in
    memory as T,H,C,W, so that none has to be reordered.
    """
    batch, count, channels, height, width = layers.shape
    places = places.transpose(1, 2).contiguous()
    rows = _weights(height, places[..., 0], places[..., 2])  # [B,N,T,H,h]
    columns = _weights(width, places[..., 1], places[..., 3])  # [B,N,T,W,w]
    lines = layers.transpose(2, 3).reshape(batch * count, height, channels * width)
    tall = rows.view(batch * count, -1, height) @ lines  # [B*N,T*H,C*w]
    moved = tall.view(-1, height * channels, width) @ columns.view(-1, width, width).mT  # [B*N*T,H*C,W]
    return moved.view(batch, count, -1, height, channels, width).permute(0, 1, 4, 2, 3, 5)


def _weights(side: int, centre: Tensor, log_scale: Tensor) -> Tensor:
    """How much of each pixel of a picture is in each of the frame, along one side: [B,T] each -> [B,T,side,side]."""
    pixels = torch.arange(side, device=centre.device, dtype=centre.dtype)
    places = (pixels + 0.5) * (2 / side) - 1  # middles of the frame's pixels in [-1,1]
    shrinking = torch.exp(-log_scale[..., None])  # pixels of the picture to one of the frame
    source = ((places - centre[..., None]) * shrinking + 1) * (side / 2) - 0.5  # [B,T,side]: where in the picture
    # One sample of a picture that is shrunk would pass over pixels, and edges would be jagged. The mean of two, by the
    # rule of Gauss, stands for that of all between; of a picture that is not shrunk both are the same.
    aside = (shrinking - 1).clamp(min=0) / math.sqrt(12)
    return (_tents(source - aside, pixels) + _tents(source + aside, pixels)) / 2


def _tents(source: Tensor, pixels: Tensor) -> Tensor:
    """How near each place is to each pixel, 1 at it and 0 from the next on: [B,T,side] -> [B,T,side,side]."""
    return (1 - (source[..., None] - pixels).abs()).clamp(min=0)
