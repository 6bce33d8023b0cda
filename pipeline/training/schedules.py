"""What changes in the course of a run, as functions of the clips shown so far."""

import math
from dataclasses import dataclass

from pipeline.params import TrainParams


@dataclass(frozen=True)
class ScheduleValues:
    """The settings of one step."""

    lr_share: float  # of either learning rate
    gamma_share: float  # of every penalty's gamma
    mismatched: float  # weight of mismatched captions
    beta2: float
    condition: float  # how far the caption is let into both networks, 0 to 1
    augmentation: float  # probability of each kind
    ema_decay: float


def compute_schedule(params: TrainParams, clips_seen: int) -> ScheduleValues:
    """Everything annealed together by half a cosine, as in R3GAN, arXiv:2501.05441.

    The average of the generator reaches back over a tenth of the run so far at most, so that it forgets the start. The
    caption is let in evenly over the first part of the run: arXiv:2201.06578.
    """
    done = min(clips_seen / params.total_clips, 1.0)
    left = (1 + math.cos(math.pi * done)) / 2  # 1 -> 0

    def annealed(first: float, last: float) -> float:
        return last + (first - last) * left

    half_life = max(min(params.ema_clips, clips_seen / 10), 1e-6)
    return ScheduleValues(
        lr_share=annealed(1.0, params.final_lr_share),
        gamma_share=annealed(1.0, params.final_gamma_share),
        mismatched=params.mismatched * annealed(1.0, params.final_mismatched_share),
        beta2=annealed(*params.beta2),
        condition=min(done / params.condition_ramp, 1.0) if params.condition_ramp else 1.0,
        augmentation=annealed(*params.augmentation.probability),
        ema_decay=0.5 ** (params.step_clips / half_life),
    )
