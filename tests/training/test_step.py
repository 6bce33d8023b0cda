"""One step: who gets which gradient, and that it can be repeated to the bit."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_sets import CPU, tiny_params
from training_steps import NOW, PARAMS, RNG, context, same, take, weights

from pipeline.data.dataset import to_training
from pipeline.data.sampler import reseed
from pipeline.errors import UserError
from pipeline.losses import ADVERSARIAL, PENALTIES
from pipeline.params import check_params
from pipeline.training import objectives
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import compute_schedule, discriminator_loss, generator_loss
from pipeline.training.step import train_step


def test_the_loss_is_the_weighted_sum_of_what_is_reported(nets, batch):
    real = to_training(batch.frames)
    fake = nets.generator(batch.z, batch.token_ids).detach()
    loss, values = discriminator_loss(nets.discriminator, real, fake, batch, context(r1=2.0, r2=1.0))
    assert loss.item() == pytest.approx(
        values["loss/discriminator"].item()
        + 0.7 * values["loss/matching"].item()
        + 2 * values["penalty/r1"].item()
        + values["penalty/r2"].item(),
        rel=1e-5,
    )
    on_real = nets.discriminator(real, batch.token_ids)
    on_fake = nets.discriminator(fake, batch.token_ids)
    on_mismatched = nets.discriminator(real, batch.mismatched_ids)
    softplus = torch.nn.functional.softplus
    assert values["loss/discriminator"].item() == pytest.approx(softplus(on_fake - on_real).mean().item(), rel=1e-4)
    assert values["loss/matching"].item() == pytest.approx(softplus(on_mismatched - on_real).mean().item(), rel=1e-4)
    assert values["logits/real"].item() == pytest.approx(on_real.mean().item(), rel=1e-4, abs=1e-5)


def test_a_gamma_of_zero_and_a_weight_of_zero_switch_their_part_off(nets, batch):
    params = PARAMS.train.model_copy(update={"penalties": {"r1": 0.0, "r2": 1.0}, "mismatched": 0.0})
    names = take(nets, batch, params=params, now=compute_schedule(params, 16))
    assert "penalty/r1" not in names
    assert "penalty/r2" in names
    assert "loss/matching" not in names


def test_the_generators_loss_reaches_the_generator_alone(nets, batch):
    real = to_training(batch.frames)
    fake = nets.generator(batch.z, batch.token_ids)
    learning = [parameter.requires_grad for parameter in nets.discriminator.parameters()]
    generator_loss(nets.discriminator, real, fake, batch, context()).backward()
    assert all(parameter.grad is None for parameter in nets.discriminator.parameters())
    assert all(parameter.grad is not None for parameter in nets.generator.parameters())
    assert [parameter.requires_grad for parameter in nets.discriminator.parameters()] == learning


def test_the_discriminators_update_reaches_the_discriminator_alone(nets, batch):
    """With the generator's learning rate at zero, only the discriminator moves."""
    before, judged = weights(nets.generator), weights(nets.discriminator)
    take(nets, batch, params=PARAMS.train.model_copy(update={"generator_lr": 0.0}))
    assert same(before, nets.generator)
    assert not same(judged, nets.discriminator)


def test_the_generators_update_leaves_the_discriminator_as_it_was(nets, batch):
    before, drawn = weights(nets.discriminator), weights(nets.generator)
    take(nets, batch, params=PARAMS.train.model_copy(update={"discriminator_lr": 0.0}))
    assert same(before, nets.discriminator)
    assert not same(drawn, nets.generator)


def test_a_step_lowers_the_loss_it_is_taken_on(nets, batch):
    """On the same batch, with the generator at rest and no penalty; the discriminator learns to tell it apart."""
    params = PARAMS.train.model_copy(update={"generator_lr": 0.0, "discriminator_lr": 1e-3})
    losses = [take(nets, batch, params=params, penalise=False)["loss/discriminator"].item() for _ in range(15)]
    assert losses[-1] < losses[0]


def test_the_first_update_of_adam_is_its_learning_rate_in_the_direction_of_the_gradient(nets, batch):
    """With beta1 = 0 and one step, m/sqrt(v) is the sign of the gradient; the schedule scales the rate."""
    before = weights(nets.generator)
    take(nets, batch)
    expected = PARAMS.train.generator_lr * NOW.lr_scale
    for old, new in zip(before, nets.generator.parameters(), strict=True):
        strong = new.grad.abs() > 1e-5
        moved = (new.detach() - old)[strong]
        torch.testing.assert_close(moved, -expected * new.grad[strong].sign(), rtol=0.02, atol=1e-6)


def test_adam_takes_its_momenta_from_the_schedule(nets, batch):
    take(nets, batch)
    for adam in (nets.generator_adam, nets.discriminator_adam):
        assert adam.param_groups[0]["betas"] == (0.0, NOW.beta2)


def test_one_step_twice_from_the_same_state_gives_the_same_bytes(nets, batch):
    start = copy.deepcopy(nets.state())
    first, values = None, []
    for _ in range(2):
        nets.load(copy.deepcopy(start))
        values.append({name: value.item() for name, value in take(nets, batch).items()})
        now = [*weights(nets.generator), *weights(nets.discriminator), *weights(nets.average)]
        assert first is None or all(torch.equal(a, b) for a, b in zip(first, now, strict=True))
        first = now
    assert values[0] == values[1]


@pytest.mark.parametrize("adversarial", ["relativistic", "nonsaturating", "hinge", "wasserstein"])
def test_every_adversarial_loss_trains_both_networks_with_every_penalty(nets, batch, adversarial):
    params = PARAMS.train.model_copy(update={"adversarial": adversarial, "penalties": dict.fromkeys(PENALTIES, 0.1)})
    before = weights(nets.generator), weights(nets.discriminator)
    values = take(nets, batch, params=params)
    assert all(value.isfinite() for value in values.values())
    assert {f"penalty/{name}" for name in PENALTIES} <= set(values)
    assert not same(before[0], nets.generator)
    assert not same(before[1], nets.discriminator)
    assert nets.finite()


def test_a_weight_that_is_not_finite_is_seen(nets):
    assert nets.finite()
    next(nets.discriminator.parameters()).data.view(-1)[0] = float("nan")
    assert not nets.finite()


def test_a_step_leaves_no_gradient_behind_in_the_clips(nets, batch, monkeypatch):
    """They require one where they are penalised; reading it would cost a pass through the first convolution."""
    seen = []
    make = objectives.require_gradients
    monkeypatch.setattr(objectives, "require_gradients", lambda *clips: seen.append(make(*clips)) or seen[-1])
    take(nets, batch)
    assert [(clips.requires_grad, clips.grad) for clips in seen[0]] == [(True, None)] * 2


def test_weights_at_rest_stay_at_rest(nets):
    """What was frozen before the discriminator was asked for an opinion, such as given word vectors, is so after it."""
    next(nets.discriminator.parameters()).requires_grad_(False)
    learning = [parameter.requires_grad for parameter in nets.discriminator.parameters()]
    with objectives.frozen(nets.discriminator):
        assert not any(parameter.requires_grad for parameter in nets.discriminator.parameters())
    assert [parameter.requires_grad for parameter in nets.discriminator.parameters()] == learning


@pytest.mark.parametrize(("of_discriminator", "of_generator"), [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_each_network_is_updated_as_often_as_params_say(nets, clips, of_discriminator, of_generator):
    """Each update draws its own batch; the last one serves both networks."""
    params = PARAMS.train.model_copy(
        update={"discriminator_steps": of_discriminator, "generator_steps": of_generator, "batch_clips": 8}
    )
    count = max(of_discriminator, of_generator)
    assert params.step_clips == 8 * count
    batches = [clips.batch(np.arange(8) + place, nets.generator.z_width, slice(0, 8)) for place in range(count)]
    take(nets, *batches, params=params)
    steps = [next(iter(adam.state.values()))["step"].item() for adam in (nets.discriminator_adam, nets.generator_adam)]
    assert steps == [of_discriminator, of_generator]


def test_two_updates_of_the_discriminator_are_two_steps_with_the_generator_at_rest(nets, clips):
    """The second of them sees the second batch, and the fakes of the same generator."""
    batches = [clips.batch(np.arange(8) + place, nets.generator.z_width, slice(0, 8)) for place in (0, 9)]
    twice = PARAMS.train.model_copy(update={"discriminator_steps": 2})
    start = copy.deepcopy(nets.state())
    take(nets, *batches, params=twice)
    together = weights(nets.discriminator)
    nets.load(start)
    for batch in batches:
        take(nets, batch, params=PARAMS.train.model_copy(update={"generator_lr": 0.0}))
    assert same(together, nets.discriminator)


def test_a_mismatch_that_reads_the_same_teaches_nothing(nets, batch):
    """The loss is then what it is without mismatched captions."""
    same_text = replace(batch, mismatched_ids=batch.token_ids)
    assert batch.mismatches().tolist() == [1.0] * 8
    assert same_text.mismatches().tolist() == [0.0] * 8
    real, fake = to_training(batch.frames), nets.generator(batch.z, batch.token_ids).detach()
    loss, values = discriminator_loss(nets.discriminator, real, fake, same_text, context())
    assert loss.item() == pytest.approx(values["loss/discriminator"].item(), rel=1e-6)


def test_the_logged_matching_loss_is_the_mean_over_captions_that_differ(nets, batch):
    """Rows with an equal caption always score log 2, and would draw the mean there."""
    real, fake = to_training(batch.frames), nets.generator(batch.z, batch.token_ids).detach()

    def log_matching(mismatched_ids):
        some = replace(batch, mismatched_ids=mismatched_ids)
        return discriminator_loss(nets.discriminator, real, fake, some, context())[1]["loss/matching"]

    differs = torch.tensor([True, False, True, False, False, False, False, True])
    scores = [nets.discriminator(real, ids) for ids in (batch.token_ids, batch.mismatched_ids)]
    expected = torch.nn.functional.softplus(scores[1] - scores[0])[differs].mean()
    some = torch.where(differs[:, None], batch.mismatched_ids, batch.token_ids)
    torch.testing.assert_close(log_matching(some), expected, rtol=1e-4, atol=1e-5)
    assert log_matching(batch.token_ids).item() == pytest.approx(math.log(2))


def test_the_generators_update_scores_real_clips_only_if_its_loss_reads_them(nets, batch):
    scored = []
    nets.discriminator.clip_discriminator.register_forward_pre_hook(lambda _, inputs: scored.append(inputs[0]))
    real, fake = to_training(batch.frames), nets.generator(batch.z, batch.token_ids).detach()
    logits = [nets.discriminator(clips, batch.token_ids) for clips in (real, fake)]
    for name, loss in ADVERSARIAL.items():
        scored.clear()
        params = PARAMS.train.model_copy(update={"adversarial": name})
        found = generator_loss(nets.discriminator, real, fake, batch, context(params))
        torch.testing.assert_close(found, loss.generator(*logits).mean(), rtol=1e-4, atol=1e-5)
        assert sum(clips is real for clips in scored) == (name == "relativistic")


@pytest.mark.parametrize("updates", ["in_turn", "together"])
def test_gradients_are_clipped_to_the_norm_of_params_and_logged_before(nets, batch, updates):
    """Of each network as a whole; a higher limit changes nothing."""
    found = {}
    for limit in (None, 1e-3, 1e6):
        now = copy.deepcopy(nets)
        params = PARAMS.train.model_copy(
            update={"max_gradient_norm": limit, "updates": updates, "discriminator_lr": 1e-12}
        )
        values = take(now, batch, params=params)
        gradients = {
            name: torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
            for name, model in now.trained.items()
        }
        found[limit] = {name: (values[f"gradient/{name}"], gradient) for name, gradient in gradients.items()}
    for name, (norm, gradient) in found[None].items():
        torch.testing.assert_close(norm, gradient.norm(), rtol=1e-4, atol=0)
        torch.testing.assert_close(found[1e-3][name][0], norm)
        torch.testing.assert_close(found[1e-3][name][1], gradient * (1e-3 / norm), rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(found[1e6][name][1], gradient)


@pytest.mark.parametrize("adversarial", ADVERSARIAL)
def test_the_level_of_the_logits_is_learned_only_where_the_loss_depends_on_it(nets, batch, adversarial):
    params = PARAMS.train.model_copy(update={"adversarial": adversarial})
    nets = build_networks(Run(PARAMS.seed, PARAMS.clip, params, 20), CPU)
    level = nets.discriminator.clip_discriminator.realness.bias
    level.data.fill_(2.0)  # beyond the margin of hinge: within it, real and generated clips cancel out
    take(nets, batch, params=params)
    moved = bool(level.detach() != 2)
    assert moved == (adversarial in ("nonsaturating", "hinge"))


def test_the_caption_says_nothing_while_it_is_not_let_in(nets, batch):
    """At the start of the ramp neither network tells captions apart; half-way the logits are half-way."""
    real, fake = to_training(batch.frames), nets.generator(batch.z, batch.token_ids).detach()
    found = {}
    for condition in (0.0, 0.5, 1.0):
        settings = replace(context(), schedule=replace(NOW, condition=condition))
        found[condition] = discriminator_loss(nets.discriminator, real, fake, batch, settings)[1]
    assert found[0.0]["loss/matching"].item() == pytest.approx(math.log(2), rel=1e-6)
    halfway = (found[0.0]["logits/real"] + found[1.0]["logits/real"]) / 2
    torch.testing.assert_close(found[0.5]["logits/real"], halfway)  # a projection is linear in the caption
    unheard = nets.generator(batch.z, batch.token_ids, 0.0)
    torch.testing.assert_close(unheard, nets.generator(batch.z, batch.mismatched_ids, 0.0))


def test_augmentation_changes_what_the_discriminator_sees_and_reaches_the_generator(nets, batch, monkeypatch):
    """The same step with and without it: real and generated clips are changed, and the gradient comes through."""
    seen = []
    make = objectives.require_gradients
    monkeypatch.setattr(objectives, "require_gradients", lambda *clips: seen.append(make(*clips)) or seen[-1])
    start = copy.deepcopy(nets.state())
    take(nets, batch)
    nets.load(start)
    take(nets, batch, now=replace(NOW, augmentation=1.0))
    for plain, changed in zip(*seen, strict=True):
        assert (plain != changed).flatten(1).any(dim=1).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in nets.generator.parameters())
    assert any((p.grad != 0).any() for p in nets.generator.parameters())


@pytest.mark.parametrize("penalties", [{}, {"r1": 2.0, "zero_gp": 1.0}, {"r1": 2.0, "r2": 2.0}, {"r2_fd": 1.0}])
@pytest.mark.parametrize("adversarial", ["relativistic", "nonsaturating", "hinge", "wasserstein"])
def test_updates_from_one_pass_have_the_slopes_of_both_losses(nets, batch, adversarial, penalties):
    """As in turn, where the discriminator has moved so little in between that nothing is seen of it."""
    changes = {"adversarial": adversarial, "penalties": penalties, "discriminator_lr": 1e-12}
    values, found = [], []
    for updates in ("in_turn", "together"):
        now, params = copy.deepcopy(nets), PARAMS.train.model_copy(update=changes | {"updates": updates})
        values.append(take(now, batch, params=params))
        found.append([weight.grad for model in now.trained.values() for weight in model.parameters()])
    assert values[0].keys() == values[1].keys()
    for name, value in values[0].items():
        assert values[1][name].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6), name
    assert any(gradient is not None and gradient.any() for gradient in found[0])
    for expected, gradient in zip(*found, strict=True):
        assert (expected is None) == (gradient is None)
        if expected is not None:
            torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item() + 1e-9)


@pytest.mark.parametrize("updates", ["in_turn", "together"])
def test_a_regulariser_of_the_generator_joins_its_loss_as_the_schedule_says(nets, batch, updates):
    """The gradient with it, minus that without it, is the regulariser's own; poses alone have one."""
    params = PARAMS.train.model_copy(update={"updates": updates, "discriminator_lr": 1e-12})
    found = {}
    for scale in (0.0, 0.5, 1.0):
        now = copy.deepcopy(nets)
        now.generator.generator.motion_penalty = 3.0
        values = take(now, batch, params=params, now=replace(NOW, regulariser=scale))
        assert values["loss/regulariser"] > 0
        found[scale] = {name: weight.grad.clone() for name, weight in now.generator.named_parameters()}
    network = nets.generator.train()
    network.generator.motion_penalty = 3.0
    network(batch.z, batch.token_ids)
    names, weights = zip(*network.named_parameters(), strict=True)
    own = torch.autograd.grad(network.generator.regulariser, weights, allow_unused=True)
    assert {name for name, gradient in zip(names, own, strict=True) if gradient is None} >= {
        "generator.background.last.weight"
    }
    for name, gradient in zip(names, own, strict=True):
        for scale in (0.5, 1.0):
            expected = found[0.0][name] + (0 if gradient is None else scale * gradient)
            torch.testing.assert_close(found[scale][name], expected, rtol=1e-3, atol=1e-6)


def test_networks_learn_from_every_second_frame_of_a_clip_from_one_of_the_first_two(clips):
    """Real and generated clips are shown from the same frame on, and no other frame is drawn."""
    params = tiny_params(discriminator={"frame_stride": 2}).train
    nets, seen, drawn = build_networks(Run(3, PARAMS.clip, params, 20), CPU), [], []
    nets.discriminator.clip_discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    nets.generator.generator.register_forward_pre_hook(
        lambda _, __, named: drawn.append(named["frames"]), with_kwargs=True
    )
    starts = set()
    for step in range(8):
        batch = clips.batch(np.arange(8), nets.generator.z_width, slice(0, 8))
        reseed(3, 0, step)
        train_step(nets, [batch], params, NOW, RNG, penalise=False, average_gradients=lambda _: None)
        real, start = seen[-2], drawn[-1].start
        assert torch.equal(real, to_training(batch.frames[:, start::2]))
        assert seen[-1].shape == real.shape
        assert len(drawn) == step + 1
        starts.add(start)
    assert starts == {0, 1}


def test_of_a_whole_clip_the_discriminator_reads_every_second_frame_from_the_first_on(clips):
    params = tiny_params(discriminator={"frame_stride": 2}).train
    discriminator = build_networks(Run(3, PARAMS.clip, params, 20), CPU).discriminator
    frames = to_training(clips.batch(np.arange(8), 4, slice(0, 8)).frames)
    ids = torch.full((8, 3), 2)
    cond = discriminator.caption_encoder(ids)
    expected = discriminator.clip_discriminator(frames[:, :, ::2], cond)
    torch.testing.assert_close(discriminator(frames, ids), expected)


def test_a_stride_that_does_not_divide_the_clip_is_refused(tree):
    tree["train"]["discriminator"]["frame_stride"] = 3
    with pytest.raises(UserError, match=r"clip\.frames \d+ must be a multiple of train\.discriminator\.frame_stride 3"):
        check_params(tree, "params.yaml")
