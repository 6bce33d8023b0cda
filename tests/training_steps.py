"""A tiny GAN that takes steps: its params, and what tests of steps share."""

import torch
from training_sets import CPU, tiny_params

from pipeline.data.sampler import reseed
from pipeline.losses import SharedRng
from pipeline.training.objectives import StepContext, compute_schedule
from pipeline.training.step import train_step

PARAMS = tiny_params(penalties={"r1": 0.5, "r2": 0.25}, penalty_every=4, mismatched=0.7)
NOW = compute_schedule(PARAMS.train, 16)
RNG = SharedRng(8, slice(0, 8), CPU)


def take(nets, *batches, params=PARAMS.train, now=NOW, penalise=True):
    reseed(3, 1, 0)
    return train_step(nets, batches, params, now, RNG, penalise=penalise, average_gradients=lambda _: None)


def context(params=PARAMS.train, **gammas):
    return StepContext(params, NOW, gammas, RNG, slice(None))


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(before, model):
    return all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
