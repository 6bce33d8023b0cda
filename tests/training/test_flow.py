"""Method `flow`: its targets are those of closed forms, and a run of it learns, stops and goes on like any other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from flow_generators import DEVIATION, MEAN, GaussianClips, GaussianMoment, OneClip
from networks import stir
from projects import merged
from training_sets import CPU, FLOW, LEFT, RIGHT, UNET, moving_square, tiny_clips, tiny_params, tiny_set

from pipeline.data.dataset import Batch, to_training
from pipeline.data.sampler import draw_noise
from pipeline.distributed import Rank
from pipeline.errors import UserError
from pipeline.losses import SharedRng
from pipeline.models.layers import per_clip
from pipeline.models.unet_generator import UNetGenerator
from pipeline.params import check_params
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.flow import draw_times, find_long_steps, flow_loss, measure_change
from pipeline.training.loop import Run, Trainer, build_networks
from pipeline.training.objectives import StepContext, compute_schedule

PARAMS = tiny_params(**FLOW)
ROWS = 8


def context(rows=ROWS, **flow):
    train = PARAMS.train.model_copy(update={"flow": PARAMS.train.flow.model_copy(update=flow)})
    return StepContext(train, compute_schedule(train, 16), {}, SharedRng(rows, slice(0, rows), CPU), slice(None))


def loss_of(generator, clean, **flow):
    """The loss and the values of a generator that needs no caption, on these clips."""
    model = SimpleNamespace(generator=generator, caption_encoder=lambda ids: torch.ones(len(ids), 2))
    ids = torch.ones(len(clean), 1, dtype=torch.int64)
    batch = Batch(torch.zeros(0), ids, ids, torch.randn(len(clean), generator.z_width))
    return flow_loss(model, clean, batch, context(len(clean), **flow))


@pytest.mark.parametrize("long_steps", [0.0, 0.25, 0.75])
def test_the_perfect_generator_of_a_single_clip_has_no_loss(long_steps):
    """Its mean velocity towards the clip is the velocity at every moment, and changes along no path."""
    generator = OneClip()
    clean = torch.full((ROWS, 3, PARAMS.clip.frames, PARAMS.clip.height, PARAMS.clip.width), MEAN)
    torch.manual_seed(1)
    assert loss_of(generator, clean, long_steps=long_steps)[0].item() < 1e-6
    assert loss_of(generator, clean + 0.1, long_steps=long_steps)[0].item() > 0.1


def test_the_identity_of_mean_velocities_holds_for_normal_clips():
    """mean + (time - end) * change of it = the velocity at the moment, in the closed forms of a Gaussian."""
    shape, generator, moment = PARAMS.clip, GaussianClips(PARAMS.clip), GaussianMoment(PARAMS.clip)
    torch.manual_seed(2)
    noisy = torch.randn(4, 3, shape.frames, shape.height, shape.width, dtype=torch.float64)
    end, time = (torch.tensor(values, dtype=torch.float64) for values in ([0, 0.1, 0.5, 0.2], [1, 0.7, 0.6, 0.9]))
    cond = torch.zeros(4, 2)
    velocity = moment.velocity(noisy, time, time, cond)
    change = measure_change(generator, noisy, velocity, end, time, cond)
    found = generator.velocity(noisy, end, time, cond) + per_clip(time - end) * change
    torch.testing.assert_close(found, velocity, rtol=0, atol=1e-9)
    assert change.abs().mean() > 0.01


def test_the_best_generator_of_normal_clips_has_the_error_of_what_nobody_can_know():
    """Of the velocity e - x no more can be told than its mean; the rest is a deviation that a closed form gives."""
    torch.manual_seed(3)
    generator = GaussianMoment(PARAMS.clip)
    shape = (64, 3, PARAMS.clip.frames, PARAMS.clip.height, PARAMS.clip.width)
    flow = {"long_steps": 0.0, "time_mean": 0.0, "time_spread": 1e-6}  # half-way, for all rows
    _, values = loss_of(generator, MEAN + DEVIATION * torch.randn(shape), **flow)
    # At time 1/2: Var[e - x | z] = 4 Var[x | z] = 4 s^2 / (s^2 + 1)
    assert values["error/velocity"].item() == pytest.approx(4 * DEVIATION**2 / (DEVIATION**2 + 1), rel=0.01)


def test_the_change_along_a_path_is_that_of_differences():
    """Of the U-Net with random weights, in float64; the step's end stays where it is."""
    torch.manual_seed(4)
    generator = stir(UNetGenerator(PARAMS.clip, PARAMS.train.generator, 3), by=0.05).double()
    shape = (2, 3, PARAMS.clip.frames, PARAMS.clip.height, PARAMS.clip.width)
    noisy, velocity = torch.randn(2, *shape, dtype=torch.float64)
    end, time = torch.tensor([0.1, 0.4], dtype=torch.float64), torch.tensor([0.6, 0.9], dtype=torch.float64)
    cond = torch.randn(2, 3, dtype=torch.float64)
    found = measure_change(generator, noisy, velocity, end, time, cond)
    step = 1e-7
    with torch.no_grad():
        after, before = (
            generator.velocity(noisy + sign * step * velocity, end, time + sign * step, cond) for sign in (1, -1)
        )
    torch.testing.assert_close(found, (after - before) / (2 * step), rtol=1e-5, atol=1e-6)


def test_long_steps_are_spread_evenly_and_do_not_depend_on_the_number_of_processes():
    flow = context().params.flow
    whole = find_long_steps(flow, SharedRng(8, slice(0, 8), CPU))
    parts = [find_long_steps(flow, SharedRng(8, slice(at, at + 4), CPU)) for at in (0, 4)]
    assert whole == [0, 4]
    assert parts == [[0], [0]]
    for share, count in ((0.0, 0), (0.5, 4), (0.9, 8)):
        few = flow.model_copy(update={"long_steps": share})
        assert len(find_long_steps(few, SharedRng(8, slice(0, 8), CPU))) == count


def test_the_times_of_a_row_are_the_same_in_any_process():
    flow, found = context().params.flow, []
    for share in (slice(0, 8), slice(2, 6)):
        torch.manual_seed(5)
        found.append(torch.stack(draw_times(flow, SharedRng(8, share, CPU))))
    torch.testing.assert_close(found[0][:, 3:4], found[1][:, 1:2])  # no long step
    end, time = found[0]
    assert (time >= end).all()
    assert (end == time).tolist() == [False, True, True, True] * 2


def test_times_have_the_mean_and_the_deviation_of_params():
    torch.manual_seed(6)
    flow = context(time_mean=0.5, time_spread=0.7, long_steps=0.0).params.flow
    logit = torch.logit(draw_times(flow, SharedRng(20000, slice(0, 20000), CPU))[1])
    assert (logit.mean().item(), logit.std().item()) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.7, abs=0.02))


def test_captions_that_are_left_out_teach_the_caption_encoder_nothing(clips):
    nets = build_networks(Run(1, PARAMS.clip, PARAMS.train, 20), CPU)
    stir(nets.generator)
    batch = clips.batch(np.arange(ROWS), nets.generator.z_width, slice(0, ROWS))
    clean = to_training(batch.frames)
    found = {}
    for dropout in (0.0, 0.99):
        torch.manual_seed(7)
        nets.generator.zero_grad()
        flow_loss(nets.generator, clean, batch, context(caption_dropout=dropout))[0].backward()
        found[dropout] = sum(p.grad.abs().sum().item() for p in nets.generator.caption_encoder.parameters())
    assert found[0.99] < 1e-9 < found[0.0]


def trained(folder, clips, until=None, **train):
    params = tiny_params(**FLOW | train)
    run = Run(params.seed, params.clip, params.train, 20)
    trainer = Trainer(Rank(0, 1, CPU), run, clips, checkpoints=Checkpoints("state", folder))
    trainer.steps = until or trainer.steps
    trainer.train()
    return trainer


def bits(trainer):
    state = {"generator": trainer.nets.generator.state_dict(), "average": trainer.nets.average.state_dict()}
    return [value.clone() for part in state.values() for value in part.values()], trainer.history


def test_a_stopped_run_goes_on_and_ends_with_the_same_bits(clips, tmp_path):
    """There is no discriminator in its state, and its rows are those of an uninterrupted run."""
    whole = trained(tmp_path / "whole", clips)
    assert set(whole.nets.state()) == {"generator", "average", "generator_adam"}
    assert set(whole.history[-1]) == {
        *("clips", "loss/generator", "error/velocity"),
        *("gradient/generator", "lr/generator", "ema/decay"),
    }
    trained(tmp_path / "parts", clips, until=4)
    weights, history = bits(trained(tmp_path / "parts", clips))
    expected, rows = bits(whole)
    assert all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))
    assert history == rows


def test_adam_has_the_first_momentum_of_the_method(clips, tmp_path):
    trainer = trained(tmp_path, clips, total_clips=8)
    assert trainer.nets.adams == [trainer.nets.generator_adam]
    assert trainer.nets.generator_adam.param_groups[0]["betas"][0] == 0.9


@pytest.mark.slow
def test_a_small_run_learns_two_clips_by_heart_and_draws_each_for_its_caption(tmp_path):
    """In one step and in several: each is far nearer to the clip of its caption than to the other."""
    known = {way: next(clip for clip, _ in tiny_clips(6) if way in clip.caption) for way in (RIGHT, LEFT)}
    made = [(replace(clip, split="train"), moving_square("mug", way, 2)) for way, clip in known.items()]
    two = tiny_set(tmp_path / "data", made)
    generator = UNET | {"width": 16, "code_width": 32}
    run = {"total_clips": 1600, "report_clips": 1600, "ema_clips": 200, "generator_lr": 4.0e-3, "generator": generator}
    model = trained(tmp_path / "run", two, **run).nets.average
    clean = to_training(torch.from_numpy(np.stack([frames for _, frames in made])))
    for steps in (1, 4):
        model.generator.steps = steps
        with torch.no_grad():
            drawn = model(draw_noise(1, 2, model.z_width), two.token_ids)
        error = [[(a - b).square().mean().item() for b in clean] for a in drawn]
        assert max(error[0][0], error[1][1]) < 0.3 * min(error[0][1], error[1][0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"train": {"method": "gan"}},
            "kind unet is trained by method flow: set train.method to it, or the kind",
        ),
        ({"train": {"flow": {"sample_steps": 0}}}, "train.flow.sample_steps: Input should be greater than 0, got 0"),
        ({"train": {"flow": {"caption_dropout": 1.0}}}, "train.flow.caption_dropout: Input should be less than 1"),
        ({"sampling": {"steps": 0}}, "sampling.steps: Input should be greater than 0, got 0"),
        ({"clip": {"frames": 7}}, "clip.frames 7 must be a multiple of train.generator.frame_patch 2"),
    ],
)
def test_params_that_cannot_be_are_refused(changes, told):
    with pytest.raises(UserError, match=told):
        check_params(merged(PARAMS.model_dump(), changes), "params.yaml")
