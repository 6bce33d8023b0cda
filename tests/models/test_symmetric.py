"""Layers for groups: the formula, and that the order within a group makes no difference."""

import pytest
import torch
from settings import clip_shape
from torch import nn
from training_sets import tiny_params

from pipeline.models.discriminators import Symmetric
from pipeline.models.networks import CaptionedDiscriminator

GROUP = 4


@pytest.fixture
def discriminator():
    """One for groups, with random weights where it starts with zeros; and clips and captions for two groups."""
    params = tiny_params(mixed={"loss": "mbgan", "group": GROUP})
    torch.manual_seed(0)
    model = CaptionedDiscriminator(params.clip, params.train, words=12)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    shape = params.clip
    return model, torch.rand(8, 3, shape.frames, shape.height, shape.width) * 2 - 1, torch.randint(1, 12, (8, 5))


def test_a_layer_is_its_formula():
    torch.manual_seed(0)
    layer, x = Symmetric(nn.Linear(3, 5), GROUP), torch.randn(8, 3)
    mean = torch.stack((x[:4].mean(dim=0), x[4:].mean(dim=0))).repeat_interleave(4, dim=0)
    expected = x @ layer.own.weight.T + mean @ layer.common.weight.T + layer.own.bias
    torch.testing.assert_close(layer(x), expected)


def test_every_layer_of_the_discriminator_sees_the_group(discriminator):
    clips = discriminator[0].clip_discriminator
    inside = {id(part) for layer in clips.modules() if isinstance(layer, Symmetric) for part in layer.children()}
    bare = [m for m in clips.modules() if isinstance(m, nn.Conv3d | nn.Linear) and id(m) not in inside]
    assert inside
    assert bare == []


def test_permuting_a_group_changes_nothing_but_the_order(discriminator):
    model, frames, ids = discriminator
    order = torch.tensor([2, 0, 3, 1, 4, 7, 6, 5])
    torch.testing.assert_close(model(frames[order], ids[order]), model(frames, ids)[order])


def test_an_answer_depends_on_the_whole_group_and_on_no_other(discriminator):
    model, frames, ids = discriminator
    (gradient,) = torch.autograd.grad(model(frames.requires_grad_(), ids)[1], frames)
    assert (gradient.flatten(1) != 0).any(dim=1).tolist() == [True] * 4 + [False] * 4


def test_what_starts_at_zero_still_does():
    params = tiny_params(mixed={"loss": "bgan", "group": GROUP})
    model = CaptionedDiscriminator(clip_shape(2, 16, 16), params.train, words=12)
    last = model.clip_discriminator.trunk.stages[0].time
    assert not last.own.weight.any()
    assert not last.common.weight.any()
    assert model.clip_discriminator.trunk.stages[0].space.common.weight.any()
