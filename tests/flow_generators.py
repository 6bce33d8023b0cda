"""Generators of flows that are known in closed form."""

import torch
from training_sets import FLOW, tiny_params

from pipeline.models.networks import FlowGenerator

CLIP = tiny_params(**FLOW).clip
MEAN, DEVIATION = 0.3, 0.25  # of the pixels of the Gaussian clips


class OneClip(FlowGenerator):
    """The perfect generator of a set that is one clip, whose pixels are all `MEAN`."""

    def __init__(self, shape=CLIP, params=None, cond=0):  # noqa: ARG002
        super().__init__(shape)
        self.asked = []

    def predict(self, noisy, end, time, cond):
        self.asked.append((end, time, cond))
        return torch.full_like(noisy, MEAN)


class GaussianClips(FlowGenerator):
    """The mean velocity between clips of independent normal pixels and noise, by its closed form.

    Along a path of the flow the deviation from the mean keeps its share of the standard deviation at each time.
    """

    def predict(self, noisy, end, time, cond):  # noqa: ARG002
        end, time = (value[:, None, None, None, None] for value in (end, time))
        share = (noisy - (1 - time) * MEAN) / deviation(time)
        mean_velocity = (noisy - (1 - end) * MEAN - deviation(end) * share) / (time - end)
        return noisy - time * mean_velocity


class GaussianMoment(GaussianClips):
    """The velocity at a moment of the same flow, which many small steps follow."""

    def predict(self, noisy, end, time, cond):  # noqa: ARG002
        time = time[:, None, None, None, None]
        return MEAN + (1 - time) * DEVIATION**2 / deviation(time) ** 2 * (noisy - (1 - time) * MEAN)


class Guided(OneClip):
    """What it draws is the first value of the caption's vector."""

    def predict(self, noisy, end, time, cond):
        self.asked.append((end, time, cond))
        return cond[:, :1, None, None, None].expand_as(noisy)


def deviation(time):
    return ((1 - time) ** 2 * DEVIATION**2 + time**2) ** 0.5
