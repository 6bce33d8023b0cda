"""The loss of method `flow` on one batch.

Rectified flow, arXiv:2209.03003. The mean velocity over a step is learned besides the instantaneous one, so that few
steps suffice: MeanFlow, arXiv:2505.13447.
"""

import math

import torch
from torch import Tensor
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual

from pipeline.data.dataset import Batch
from pipeline.losses import SharedRng
from pipeline.models.layers import in_float32, per_clip
from pipeline.models.networks import FlowGenerator, TextToVideo, shift_times
from pipeline.params import FlowParams
from pipeline.training.history import Values
from pipeline.training.objectives import StepContext, uncompiled

EARLIEST = 0.05  # time that is learned; velocities at earlier ones are large and of no use
NEAREST = 1e-4  # distance from 0 and 1 of quantiles of the normal distribution
SETTLED = 1e-2  # squared error below which the weight of a clip hardly grows


def flow_loss(text_to_video: TextToVideo, clean: Tensor, batch: Batch, context: StepContext) -> tuple[Tensor, Values]:
    """The error of the generator's velocities along the paths from `clean` [B,3,T,H,W] to `batch.z`, and values to log.

    Each clip is weighted by the inverse of its error: otherwise those at early times, whose velocities are large, would
    dominate.
    """
    generator, rng, params = text_to_video.generator, context.rng, context.params.flow
    assert isinstance(generator, FlowGenerator)
    cond = context.encode(text_to_video, batch.token_ids)
    cond = cond * (rng.uniform(1) >= params.caption_dropout)
    end, time = draw_times(params, rng)
    long = find_long_steps(params, rng)
    noise = generator.shape_noise(batch.z)
    velocity, noisy = noise - clean, torch.lerp(clean, noise, per_clip(time))
    change = torch.zeros_like(velocity)
    if long:
        moving = [_take_rows(values, long) for values in (noisy, velocity, end, time, cond.detach())]
        for row, changed in zip(long, measure_change(generator, *moving), strict=True):
            change[row].copy_(changed)
    with context.autocast():
        found = generator.velocity(noisy, end, time, cond)
    error = (found + per_clip(time - end) * change - velocity).square().flatten(1).mean(dim=1)
    loss = (error / (error.detach() + SETTLED)).mean()
    at_moments = (end == time).float()  # whole steps, whose targets are far noisier, would drown the rest in the report
    reported = (error * at_moments).sum() / at_moments.sum().clamp(min=1)
    return loss, {"loss/generator": loss, "error/velocity": reported}


def draw_times(params: FlowParams, rng: SharedRng) -> tuple[Tensor, Tensor]:
    """Where the step of each row ends and starts, both [B]: the same moment for all but the rows of long steps.

    Moments have a normal logit: Esser et al. 2024, arXiv:2403.03206. They are spread evenly over the batch from one
    random start, so that no batch has early ones alone: Kingma et al. 2021, arXiv:2107.00630. Both ends of a long step
    are drawn independently, and shifted like the times of sampling.
    """
    quantile = (torch.arange(rng.rows, device=rng.device)[rng.share] / rng.rows + torch.rand((), device=rng.device)) % 1
    normal = torch.special.ndtri(quantile.clamp(NEAREST, 1 - NEAREST))
    moment = torch.sigmoid(params.time_mean + params.time_spread * normal).clamp(min=EARLIEST)
    ends = shift_times(rng.uniform(2), params.time_mean)
    is_long = torch.zeros_like(moment)
    for row in find_long_steps(params, rng):
        is_long[row].fill_(1)
    end, time = (torch.lerp(moment, far, is_long) for far in (ends.amin(dim=1), ends.amax(dim=1).clamp(min=EARLIEST)))
    return end, time


def find_long_steps(params: FlowParams, rng: SharedRng) -> list[int]:
    """The rows of this process's share that learn whole steps: evenly spread over the batch, always the same number."""
    before = [math.ceil(row * params.long_steps) for row in range(rng.rows + 1)]
    return [index for index, row in enumerate(range(rng.rows)[rng.share]) if before[row] < before[row + 1]]


def measure_change(
    generator: FlowGenerator, noisy: Tensor, velocity: Tensor, end: Tensor, time: Tensor, cond: Tensor
) -> Tensor:
    """How fast the mean velocity changes along the paths, whose `end` stays: its derivative by time, without gradient.

    By the chain rule forwards, in float32 and uncompiled: three times as much work as one pass.
    """
    with torch.no_grad(), in_float32(noisy), uncompiled(), dual_level():
        moving, moment = make_dual(noisy, velocity), make_dual(time, torch.ones_like(time))  # type: ignore[no-untyped-call]
        mean = generator.velocity(moving, end, moment, cond)
        change: Tensor = unpack_dual(mean).tangent  # type: ignore[no-untyped-call]
    return change


def _take_rows(values: Tensor, rows: list[int]) -> Tensor:
    """Some rows, by slices: a list of indices would have to be sent to the device, which waits for it."""
    return torch.cat([values[row : row + 1] for row in rows])
