"""Blocks that the generators and discriminators are made of. None of them normalises over the batch.

Factorised (2+1)D convolutions: Tran et al. 2018, arXiv:1711.11248. Residual blocks whose last convolution starts at
zero, in place of normalisation: Huang et al. 2024 (R3GAN), arXiv:2501.05441.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier


def activate(x: Tensor) -> Tensor:
    """Leaky rectifier with its gain, so that the variance stays; never in place, since skips share the tensor."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2 / (1 + SLOPE**2))


Triple = tuple[int, int, int]  # time, height, width


def conv(
    inputs: int,
    outputs: int,
    kernel: Triple,
    *,
    scale: float = 1.0,
    stride: Triple = (1, 1, 1),
    padding: Triple | None = None,
) -> nn.Conv3d:
    """A convolution; weights start with variance scale^2/fan_in, biases at zero. Keeps T,H,W without `padding`."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2) if padding is None else padding
    layer = nn.Conv3d(inputs, outputs, kernel, stride, padding)
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs * math.prod(kernel)))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def linear(inputs: int, outputs: int, *, scale: float = 1.0, bias: bool = True) -> nn.Linear:
    """A linear layer; weights start with variance scale^2/inputs, biases at zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs))
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Modulation(nn.Module):
    """h -> (1 + gain(code)) * h + bias(code): h [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W].

    One gain per frame, so that motion reaches every block. "1 + gain": Brock et al. 2019, arXiv:1809.11096.
    """

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.gain_and_bias = linear(code, 2 * channels, scale=0.5)

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        gain, bias = self.gain_and_bias(code).transpose(1, 2)[..., None, None].chunk(2, dim=1)  # [B,C,T,1,1]
        modulated: Tensor = h * (1 + gain) + bias
        return modulated


class ResidualBlock(nn.Module):
    """x + space-then-time convolutions of x: [B,C,T,H,W] -> the same; `code` modulates where it is given."""

    def __init__(self, channels: int, *, code: int | None = None, temporal: bool = True) -> None:
        super().__init__()
        self.space = conv(channels, channels, (1, 3, 3))
        self.time = conv(channels, channels, (3, 1, 1) if temporal else (1, 1, 1), scale=0.0)
        self.modulation = None if code is None else Modulation(channels, code)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        h = x
        if self.modulation is not None and code is not None:
            h = self.modulation(h, code)
        h = self.space(activate(h))
        changed: Tensor = x + self.time(activate(h))
        return changed


def channels_last(model: nn.Module) -> None:
    """Lay the weights of 3-d convolutions out like the frames they meet, in place: 1.5x on CPUs, and no reordering."""
    for parameter in model.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def upsample(x: Tensor) -> Tensor:
    """Each pixel twice in height and width: [B,C,T,H,W] -> [B,C,T,2H,2W]."""
    return F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")


def downsample(x: Tensor, *, time: bool) -> Tensor:
    """Means over 2x2 pixels, and over 2 frames if `time`: [B,C,T,H,W] -> [B,C,T or T/2,H/2,W/2]."""
    # Sums of slices: avg_pool3d has no fast path for channels_last_3d on CPUs.
    x = x[..., ::2] + x[..., 1::2]
    x = x[..., ::2, :] + x[..., 1::2, :]
    if time:
        return (x[:, :, ::2] + x[:, :, 1::2]) / 8
    return x / 4


def unfold_time(x: Tensor, time: int) -> Tensor:
    """Spread channels over `time` frames: [B,C*time,T,H,W] -> [B,C,T*time,H,W]."""
    batch, channels, frames, height, width = x.shape
    x = x.permute(0, 2, 3, 4, 1).reshape(batch, frames, height, width, time, channels // time)
    x = x.permute(0, 1, 4, 2, 3, 5)  # [B,T,time,H,W,C]: contiguous, it is channels_last_3d
    return x.reshape(batch, frames * time, height, width, -1).permute(0, 4, 1, 2, 3)
