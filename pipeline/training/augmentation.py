"""Differentiable augmentation of what the discriminator sees, real and generated clips alike.

All frames of a clip get the same transform, so that no motion is added. Nothing is mirrored or reversed in time, which
would make the caption wrong. Differentiable and applied to both real and generated clips: Zhao et al. 2020,
arXiv:2006.10738; each kind with a probability: Karras et al. 2020, arXiv:2006.06676.
"""

import torch
from torch import Tensor

from pipeline.losses import SharedRng
from pipeline.models.layers import per_clip
from pipeline.params import AugmentationParams


def augment(frames: Tensor, probability: float, params: AugmentationParams, rng: SharedRng) -> Tensor:
    """Clips [B,3,T,H,W] in [-1,1] -> the same shape; each kind of transform is applied to a clip with `probability`.

    Values may leave the range. With a probability of 0 the clips are returned unchanged and no random number is drawn.
    """
    if probability == 0:
        return frames
    if params.translation > 0:
        frames = translate(frames, *_shifts(frames, params.translation, probability, rng))
    if params.colour > 0:
        frames = recolour(frames, *_changes(params.colour, probability, rng))
    if params.cutout > 0:
        frames = cut_out(frames, rng.uniform(2), params.cutout, rng.uniform() < probability)
    return frames


def translate(frames: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Clips moved by whole pixels, int64 [B] each; grey, 0, comes in from outside.

    Two matrix products instead of indexing, whose gradient is not deterministic on GPUs; in float32, where they are
    exact.
    """
    rows, columns = _shift(frames.shape[3], down, frames.dtype), _shift(frames.shape[4], right, frames.dtype)
    with torch.autocast(frames.device.type, enabled=False):
        moved = torch.einsum("byh,bcthw,bxw->bctyx", rows, frames, columns)
    return moved.contiguous(memory_format=torch.channels_last_3d)


def recolour(frames: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Clips with `brightness` added, then scaled about the grey of each pixel and about the mean of the clip."""
    frames = frames + _wide(brightness, frames)
    grey = frames.mean(dim=1, keepdim=True)
    frames = torch.lerp(grey, frames, _wide(saturation, frames))
    mean = frames.mean(dim=(1, 2, 3, 4), keepdim=True)
    return torch.lerp(mean, frames, _wide(contrast, frames))


def cut_out(frames: Tensor, centre: Tensor, share: float, chosen: Tensor) -> Tensor:
    """Chosen clips with a grey box of `share` of both sides around `centre` [B,2] in 0..1; it may leave the frame."""
    inside = []
    for side, at in ((frames.shape[3], centre[:, 0]), (frames.shape[4], centre[:, 1])):
        middles = (torch.arange(side, device=frames.device) + 0.5) / side
        inside.append((middles - at[:, None]).abs() < share / 2)  # [B,side]
    box = inside[0][:, :, None] & inside[1][:, None, :] & chosen[:, None, None]  # [B,H,W]
    return frames * (~box)[:, None, None].to(frames.dtype)


def _shifts(frames: Tensor, share: float, probability: float, rng: SharedRng) -> tuple[Tensor, Tensor]:
    """Pixels down and to the right, uniform up to `share` of the sides either way; 0 for clips that are not moved."""
    chosen, both = rng.uniform() < probability, rng.uniform(2) * 2 - 1
    height, width = frames.shape[3:]
    down, right = both[:, 0] * (height * share), both[:, 1] * (width * share)
    return down.round().long() * chosen, right.round().long() * chosen


def _changes(strength: float, probability: float, rng: SharedRng) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness from -strength/2 to strength/2, saturation and contrast from 1-strength to 1+strength."""
    chosen = (rng.uniform(3) < probability).float()
    change = (rng.uniform(3) * 2 - 1) * strength * chosen
    return change[:, 0] / 2, 1 + change[:, 1], 1 + change[:, 2]


def _shift(side: int, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrices that shift one side by `pixels`: 1 at [new position, old position], [B,side,side]."""
    positions = torch.arange(side, device=pixels.device)
    return (positions[:, None] - positions == pixels[:, None, None]).to(dtype)


def _wide(values: Tensor, frames: Tensor) -> Tensor:
    return per_clip(values).to(frames.dtype)
