"""Training with mixed batches: both networks step, groups stay on their device, and a toy distribution is learned."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from settings import TREE, changed
from torch import nn
from training_sets import CPU, tiny_params

from pipeline.data.dataset import Batch, to_training
from pipeline.distributed import Rank
from pipeline.errors import UserError
from pipeline.losses import MIXED_BATCHES, PENALTIES, SharedRng
from pipeline.models.discriminators import Discriminator, make_symmetric
from pipeline.models.networks import Generator
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import StepContext, compute_schedule, mixed_discriminator_loss, mixed_generator_loss
from pipeline.training.step import Networks, train_step

GROUP = 4
CENTRES = torch.tensor([[0.6, 0.6, -0.6], [-0.6, 0.0, 0.6]])


class PixelGenerator(Generator):
    """Of single pixels; captions say nothing."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 3), nn.Tanh())

    def forward(self, z):
        return self.layers(z)[:, :, None, None, None]


class Points(nn.Module):
    """The same with what reads captions."""

    def __init__(self):
        super().__init__()
        self.generator = PixelGenerator()

    def forward(self, z, token_ids, condition=1.0, chosen=None):  # noqa: ARG002
        return self.generator(z)


class PixelDiscriminator(Discriminator):
    """Of single pixels in groups; captions say nothing."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2))
        self.last = nn.Linear(32, 1)
        make_symmetric(self, GROUP)

    def extract_features(self, frames):
        return self.layers(frames.flatten(1))

    def score(self, features, cond):  # noqa: ARG002
        return self.last(features).squeeze(1)


class Judge(nn.Module):
    """The same with what reads captions."""

    def __init__(self):
        super().__init__()
        self.clip_discriminator = PixelDiscriminator()

    def caption_encoder(self, token_ids):
        return token_ids.float()


def toy_params(loss):
    penalties = {"r1": 0.1, "r2": 0.1}
    return changed(
        {
            "train": {
                "mixed": {"loss": loss, "group": GROUP, "edge": 0.3},
                "batch_clips": 64,
                "total_clips": 64 * 200,
                "mismatched": 0.0,
                "penalties": penalties,
                "penalty_every": 2,
                "generator_lr": 1e-2,
                "discriminator_lr": 1e-2,
                "discriminator": TREE["train"]["discriminator"] | {"frame_stride": 1},  # clips of one frame
            }
        }
    ).train


def target(count):
    """Points around two colours, as uint8 frames [N,1,1,1,3]."""
    points = CENTRES[torch.randint(2, (count,))] + 0.1 * torch.randn(count, 3)
    return ((points + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)[:, None, None, None]


def distance(a, b):
    """Mean Wasserstein-1 distance along 50 directions between two clouds [N,3]."""
    directions = nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    return ((a @ directions.T).sort(dim=0).values - (b @ directions.T).sort(dim=0).values).abs().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("loss", MIXED_BATCHES)
def test_training_moves_a_toy_distribution_onto_its_target(loss):
    torch.manual_seed(0)
    params = toy_params(loss)
    generator = Points()
    nets = Networks(generator, Judge(), copy.deepcopy(generator), params)
    ids = torch.zeros(64, 1, dtype=torch.int64)
    real, z = to_training(target(2000)).flatten(1), torch.randn(2000, 4)
    before = distance(nets.average(z, None).flatten(1).detach(), real)
    for step in range(200):
        batch = Batch(target(64), ids, ids, torch.randn(64, 4))
        rng = SharedRng(64, slice(0, 64), CPU)
        now = compute_schedule(params, step * 64)
        train_step(nets, [batch], params, now, rng, penalise=True, average_gradients=lambda _: None)
    after = distance(nets.average(z, None).flatten(1).detach(), real)
    assert before > 0.35
    assert after < 0.13  # two draws of the target are 0.02 apart


@pytest.fixture(params=list(MIXED_BATCHES))
def scene(request, clips):
    """(networks with random weights, a batch, context) for groups of 4 in a batch of 8."""
    params = tiny_params(mixed={"loss": request.param, "group": GROUP}, mismatched=0.5)
    nets = build_networks(Run(1, params.clip, params.train, 20), CPU)
    torch.manual_seed(1)
    for model in (nets.generator, nets.discriminator):
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    batch = clips.batch(np.arange(8), nets.generator.z_width, slice(0, 8))
    return (
        nets,
        batch,
        StepContext(params.train, compute_schedule(params.train, 16), {}, SharedRng(8, slice(0, 8), CPU), slice(None)),
    )


def both(nets, batch):
    return to_training(batch.frames), nets.generator(batch.z, batch.token_ids)


def test_a_step_moves_both_networks_with_every_penalty(scene):
    nets, batch, context = scene
    before = [[p.detach().clone() for p in model.parameters()] for model in (nets.generator, nets.discriminator)]
    params = context.params.model_copy(update={"penalties": dict.fromkeys(PENALTIES, 0.1)})
    values = train_step(
        nets, [batch], params, context.schedule, context.rng, penalise=True, average_gradients=lambda _: None
    )
    assert {f"penalty/{name}" for name in PENALTIES} <= set(values)
    assert all(value.isfinite() for value in values.values())
    for old, model in zip(before, (nets.generator, nets.discriminator), strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, model.parameters(), strict=True))


def test_permuting_the_clips_of_a_group_changes_no_loss_where_all_are_of_one_kind(scene):
    """With real clips in place of the generated ones it makes no difference which of them count as real."""
    nets, batch, context = scene
    context = replace(context, schedule=replace(context.schedule, mismatched=0.0))
    real = to_training(batch.frames)
    order = torch.tensor([3, 1, 0, 2, 5, 4, 7, 6])
    losses = []
    for rows in (torch.arange(8), order):
        torch.manual_seed(4)
        moved = replace(batch, token_ids=batch.token_ids[rows])
        losses.append(mixed_discriminator_loss(nets.discriminator, real[rows], real[rows], moved, context)[0])
    torch.testing.assert_close(*losses)


def test_the_generators_loss_reaches_every_generated_clip_and_not_the_discriminator(scene):
    """Each clip is in its group once, whichever of the two ways round."""
    nets, batch, context = scene
    real, fake = (part.detach().requires_grad_() for part in both(nets, batch))
    mixed_generator_loss(nets.discriminator, real, fake, batch, context).backward()
    assert (fake.grad != 0).flatten(1).any(dim=1).all()
    assert all(p.grad is None for p in nets.discriminator.parameters())


def test_captions_that_all_read_the_same_count_as_the_clips_own(scene):
    """Then every group of captions is all right, which a sure discriminator says at no cost."""
    nets, batch, context = scene
    clips = nets.discriminator.clip_discriminator
    head = next(m for n, m in clips.named_modules() if n.endswith("realness"))
    head.own.bias.data.fill_(1e4)
    real, fake = both(nets, batch)
    same = replace(batch, mismatched_ids=batch.token_ids)
    assert mixed_discriminator_loss(nets.discriminator, real, fake.detach(), same, context)[1]["loss/matching"] == 0
    values = [mixed_discriminator_loss(nets.discriminator, real, fake.detach(), batch, context)[1] for _ in range(8)]
    assert max(value["loss/matching"].item() for value in values) > 1000


def test_devices_that_share_a_batch_mix_it_as_one_would(scene):
    """Groups do not cross devices, and each draws the same shares: the mean of the losses is the whole one."""
    nets, batch, context = scene
    real, fake = (part.detach() for part in both(nets, batch))
    found = []
    for share in (slice(0, 8), slice(0, 4), slice(4, 8)):
        torch.manual_seed(9)
        part = Batch(batch.frames[share], batch.token_ids[share], batch.mismatched_ids[share], batch.z[share])
        settings = replace(context, rng=SharedRng(8, share, CPU))
        found.append(mixed_discriminator_loss(nets.discriminator, real[share], fake[share], part, settings)[0])
    torch.testing.assert_close((found[1] + found[2]) / 2, found[0])


def test_groups_that_a_batch_or_a_device_cannot_hold_are_refused_with_their_numbers():
    with pytest.raises(UserError, match=r"train\.batch_clips 6 must be a multiple of train\.mixed\.group 4"):
        tiny_params(mixed={"loss": "bgan", "group": 4}, batch_clips=6)
    assert tiny_params(mixed={"group": 4}, batch_clips=6).train.group_clips == 1  # not used, so no matter
    with pytest.raises(UserError, match=r"^train\.mixed\.group 4 does not divide 2, the part of .* 8 on one of 4"):
        Rank(0, 4, CPU).share(8, 4, "train.mixed.group")
    assert Rank(1, 2, CPU).share(8, 4) == slice(4, 8)
