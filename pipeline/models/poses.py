"""Poses of image layers and of a camera over time, and how images are seen at them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import linear
from pipeline.params import ClipParams

POSE = 4  # centre y, centre x, log scale y, log scale x; the frame spans -1 to 1
# Learning rates of a pose relative to those of the weights. At 1, an early step of Adam threw layers out of the frame,
# or to extreme scales from which they never recovered.
POSITION_RATE, SCALE_RATE = 0.3, 0.1
# Soft bounds on a layer's distance from the centre and on its absolute log scale: close to them the gradient becomes
# small but never zero. Without them, a layer outside the frame gets no gradient that would bring it back, and object
# layers shrink to the extent of most objects, so that all have straight sides and tall ones are cut off.
MAX_OFFSET, MAX_LOG_SCALE = 1.5, 0.7
# The bound on how far the log scale of an object layer may fall below 0: these layers used to shrink early in training,
# and the visible part of their image with them.
MAX_OBJECT_SHRINKING = 0.1

CANVAS_SCALE = 2  # sides of a background under a moving camera, relative to the frame's
FLOW_KNOTS = 4  # a flow is interpolated from a grid of this many values on each side
FLOW_RATE = 0.1  # learning rate of a flow relative to that of the weights


class PoseHead(nn.Module):
    """Codes of the frames [B,T,K] -> position and log scale of each layer in each frame [B,T,N,POSE], before `bound`.

    The first `unshrunk` layers can hardly become smaller than the frame.
    """

    rate: Tensor
    limit: Tensor
    lower_limit: Tensor

    def __init__(self, code: int, layers: int, unshrunk: int = 0) -> None:
        super().__init__()
        self.poses = linear(code, layers * POSE, scale=0.6)
        rate = torch.tensor([POSITION_RATE, POSITION_RATE, SCALE_RATE, SCALE_RATE])
        limit = torch.tensor([MAX_OFFSET, MAX_OFFSET, MAX_LOG_SCALE, MAX_LOG_SCALE])
        lower_limit = limit.repeat(layers, 1)
        lower_limit[:unshrunk, 2:] = MAX_OBJECT_SHRINKING
        self.register_buffer("rate", rate, persistent=False)
        self.register_buffer("limit", limit, persistent=False)
        # Saved where it differs, so that older models, whose layers did shrink, are refused instead of drawn wrongly.
        self.register_buffer("lower_limit", lower_limit, persistent=unshrunk > 0)

    def forward(self, code: Tensor) -> Tensor:
        return torch.unflatten(self.poses(code), 2, (-1, POSE)) * self.rate

    def bound(self, poses: Tensor) -> Tensor:
        """Unbounded poses [...,N,POSE] -> within their soft limits; close to 0 they hardly change."""
        return poses / (1 + poses.abs() / torch.where(poses < 0, self.lower_limit, self.limit))


def transform(layers: Tensor, poses: Tensor, sides: tuple[int, int], extent: int | None = None) -> Tensor:
    """Layers [B,N,C,h,w] at poses [B,T,N,POSE] -> [B,N,C,T,H,W] with `sides` H and W, bilinear.

    A layer is as large as the frame, and zero outside of it. With `extent`, it is as many times larger, and its border
    pixels are repeated outside. Two matrix products instead of `grid_sample`, whose gradient is not deterministic on
    GPUs. Their result has the memory order T,H,C,W, so that nothing has to be reordered.
    """
    batch, count, channels, tall, wide = layers.shape
    height, width = sides
    poses = poses.transpose(1, 2).contiguous()
    rows = _resampling_matrices(height, poses[..., 0], poses[..., 2], tall, extent)  # [B,N,T,H,h]
    columns = _resampling_matrices(width, poses[..., 1], poses[..., 3], wide, extent)  # [B,N,T,W,w]
    lines = layers.transpose(2, 3).reshape(batch * count, tall, channels * wide)
    stretched = rows.view(batch * count, -1, tall) @ lines  # [B*N,T*H,C*w]
    moved = stretched.view(-1, height * channels, wide) @ columns.view(-1, width, wide).mT  # [B*N*T,H*C,W]
    return moved.view(batch, count, -1, height, channels, width).permute(0, 1, 4, 2, 3, 5)


class Camera(nn.Module):
    """Codes of the frames [B,T,K] and an image [B,3,h,w] -> the image seen by a moving camera: frames [B,3,T,H,W].

    The image is CANVAS_SCALE times as large as the frame and twice as dense. The camera pans and zooms.
    With `warped`, a smooth flow is added, for parallax. Border pixels are repeated outside.
    """

    flow_rows: Tensor
    flow_columns: Tensor

    def __init__(self, shape: ClipParams, code: int, *, warped: bool) -> None:
        super().__init__()
        self.sides = shape.height, shape.width
        self.pose_head = PoseHead(code, 1)
        self.flow = linear(code, 2 * FLOW_KNOTS**2, scale=0.0) if warped else None
        self.register_buffer("flow_rows", _bicubic_weights(shape.height), persistent=False)
        self.register_buffer("flow_columns", _bicubic_weights(shape.width), persistent=False)

    def forward(self, code: Tensor, image: Tensor) -> Tensor:
        poses = self.pose_head.bound(self.pose_head(code))  # [B,T,1,POSE]
        if self.flow is None:
            return transform(image[:, None], poses, self.sides, CANVAS_SCALE)[:, 0]
        knots = (self.flow(code) * FLOW_RATE).view(-1, 2, FLOW_KNOTS, FLOW_KNOTS)
        flow = self.flow_rows @ knots @ self.flow_columns.mT  # [B*T,2,H,W]; faster than F.interpolate
        return warp(soften(image), poses[:, :, 0], flow, self.sides)


def _bicubic_weights(side: int) -> Tensor:
    """The weight of each of FLOW_KNOTS values in each of `side` interpolated ones: [side,FLOW_KNOTS]."""
    values = torch.eye(FLOW_KNOTS)[:, None, :, None].expand(-1, -1, -1, 2)
    return F.interpolate(values, (side, 2), mode="bicubic", align_corners=True)[:, 0, :, 0].T.contiguous()


def soften(image: Tensor) -> Tensor:
    """The mean of 2x2 pixels, twice, with repeated border pixels: [B,3,h,w] -> [B,3,h,w].

    A pixel of the frame is one sample of the image, which is denser than the frame and would alias.
    """
    image = F.pad(image, (1, 1, 1, 1), mode="replicate")
    for _ in range(2):  # by sums: avg_pool2d is slow for 3 channels
        image = image[..., 1:, :] + image[..., :-1, :]
        image = image[..., 1:] + image[..., :-1]
    return image / 16


def warp(image: Tensor, poses: Tensor, flow: Tensor, sides: tuple[int, int]) -> Tensor:
    """An image [B,3,h,w], CANVAS_SCALE times the frame, centred at poses [B,T,POSE] -> frames [B,3,T,H,W], bilinear.

    `flow` [B*T,2,H,W] is how far down and to the right each pixel is taken from, in halves of the frame. The gradient
    of `grid_sample` is not deterministic on GPUs.
    """
    batch, frames = poses.shape[:2]
    down, right = (torch.arange(side, device=flow.device, dtype=flow.dtype) for side in sides)
    down, right = (2 * (down + 0.5) / sides[0] - 1)[:, None], 2 * (right + 0.5) / sides[1] - 1
    centre_y, centre_x, log_y, log_x = (part[..., None] for part in poses.reshape(-1, POSE, 1).unbind(1))
    y = (down + flow[:, 0] - centre_y) * torch.exp(-log_y) / CANVAS_SCALE
    x = (right + flow[:, 1] - centre_x) * torch.exp(-log_x) / CANVAS_SCALE
    # The frames of a clip are one tall frame: otherwise the image would be copied for each of them.
    grid = torch.stack((x, y), dim=-1).view(batch, frames * sides[0], sides[1], 2)
    seen = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.unflatten(seen, 2, (frames, sides[0]))


def _resampling_matrices(side: int, centre: Tensor, log_scale: Tensor, length: int, extent: int | None) -> Tensor:
    """The weight of each pixel of an image in each pixel of the frame, along one side: [B,T] -> [B,T,side,length].

    With `extent`, the image is as many times longer than the frame, and its border pixels are repeated outside.
    Without, it is as long, and zero there.
    """
    pixels = torch.arange(length, device=centre.device, dtype=centre.dtype)
    frame = torch.arange(side, device=centre.device, dtype=centre.dtype)
    positions = (frame + 0.5) * (2 / side) - 1  # centres of the frame's pixels in [-1,1]
    density = length / (side * (extent or 1))
    reduction = torch.exp(-log_scale[..., None]) * density  # image pixels per frame pixel
    source = (positions - centre[..., None]) * reduction * (side / 2) + (length - 1) / 2  # [B,T,side]
    # A single sample of an image that is reduced would skip pixels and alias. The mean of two samples, by two-point
    # Gauss quadrature, approximates the mean over the area; where nothing is reduced, both are the same.
    offset = (reduction - 1).clamp(min=0) / math.sqrt(12)
    samples = [source - offset, source + offset]
    if extent is not None:
        samples = [sample.clamp(0, length - 1) for sample in samples]
    first, second = (_bilinear_weights(sample, pixels) for sample in samples)
    return (first + second) / 2


def _bilinear_weights(source: Tensor, pixels: Tensor) -> Tensor:
    """The weight of each pixel at each sampling position, 0 from one pixel away: [B,T,side] -> [B,T,side,length]."""
    return (1 - (source[..., None] - pixels).abs()).clamp(min=0)
