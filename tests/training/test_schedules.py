"""Order, noise, seeds, schedules and the average: each against its closed form."""

import copy
import math

import numpy as np
import pytest
import torch
from training_sets import FLOW, tiny_params

from pipeline.data.sampler import derive_seed, draw_noise, reseed, shuffle_rows
from pipeline.training.objectives import compute_schedule, list_settings
from pipeline.training.step import update_average

ANNEALED = tiny_params(
    total_clips=1000,
    batch_clips=10,
    final_lr_share=0.1,
    final_gamma_share=0.2,
    beta2=[0.9, 0.99],
    mismatched=2.0,
    final_mismatched_share=0.5,
    ema_clips=40,
).train


def test_every_epoch_is_a_permutation_of_its_own():
    epochs = shuffle_rows(7, 0, 60, 20).reshape(3, 20)
    assert (np.sort(epochs, axis=1) == np.arange(20)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


@pytest.mark.parametrize("cut", [1, 7, 16, 45])
def test_the_order_does_not_depend_on_how_it_is_cut_into_batches(cut):
    parts = [shuffle_rows(7, first, min(cut, 60 - first), 20) for first in range(0, 60, cut)]
    assert np.array_equal(np.concatenate(parts), shuffle_rows(7, 0, 60, 20))


def test_another_seed_gives_another_order():
    assert not np.array_equal(shuffle_rows(7, 0, 20, 20), shuffle_rows(8, 0, 20, 20))


def test_noise_rows_do_not_depend_on_how_many_are_asked_for():
    assert torch.equal(draw_noise(3, 5, 24)[:2], draw_noise(3, 2, 24))
    assert not torch.equal(draw_noise(3, 1, 24), draw_noise(4, 1, 24))
    assert len({tuple(row.tolist()) for row in draw_noise(3, 5, 24)}) == 5


def test_noise_is_standard_normal_and_leaves_the_global_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    z = draw_noise(3, 100, 200)
    assert torch.equal(torch.get_rng_state(), before)
    assert (z.mean().item(), z.std().item()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))


def test_a_step_draws_the_same_however_it_was_reached():
    def drawn(*place):
        reseed(*place)
        return torch.randn(4).tolist()

    first = drawn(1, 0, 500)
    torch.randn(99)
    assert drawn(1, 0, 500) == first
    assert len({tuple(drawn(*place)) for place in [(1, 0, 500), (1, 0, 501), (1, 1, 500), (2, 0, 500)]}) == 4


def test_derived_seeds_fit_torch_and_differ():
    seeds = [derive_seed(a, "step", b) for a in range(30) for b in range(30)]
    assert len(set(seeds)) == 900
    assert 0 <= min(seeds) < max(seeds) < 2**63


@pytest.mark.parametrize(
    ("clips", "lr", "gamma", "mismatched", "beta2"),
    [(0, 1, 1, 2, 0.9), (500, 0.55, 0.6, 1.5, 0.945), (1000, 0.1, 0.2, 1, 0.99)],
)
def test_schedules_at_the_start_half_way_and_at_the_end(clips, lr, gamma, mismatched, beta2):
    now = compute_schedule(ANNEALED, clips)
    found = (now.lr_scale, now.gamma_scale, now.mismatched, now.beta2)
    assert found == pytest.approx((lr, gamma, mismatched, beta2))


def test_the_regulariser_of_a_generator_rises_late():
    assert [compute_schedule(ANNEALED, clips).regulariser for clips in (0, 500, 1000)] == pytest.approx([0, 0.25, 1])


def test_captions_are_let_in_evenly_over_their_share_of_the_run_and_at_once_without_one():
    ramped = ANNEALED.model_copy(update={"condition_ramp": 0.2})
    assert [compute_schedule(ramped, clips).condition for clips in (0, 50, 100, 200, 900)] == pytest.approx(
        [0, 0.25, 0.5, 1, 1]
    )
    assert compute_schedule(ANNEALED, 0).condition == 1


def test_augmentation_sets_in_by_the_same_cosine():
    growing = tiny_params(total_clips=1000, augmentation={"probability": [0.0, 0.6]}).train
    assert [compute_schedule(growing, clips).augmentation for clips in (0, 500, 1000)] == pytest.approx([0, 0.3, 0.6])


def test_schedules_stay_at_the_end_where_the_last_batch_is_beyond_the_budget():
    assert compute_schedule(ANNEALED, 1500).lr_scale == compute_schedule(ANNEALED, 1000).lr_scale


def test_after_one_half_life_half_of_the_average_is_new():
    now = compute_schedule(ANNEALED, 900)
    assert now.ema_decay ** (ANNEALED.ema_clips / ANNEALED.batch_clips) == pytest.approx(0.5)


def test_the_average_forgets_the_start():
    """Its half-life is a tenth of the run so far at most, and none at the start."""
    assert compute_schedule(ANNEALED, 0).ema_decay == 0
    assert compute_schedule(ANNEALED, 100).ema_decay == pytest.approx(0.5)
    decays = [compute_schedule(ANNEALED, clips).ema_decay for clips in range(0, 1000, 10)]
    assert decays == sorted(decays)


def test_the_average_follows_its_closed_form():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average = copy.deepcopy(model)
    tracked = [("0", "weight"), ("1", "running_mean"), ("1", "running_var")]

    def read(network):
        return [getattr(network.get_submodule(layer), name).detach().clone() for layer, name in tracked]

    weights = [read(model)]
    decays = [0.9, 0.5, 0.0, 0.99]
    for decay in decays:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
            for moments in (model[1].running_mean, model[1].running_var):
                moments += torch.rand(2)
            model[1].num_batches_tracked += 1
        weights.append(read(model))
        update_average(average, model, decay)
    for found, start, *later in zip(read(average), *weights, strict=True):
        expected = start * math.prod(decays)
        for index, decay in enumerate(decays):
            expected = expected + later[index] * (1 - decay) * math.prod(decays[index + 1 :])
        torch.testing.assert_close(found, expected)
    assert average[1].num_batches_tracked == 4  # a count has no average


def test_learning_rates_rise_linearly_to_the_cosine_over_the_warm_up():
    """The first step has a rate, and the last of the warm-up is the first at the full one."""
    warm = ANNEALED.model_copy(update={"warmup_clips": 4 * ANNEALED.step_clips})
    starts = [number * ANNEALED.step_clips for number in range(6)]
    shares = [compute_schedule(warm, clips).lr_scale / compute_schedule(ANNEALED, clips).lr_scale for clips in starts]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert compute_schedule(warm, 0).gamma_scale == 1


def test_a_row_of_the_history_names_the_settings_of_its_last_step():
    params = tiny_params(total_clips=1000, augmentation={"probability": [0.0, 0.6]}).train
    now = compute_schedule(params, 500)
    assert list_settings(params, now) == {
        "lr/generator": params.generator_lr * now.lr_scale,
        "lr/discriminator": params.discriminator_lr * now.lr_scale,
        "gamma/r1": params.penalties["r1"] * now.gamma_scale,
        "gamma/r2": params.penalties["r2"] * now.gamma_scale,
        "ema/decay": now.ema_decay,
        "augmentation/probability": pytest.approx(0.3),
    }
    assert set(list_settings(tiny_params(**FLOW).train, now)) == {"lr/generator", "ema/decay"}
