"""Matching-aware losses: the formulas of the papers at known logits, and what a mismatch that is none does."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from pipeline.losses import ADVERSARIAL, MATCHING
from pipeline.params import MATCHING_NAMES

LOG2 = math.log(2)
DRAW = torch.Generator().manual_seed(5)
REAL, FAKE, OTHER = torch.randn(3, 20, generator=DRAW, dtype=torch.float64)


def matching(name, weight, adversarial="nonsaturating", logits=(REAL, FAKE, OTHER)):
    """The discriminator's whole loss with the same weight for every clip."""
    return MATCHING[name](ADVERSARIAL[adversarial].discriminator, *logits, torch.full_like(logits[0], weight))


def test_every_matching_loss_in_params_is_registered():
    assert set(MATCHING) == set(MATCHING_NAMES)


def test_reed_is_the_formula_of_the_paper():
    expected = softplus(-REAL) + (softplus(OTHER) + softplus(FAKE)) / 2
    torch.testing.assert_close(matching("reed", 1.0), expected)


def test_thirds_is_a_third_of_each_term():
    torch.testing.assert_close(matching("thirds", 1.0), (softplus(-REAL) + softplus(OTHER) + softplus(FAKE)) / 3)


@pytest.mark.parametrize("adversarial", ADVERSARIAL)
def test_relativistic_adds_its_weighted_term_to_any_adversarial_loss(adversarial):
    alone = ADVERSARIAL[adversarial].discriminator(REAL, FAKE)
    torch.testing.assert_close(matching("relativistic", 0.7, adversarial) - alone, 0.7 * softplus(OTHER - REAL))


@pytest.mark.parametrize("adversarial", ADVERSARIAL)
def test_reed_takes_the_mean_over_both_negatives_of_any_adversarial_loss(adversarial):
    loss = ADVERSARIAL[adversarial].discriminator
    torch.testing.assert_close(matching("reed", 1.0, adversarial), (loss(REAL, FAKE) + loss(REAL, OTHER)) / 2)


@pytest.mark.parametrize(("name", "at_zero"), [("relativistic", 3 * LOG2), ("reed", 2 * LOG2), ("thirds", LOG2)])
def test_a_discriminator_that_knows_nothing_pays_logs_of_two(name, at_zero):
    zero = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(matching(name, 1.0, logits=(zero, zero, zero)), torch.full_like(zero, at_zero))


@pytest.mark.parametrize("name", MATCHING)
def test_a_mismatch_of_weight_zero_teaches_nothing_and_the_others_as_before(name):
    weight = torch.ones_like(REAL)
    weight[3] = 0
    other = OTHER.clone().requires_grad_()
    losses = MATCHING[name](ADVERSARIAL["nonsaturating"].discriminator, REAL, FAKE, other, weight)
    (gradient,) = torch.autograd.grad(losses.sum(), other)
    assert ((gradient == 0).nonzero().flatten().tolist(), bool((gradient >= 0).all())) == ([3], True)
    alone = ADVERSARIAL["nonsaturating"].discriminator(REAL, FAKE)[3]
    torch.testing.assert_close(losses[3], alone / 2 if name == "thirds" else alone)


@pytest.mark.parametrize("name", MATCHING)
def test_own_captions_are_pushed_up_and_others_down_and_far_logits_stay_finite(name):
    for size in (0.0, 10_000.0):
        real, other = torch.full((2, 3), -size).requires_grad_(), torch.full((2, 3), size).requires_grad_()
        losses = MATCHING[name](ADVERSARIAL["nonsaturating"].discriminator, real, -real, other, torch.ones(2, 3))
        up, down = torch.autograd.grad(losses.sum(), (real, other))
        assert losses.isfinite().all()
        assert (up < 0).all()
        assert (down > 0).all()
