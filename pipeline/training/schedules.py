"""What changes in the course of a run, as functions of the clips shown so far."""

import math
from dataclasses import dataclass

from pipeline.params import TrainParams


@dataclass(frozen=True)
class Moment:
    """The settings of one step."""

    lr_share: float  # of either learning rate
    gamma_share: float  # of every penalty's gamma
    beta2: float
    ema_decay: float


def moment(params: TrainParams, clips_seen: int) -> Moment:
    """Learning rate, gamma and beta2 annealed together by half a cosine, as in R3GAN, arXiv:2501.05441.

    The average of the generator reaches back over a tenth of the run so far at most, so that it forgets the start.
    """
    done = min(clips_seen / params.total_clips, 1.0)
    left = (1 + math.cos(math.pi * done)) / 2  # 1 -> 0
    half_life = max(min(params.ema_clips, clips_seen / 10), 1e-6)
    return Moment(
        lr_share=params.final_lr_share + (1 - params.final_lr_share) * left,
        gamma_share=params.final_gamma_share + (1 - params.final_gamma_share) * left,
        beta2=params.beta2[1] + (params.beta2[0] - params.beta2[1]) * left,
        ema_decay=0.5 ** (params.batch_clips / half_life),
    )
