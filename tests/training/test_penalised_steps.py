"""Steps with penalties: how often, at which clips and how strongly they count."""

import pytest
import torch
from training_sets import tiny_params
from training_steps import NOW, PARAMS, context, take

from pipeline.data.dataset import to_training
from pipeline.data.sampler import reseed
from pipeline.errors import UserError
from pipeline.losses import PENALTIES
from pipeline.training import objectives
from pipeline.training.objectives import discriminator_loss


def test_every_kth_step_is_penalised_k_times(nets, batch, monkeypatch):
    """What is logged is the mean contribution over all steps, of which k - 1 have none."""
    losses = []
    add = objectives.add_penalties

    def record(loss, *rest):
        losses.extend((loss, add(loss, *rest)))
        return losses[-1]

    monkeypatch.setattr(objectives, "add_penalties", record)
    values = take(nets, batch)
    without, (whole, _) = losses
    penalties = NOW.gamma_scale * (0.5 * values["penalty/r1"] + 0.25 * values["penalty/r2"])
    torch.testing.assert_close(whole - without, PARAMS.train.penalty_every * penalties, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(values["loss/penalties"], penalties)


def test_steps_between_compute_no_penalty(nets, batch, monkeypatch):
    monkeypatch.setattr(objectives, "find_penalty", lambda name: pytest.fail(name))
    assert not any("penal" in name for name in take(nets, batch, penalise=False))


@pytest.mark.parametrize("names", [("r1", "r2"), ("r1", "zero_gp"), ("r1_fd", "r2_fd"), ("r2", "wgan_gp")])
def test_penalties_at_every_kth_clip_are_those_of_these_clips(nets, batch, names):
    """And nothing else of the loss is changed by them."""
    real = to_training(batch.frames)
    fake = nets.generator(batch.z, batch.token_ids).detach()
    params = PARAMS.train.model_copy(update={"penalty_shrink": 4, "penalty_sigma": 0.1})
    gammas = dict.fromkeys(names, 1.0)

    def compute(shrink):
        reseed(3, 1, 0)
        now = context(params.model_copy(update={"penalty_shrink": shrink}), **gammas)
        outputs = []
        keep = {name: (lambda out, name=name: outputs.append((name, out)) or PENALTIES[name](out)) for name in names}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objectives, "find_penalty", keep.__getitem__)
            loss, values = discriminator_loss(nets.discriminator, real, fake, batch, now)
        reseed(4, 1, 0)
        return loss, values, {name: PENALTIES[name](out) for name, out in outputs}

    (_, of_all, gradients), (_, of_some, of_rows) = compute(1), compute(4)
    for name in of_all.keys() - {"loss/penalties"} - {f"penalty/{name}" for name in names}:
        torch.testing.assert_close(of_some[name], of_all[name], msg=name)
    for name in names:
        torch.testing.assert_close(of_rows[name], gradients[name][::4], rtol=1e-3, atol=1e-5, msg=name)
        assert of_some[f"penalty/{name}"] > 0


def test_the_discriminator_learns_from_penalties_at_every_kth_clip(nets, batch):
    """Of the loss, its gradient in the weights is that without penalties, and that of their mean over these clips."""
    real = to_training(batch.frames)
    fake = nets.generator(batch.z, batch.token_ids).detach()
    learning = [weight for weight in nets.discriminator.parameters() if weight.requires_grad]

    def learn(params, **gammas):
        loss, _ = discriminator_loss(nets.discriminator, real, fake, batch, context(params, **gammas))
        return torch.autograd.grad(loss, learning)

    shrunk = learn(PARAMS.train.model_copy(update={"penalty_shrink": 2}), r1=5.0)
    some = real[::2].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nets.discriminator(some, batch.token_ids[::2]).sum(), some, create_graph=True)
    penalty = 5.0 * gradient.square().flatten(1).sum(1).mean() / 2
    of_penalty = torch.autograd.grad(penalty, learning, allow_unused=True)
    for got, plain, more in zip(shrunk, learn(PARAMS.train), of_penalty, strict=True):
        wanted = plain if more is None else plain + more
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()) + 1e-7)
    assert max(float(more.abs().max()) for more in of_penalty if more is not None) > 1e-3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"penalty_shrink": 3}, "train.batch_clips 8 must be a multiple of train.penalty_shrink 3"),
        ({"penalty_shrink": 2, "updates": "together"}, "needs updates in_turn"),
        ({"penalty_shrink": 2, "mixed": {"loss": "bgan"}}, "mixed.loss none"),
    ],
)
def test_clips_to_penalise_that_cannot_be_chosen_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        tiny_params(**changes)
