"""Adversarial losses at logits where their value is known, and far out where a careless one overflows."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from pipeline.losses import ADVERSARIAL
from pipeline.params import ADVERSARIAL_NAMES

LOG2 = math.log(2)


def at(name, real, fake):
    """(discriminator's loss, generator's loss) for one pair of logits."""
    loss = ADVERSARIAL[name]
    pair = torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64)
    return loss.discriminator(*pair).item(), loss.generator(*pair).item()


def test_every_adversarial_loss_in_params_is_registered():
    assert set(ADVERSARIAL) == set(ADVERSARIAL_NAMES)


@pytest.mark.parametrize(
    ("name", "real", "fake", "expected"),
    [
        ("nonsaturating", 0.0, 0.0, (2 * LOG2, LOG2)),
        ("nonsaturating", 2.0, -1.0, (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)), math.log1p(math.exp(1)))),
        ("hinge", 0.0, 0.0, (2.0, 0.0)),
        ("hinge", 3.0, -0.25, (0.75, 0.25)),
        ("hinge", 3.0, -3.0, (0.0, 3.0)),
        ("wasserstein", 3.0, -0.5, (-3.5, 0.5)),
        ("relativistic", 1.5, 1.5, (LOG2, LOG2)),
        ("relativistic", 2.0, -1.0, (math.log1p(math.exp(-3)), math.log1p(math.exp(3)))),
    ],
)
def test_losses_at_known_logits(name, real, fake, expected):
    assert at(name, real, fake) == pytest.approx(expected, abs=1e-12)


def test_nonsaturating_is_minus_the_log_of_the_probabilities():
    real, fake = torch.randn(2, 50, dtype=torch.float64)
    loss = ADVERSARIAL["nonsaturating"]
    torch.testing.assert_close(loss.discriminator(real, fake), -logsigmoid(real) - torch.log(1 - torch.sigmoid(fake)))
    torch.testing.assert_close(loss.generator(real, fake), -logsigmoid(fake))


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("size", [100.0, 10_000.0])
def test_losses_and_their_slopes_stay_finite_at_extreme_logits(name, size):
    for sign in (-1.0, 1.0):
        real = torch.tensor([sign * size, -sign * size], requires_grad=True)
        fake = torch.tensor([-sign * size, -sign * size], requires_grad=True)
        for loss in ADVERSARIAL[name][:2]:
            values = loss(real, fake)
            gradients = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True)
            assert values.isfinite().all()
            assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_generator_wants_higher_and_the_discriminator_lower_logits_of_fakes(name):
    real, fake = torch.tensor([0.3, -0.5]), torch.tensor([-0.2, 0.4], requires_grad=True)
    loss = ADVERSARIAL[name]
    assert (torch.autograd.grad(loss.generator(real, fake).sum(), fake)[0] < 0).all()
    assert (torch.autograd.grad(loss.discriminator(real, fake).sum(), fake)[0] > 0).all()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_discriminator_wants_higher_logits_of_reals(name):
    real, fake = torch.tensor([0.3, -0.5], requires_grad=True), torch.tensor([-0.2, 0.4])
    assert (torch.autograd.grad(ADVERSARIAL[name].discriminator(real, fake).sum(), real)[0] < 0).all()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_losses_are_per_clip(name):
    real, fake = torch.randn(2, 6)
    for loss in ADVERSARIAL[name][:2]:
        alone = torch.cat([loss(real[[row]], fake[[row]]) for row in range(6)])
        torch.testing.assert_close(loss(real, fake), alone)


def test_the_relativistic_loss_sees_only_the_difference():
    real, fake = torch.randn(2, 20, dtype=torch.float64)
    for loss in ADVERSARIAL["relativistic"][:2]:
        torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))
