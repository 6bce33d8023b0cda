"""What generators and discriminators are made of: blocks, normalisation layers, and curves over time."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of the leaky ReLU
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # makes the mean square of its output that of a normal input

MOMENTUM, EPSILON = 0.1, 1e-5
CURVE_KNOTS = 4  # random values that a smooth motion curve interpolates
PIXEL_NORM_EPSILON = 1e-4  # added to a mean square before dividing by its root
Mean = Callable[[Tensor], Tensor]  # a tensor -> its mean over all processes of the run, with gradient


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU times its gain, which keeps the variance; never in place, since skips share the tensor."""
    return rectify(x) * GAIN


def rectify(x: Tensor) -> Tensor:
    """Leaky ReLU before a `conv(rectified=True)`, whose weights carry the gain: they are fewer than the values."""
    return F.leaky_relu(x, SLOPE)


Triple = tuple[int, int, int]  # time, height, width


class Convolution(nn.Conv3d):
    """A 3-d convolution. Kernels of one frame or one pixel run as 2-d convolutions on the same memory.

    CPUs have faster kernels for these. A kernel of a single value is a matrix product.
    """

    gain = 1.0  # of all weights

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.gain == 1 else self.weight * self.gain
        if self.kernel_size == self.stride == (1, 1, 1):
            return F.linear(x.permute(0, 2, 3, 4, 1), weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)
        convolve = partial(F.conv2d, bias=self.bias)
        if self.kernel_size[0] == self.stride[0] == 1:
            convolve = partial(convolve, weight=weight.squeeze(2), stride=self.stride[1:], padding=self.padding[1:])
            return in_frames(convolve, x)
        if self.kernel_size[1:] == self.stride[1:] == (1, 1):
            padding, stride = (self.padding[0], 0), (self.stride[0], 1)
            return along_time(partial(convolve, weight=weight.squeeze(4), stride=stride, padding=padding), x)
        return F.conv3d(x, weight, self.bias, self.stride, self.padding)


def in_frames(change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply `change` to every frame as an image [B*T,C,H,W]: [B,C,T,H,W] -> [B,C,T,H,W], with any C, H and W."""
    frames = x.transpose(1, 2)
    return torch.unflatten(change(frames.flatten(0, 1)), 0, frames.shape[:2]).transpose(1, 2)


def along_time(change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply `change` to clips as images of time by pixel [B,C,T,H*W]: [B,C,T,H,W] -> [B,C,T,H,W], with any C and T."""
    return torch.unflatten(change(x.flatten(3)), 3, x.shape[3:])


def conv(
    inputs: int,
    outputs: int,
    kernel: Triple,
    *,
    scale: float = 1.0,
    stride: Triple = (1, 1, 1),
    padding: Triple | None = None,
    rectified: bool = False,
) -> Convolution:
    """A convolution; initial weights have variance scale^2/fan_in, biases are zero. Keeps T,H,W by default."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2) if padding is None else padding
    layer = Convolution(inputs, outputs, kernel, stride, padding)
    layer.gain = GAIN if rectified else 1.0
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs * math.prod(kernel)))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def linear(inputs: int, outputs: int, *, scale: float = 1.0, bias: bool = True) -> nn.Linear:
    """A linear layer; initial weights have variance scale^2/inputs, biases are zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs))
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Modulation(nn.Module):
    """h -> (1 + gain(code)) * h + bias(code): h [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W].

    One gain per frame, so that every block depends on the motion. "1 + gain": Brock et al. 2019, arXiv:1809.11096.
    """

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.gain_and_bias = linear(code, 2 * channels, scale=0.5)

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        gain, bias = self.gain_and_bias(code).transpose(1, 2)[..., None, None].chunk(2, dim=1)  # [B,C,T,1,1]
        return torch.addcmul(bias, h, 1 + gain)


class ResidualBlock(nn.Module):
    """x + a spatial and then a temporal convolution of x: [B,C,T,H,W] -> the same, modulated by `code` if given.

    `normalised`: the convolutions are applied to x normalised at each pixel.
    """

    def __init__(
        self, channels: int, *, code: int | None = None, temporal: bool = True, normalised: bool = False
    ) -> None:
        super().__init__()
        self.normalised = normalised
        self.space = conv(channels, channels, (1, 3, 3), rectified=True)
        self.time = conv(channels, channels, (3, 1, 1) if temporal else (1, 1, 1), scale=0.0, rectified=True)
        self.modulation = None if code is None else Modulation(channels, code)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        h = normalise(x) if self.normalised else x
        if self.modulation is not None and code is not None:
            h = self.modulation(h, code)
        h = self.space(rectify(h))
        changed: Tensor = x + self.time(rectify(h))
        return changed


def per_clip(values: Tensor) -> Tensor:
    """One value per clip, shaped to broadcast over clips: [B] -> [B,1,1,1,1]."""
    return values[:, None, None, None, None]


def opponent_colours(lightness: float, hue: float) -> Tensor:
    """Rows: the direction in RGB of lightness and of two opponent colours, of the given lengths; orthogonal: [3,3]."""
    directions = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    return F.normalize(directions, dim=1) * torch.tensor([[lightness], [hue], [hue]])


def change_colours(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the colours of images or frames [B,3,...] by a matrix [3,3], from the right."""
    return (x.movedim(1, -1) @ matrix.to(x.dtype)).movedim(-1, 1)


def in_float32(x: Tensor) -> torch.autocast:
    """A context without autocast on the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32, or in its own type where that is more precise."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def channels_last(model: nn.Module) -> None:
    """Give the weights of 3-d convolutions the memory format of frames, in place: 1.5x on CPUs, and no reordering."""
    for parameter in model.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling: [B,C,T,H,W] -> [B,C,T,2H,2W]."""
    return F.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")


def downsample(x: Tensor, *, time: bool) -> Tensor:
    """Means over 2x2 pixels, and over 2 frames if `time`: [B,C,T,H,W] -> [B,C,T or T/2,H/2,W/2]."""
    # In 2-d: avg_pool3d has no fast path for channels_last_3d on CPUs, and gradients of slices lose the strides.
    x = in_frames(partial(F.avg_pool2d, kernel_size=2), x)
    return along_time(partial(F.avg_pool2d, kernel_size=(2, 1)), x) if time else x


def normalise(x: Tensor) -> Tensor:
    """Pixel normalisation: channels with a mean square of 1 at each pixel, [B,C,T,H,W] -> the same."""
    with in_float32(x):
        scale = torch.rsqrt(at_least_float32(x).square().mean(dim=1, keepdim=True) + PIXEL_NORM_EPSILON)
    return x * scale.to(x.dtype)


def fold(frames: Tensor, patch: Triple) -> Tensor:
    """Patches into channels: [B,C,T,H,W] -> [B,t*h*w*C,T/t,H/h,W/w], channels_last_3d strides."""
    batch, channels, *sides = frames.shape
    t, h, w = (side // width for side, width in zip(sides, patch, strict=True))
    parts = frames.reshape(batch, channels, t, patch[0], h, patch[1], w, patch[2])
    return parts.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, t, h, w, -1).permute(0, 4, 1, 2, 3)


def unfold(x: Tensor, patch: Triple) -> Tensor:
    """The inverse of `fold`: [B,t*h*w*C,T,H,W] -> [B,C,T*t,H*h,W*w], channels_last_3d strides."""
    batch, _, t, h, w = x.shape
    parts = x.permute(0, 2, 3, 4, 1).reshape(batch, t, h, w, *patch, -1)
    sides = (t * patch[0], h * patch[1], w * patch[2])
    return parts.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, *sides, -1).permute(0, 4, 1, 2, 3)


class ConditionalBatchNorm(nn.Module):
    """(1 + gain(code)) * norm(h) + bias(code): h [B,C,T,H,W], code [B,T,K] -> [B,C,T,H,W].

    In training the moments are those of the batch, over all processes if `synchronise` was called; otherwise running
    means of them. de Vries et al. 2017, arXiv:1707.00683.
    """

    running: Tensor

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.modulation = Modulation(channels, code)
        self.register_buffer("running", torch.stack((torch.zeros(channels), torch.ones(channels))))  # of h, of h^2
        self.over_processes: Mean | None = None

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        moments = self.running
        if self.training:
            moments = torch.stack((h.float().mean(dim=(0, 2, 3, 4)), h.float().square().mean(dim=(0, 2, 3, 4))))
            moments = moments if self.over_processes is None else self.over_processes(moments)
            with torch.no_grad():
                self.running.lerp_(moments, MOMENTUM)
        mean, spread = moments[0], (moments[1] - moments[0].square()).clamp(min=0)
        scale = torch.rsqrt(spread + EPSILON)[:, None, None, None]
        normalised: Tensor = self.modulation((h - mean[:, None, None, None]) * scale, code)
        return normalised


def synchronise(model: nn.Module, over_processes: Mean) -> None:
    """Make every batch norm of `model` use moments over all processes."""
    for module in model.modules():
        if isinstance(module, ConditionalBatchNorm):
            module.over_processes = over_processes


def normalise_weights(model: nn.Module) -> None:
    """Spectral normalisation of every convolution and linear layer: the largest singular value of its weights is 1.

    So convolutions lose their gain. Parameters of other modules, such as pooling weights, are not normalised. A layer
    initialised with zeros gets normal weights instead: a norm of zero cannot be divided by, and any initial
    scale is removed anyway. Miyato et al. 2018, arXiv:1802.05957.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Conv3d | nn.Linear):
            if not module.weight.any():
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
            if isinstance(module, Convolution):
                module.gain = 1.0
            spectral_norm(module)


def smooth_curves(knots: Tensor, steps: int) -> Tensor:
    """Curves through evenly spaced knots, interpolated by a raised cosine: knots [B,M,K] -> [B,steps,M]."""
    positions = torch.linspace(0, knots.shape[2] - 1, steps, device=knots.device, dtype=knots.dtype)
    left = positions.floor().long().clamp(max=knots.shape[2] - 2)
    ease = (1 - torch.cos(math.pi * (positions - left))) / 2
    return torch.lerp(knots[:, :, left], knots[:, :, left + 1], ease).transpose(1, 2)
