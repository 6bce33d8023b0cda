"""Penalties on discriminators whose slope is known: a linear one has it everywhere, a quadratic one at every point."""

from typing import get_args

import pytest
import torch

from pipeline.losses.penalties import PENALTIES, between, squared_slope
from pipeline.params import PenaltyName

B, SHAPE = 3, (2, 4, 3, 5)  # C,T,H,W
DOUBLE = torch.float64


def linear_discriminator(weight):
    """A discriminator whose slope is known: D(x) = <w, x>, so |dD/dx|^2 = |w|^2."""
    return lambda frames, cond: (frames * weight).flatten(1).sum(1)  # noqa: ARG005


def quadratic_discriminator(weight):
    """D(x) = <w, x*x> / 2, so dD/dx = w * x."""
    return lambda frames, cond: (frames.square() * weight).flatten(1).sum(1) / 2  # noqa: ARG005


@pytest.fixture
def clips():
    """(real, fake, cond), float64."""
    draw = torch.Generator().manual_seed(3)
    return tuple(torch.randn(B, *shape, generator=draw, dtype=DOUBLE) for shape in (SHAPE, SHAPE, (4,)))


@pytest.fixture
def weight():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(4), dtype=DOUBLE).requires_grad_()


def squares(tensor):
    return tensor.square().flatten(1).sum(1)


def test_every_penalty_in_params_is_registered():
    assert set(PENALTIES) == set(get_args(PenaltyName))


def test_slope_of_linear_discriminator_is_its_weight(clips, weight):
    real, _, cond = clips
    found = squared_slope(linear_discriminator(weight), real, cond)
    torch.testing.assert_close(found, weight.square().sum().expand(B))


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("r1", lambda w: w.square().sum() / 2),
        ("r2", lambda w: w.square().sum() / 2),
        ("zero_gp", lambda w: w.square().sum()),
        ("wgan_gp", lambda w: (w.square().sum().sqrt() - 1).square()),
    ],
)
def test_penalties_of_linear_discriminator_and_their_slopes_have_a_closed_form(clips, weight, name, closed_form):
    penalty = PENALTIES[name](linear_discriminator(weight), *clips)
    torch.testing.assert_close(penalty, closed_form(weight).expand(B))
    found = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(found, torch.autograd.grad(closed_form(weight), weight))


def test_r1_is_taken_at_the_real_and_r2_at_the_generated_clip(clips, weight):
    real, fake, _ = clips
    discriminator = quadratic_discriminator(weight)
    torch.testing.assert_close(PENALTIES["r1"](discriminator, *clips), squares(weight * real) / 2)
    torch.testing.assert_close(PENALTIES["r2"](discriminator, *clips), squares(weight * fake) / 2)


def test_zero_gp_and_wgan_gp_are_taken_at_one_point_between_real_and_fake(clips, weight):
    real, fake, _ = clips
    discriminator = quadratic_discriminator(weight)
    for name, of_slope in (("zero_gp", lambda s: s), ("wgan_gp", lambda s: (s.sqrt() - 1).square())):
        torch.manual_seed(5)
        point = between(real, fake)
        torch.manual_seed(5)
        torch.testing.assert_close(PENALTIES[name](discriminator, *clips), of_slope(squares(weight * point)))


def test_points_between_lie_on_the_line_anywhere_each_clip_at_its_own():
    real, fake = torch.zeros(2000, *SHAPE), torch.ones(2000, *SHAPE)
    points = between(real, fake).flatten(1)
    assert (points == points[:, :1]).all()
    share = points[:, 0]
    assert share.min() >= 0
    assert share.max() <= 1
    histogram = torch.histc(share, 4, 0, 1)
    assert (histogram - 500).abs().max() < 100  # five standard deviations


@pytest.mark.parametrize("name", PENALTIES)
def test_the_caption_reaches_the_discriminator(clips, name):
    real, fake, cond = clips
    penalty = PENALTIES[name](lambda frames, cond: frames.flatten(1).sum(1) * cond[:, 0], real, fake, cond)
    slope = cond[:, 0].square() * real[0].numel()
    expected = {"r1": slope / 2, "r2": slope / 2, "zero_gp": slope, "wgan_gp": (slope.sqrt() - 1).square()}
    torch.testing.assert_close(penalty, expected[name])


@pytest.mark.parametrize("name", PENALTIES)
def test_slopes_of_penalties_agree_with_finite_differences(clips, weight, name):
    """Through the weights and the caption of a discriminator that is not linear in anything."""

    def penalty(weight, cond):
        def discriminator(frames, cond):
            return torch.tanh((frames * weight).flatten(1).sum(1) / 4) * cond.square().sum(1)

        torch.manual_seed(6)
        return PENALTIES[name](discriminator, clips[0], clips[1], cond)

    assert torch.autograd.gradcheck(penalty, (weight, clips[2].clone().requires_grad_()))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_leaves_no_gradient_in_the_clips(clips, weight, name):
    real, fake, cond = clips
    real.requires_grad_(), fake.requires_grad_()
    PENALTIES[name](quadratic_discriminator(weight), real, fake, cond).sum().backward()
    assert (real.grad, fake.grad) == (None, None)
    assert weight.grad is not None


def test_wgan_gp_of_a_flat_discriminator_is_one_with_a_finite_slope(clips):
    weight = torch.zeros(SHAPE, dtype=DOUBLE, requires_grad=True)
    penalty = PENALTIES["wgan_gp"](linear_discriminator(weight), *clips)
    torch.testing.assert_close(penalty, torch.ones(B, dtype=DOUBLE), atol=1e-5, rtol=0)
    assert torch.autograd.grad(penalty.sum(), weight)[0].isfinite().all()


def test_a_saturated_probability_does_not_weaken_the_penalty(clips, weight):
    """The penalty acts on the logit: a constant added to it changes nothing."""
    far = lambda frames, cond: linear_discriminator(weight)(frames, cond) + 50.0  # noqa: E731
    torch.testing.assert_close(
        PENALTIES["r1"](far, *clips), PENALTIES["r1"](linear_discriminator(weight), *clips), rtol=0, atol=1e-12
    )
