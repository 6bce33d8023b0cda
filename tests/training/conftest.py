"""What tests of training share: clips to train on, and networks with a batch of them for single steps."""

import numpy as np
import pytest
import torch
from training_sets import CPU, tiny_set
from training_steps import PARAMS

from pipeline.training.loop import Run, build_networks


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("data"))


@pytest.fixture
def nets():
    run = Run(PARAMS.seed, PARAMS.clip, PARAMS.train, 20)
    nets = build_networks(run, CPU)
    torch.manual_seed(1)
    for model in (nets.generator, nets.discriminator):
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return nets


@pytest.fixture
def batch(clips, nets):
    torch.manual_seed(2)
    return clips.batch(np.arange(8), nets.generator.z_width, slice(0, 8))
