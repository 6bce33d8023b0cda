"""The processor never waits for what a step computes: batch and step run on tensors that have no values at all."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeCopyMode, FakeTensorMode
from training_sets import CPU, tiny_params, tiny_set

from pipeline.losses import SharedRng
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import compute_schedule
from pipeline.training.step import Networks, train_step
from tests.monitoring.test_throughput import KINDS

AUGMENTED = {"augmentation": {"probability": [0.5, 0.5]}, "opposites": 0.5, "condition_ramp": 0.5}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("data"))


def test_a_value_that_is_asked_for_would_be_seen():
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        bool(torch.rand(3).sum() > 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["the seed's", "mixed", "augmented"])
def test_no_value_of_a_step_is_asked_for(clips, kind):
    params = tiny_params(**(KINDS | {"augmented": AUGMENTED})[kind])
    real = build_networks(Run(1, params.clip, params.train, 20), CPU)
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # clips and captions of the set are real, batches are not
    with mode, FakeCopyMode(mode):
        models = [copy.deepcopy(model) for model in (real.generator, real.discriminator, real.average)]
    with mode:
        nets = Networks(*models, params.train)
        batch = clips.batch(np.arange(8), nets.generator.z_width, slice(0, 8), params.train.opposites)
        now, rng = compute_schedule(params.train, 8), SharedRng(8, slice(0, 8), CPU)
        values = train_step(nets, [batch], params.train, now, rng, penalise=True, average_gradients=lambda _: None)
    assert all(value.shape == () for value in values.values())
