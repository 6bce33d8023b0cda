"""Penalties on discriminators whose gradient is known: linear ones, where it is constant, and quadratic ones."""

import pytest
import torch
from penalised import collect_outputs

from pipeline.losses import PENALTIES, DiscriminatorOutputs, SharedRng, interpolate, perturb_clips
from pipeline.params import PENALTY_NAMES

B, SHAPE = 3, (2, 4, 3, 5)  # C,T,H,W
DOUBLE = torch.float64
SIGMA = 1e-3
CPU = torch.device("cpu")
RNG = SharedRng(B, slice(0, B), CPU)


def linear_discriminator(weight):
    """A discriminator whose gradient is known: D(x) = <w, x>, so |dD/dx|^2 = |w|^2."""
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


def penalty_of(name, discriminator, clips, seed=6, sigma=SIGMA, rng=RNG):
    torch.manual_seed(seed)
    real, fake, cond = clips
    return PENALTIES[name](collect_outputs(discriminator, cond, real, fake, rng, sigma))


def drawn(seed=6):
    """The noise that a penalty by finite differences draws after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    return torch.randn(B, *SHAPE).to(DOUBLE)


def squares(tensor):
    return tensor.square().flatten(1).sum(1)


def test_every_penalty_in_params_is_registered():
    assert set(PENALTIES) == set(PENALTY_NAMES)


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("r1", lambda w: w.square().sum() / 2),
        ("r2", lambda w: w.square().sum() / 2),
        ("zero_gp", lambda w: w.square().sum()),
        ("wgan_gp", lambda w: (w.square().sum().sqrt() - 1).square()),
        ("r1_fd", lambda w: (w * drawn()).flatten(1).sum(1).square() / 2),
        ("r2_fd", lambda w: (w * drawn()).flatten(1).sum(1).square() / 2),
    ],
)
def test_penalties_of_linear_discriminator_and_their_slopes_have_a_closed_form(clips, weight, name, closed_form):
    penalty = penalty_of(name, linear_discriminator(weight), clips)
    torch.testing.assert_close(penalty, closed_form(weight).expand(B))
    found = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(found, torch.autograd.grad(closed_form(weight).mean(), weight))


def test_r1_is_taken_at_the_real_and_r2_at_the_generated_clip(clips, weight):
    real, fake, _ = clips
    discriminator = quadratic_discriminator(weight)
    torch.testing.assert_close(penalty_of("r1", discriminator, clips), squares(weight * real) / 2)
    torch.testing.assert_close(penalty_of("r2", discriminator, clips), squares(weight * fake) / 2)


@pytest.mark.parametrize("sigma", [1.0, 0.01])
def test_finite_differences_of_a_quadratic_have_a_closed_form_at_any_sigma(clips, weight, sigma):
    """D(x + s n) - D(x) = s <w x, n> + s^2 <w, n n> / 2, at the real clips for r1_fd and the generated for r2_fd."""
    for name, at in (("r1_fd", clips[0]), ("r2_fd", clips[1])):
        noise = drawn()
        change = (weight * at * noise).flatten(1).sum(1) + sigma * (weight * noise.square()).flatten(1).sum(1) / 2
        found = penalty_of(name, quadratic_discriminator(weight), clips, sigma=sigma)
        torch.testing.assert_close(found, change.square() / 2)


def test_finite_differences_tend_to_the_slope_in_the_mean_over_the_noise(clips, weight):
    """The square of one draw is spread like chi^2: 20,000 draws know its mean to one part in a hundred."""
    discriminator, many = quadratic_discriminator(weight.detach()), 20_000
    real = clips[0][:1].expand(many, *SHAPE)
    torch.manual_seed(1)
    outputs = collect_outputs(discriminator, None, real, real, SharedRng(many, slice(0, many), CPU), 1e-4)
    expected = (squares(weight * real[:1]) / 2).item()
    assert PENALTIES["r1_fd"](outputs).mean().item() == pytest.approx(expected, rel=0.05)


def test_finite_differences_need_no_second_derivative(clips, weight):
    """A discriminator whose backward pass cannot be differentiated, as that of many fast kernels, can be penalised."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(_, frames, weight):
            return (frames * weight).flatten(1).sum(1)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(_, grad):
            return None, grad.sum().expand(SHAPE)

    real, _, cond = clips
    perturbed = Once.apply(perturb_clips(real, RNG, SIGMA), weight)
    outputs = DiscriminatorOutputs(
        None, cond, real, None, Once.apply(real, weight), None, RNG, SIGMA, perturbed_real_logits=perturbed
    )
    PENALTIES["r1_fd"](outputs).sum().backward()
    assert weight.grad is not None


def test_zero_gp_and_wgan_gp_are_taken_at_one_point_between_real_and_fake(clips, weight):
    real, fake, _ = clips
    discriminator = quadratic_discriminator(weight)
    for name, of_slope in (("zero_gp", lambda s: s), ("wgan_gp", lambda s: (s.sqrt() - 1).square())):
        torch.manual_seed(5)
        point = interpolate(real, fake, RNG)
        found = penalty_of(name, discriminator, clips, seed=5)
        torch.testing.assert_close(found, of_slope(squares(weight * point)))


def test_points_between_lie_on_the_line_anywhere_each_clip_at_its_own():
    real, fake = torch.zeros(2000, *SHAPE), torch.ones(2000, *SHAPE)
    points = interpolate(real, fake, SharedRng(2000, slice(0, 2000), CPU)).flatten(1)
    assert (points == points[:, :1]).all()
    share = points[:, 0]
    assert share.min() >= 0
    assert share.max() <= 1
    histogram = torch.histc(share, 4, 0, 1)
    assert (histogram - 500).abs().max() < 100  # five standard deviations


@pytest.mark.parametrize("name", PENALTIES)
def test_processes_that_share_a_batch_draw_what_one_process_would(clips, weight, name):
    whole = penalty_of(name, quadratic_discriminator(weight), clips)
    for row in range(B):
        share = slice(row, row + 1)
        some = tuple(part[share] for part in clips)
        part = penalty_of(name, quadratic_discriminator(weight), some, rng=SharedRng(B, share, CPU))
        torch.testing.assert_close(part, whole[share])


@pytest.mark.parametrize("name", ["r1", "r2", "zero_gp", "wgan_gp"])
def test_the_caption_reaches_the_discriminator(clips, name):
    real, fake, cond = clips
    penalty = penalty_of(name, lambda frames, cond: frames.flatten(1).sum(1) * cond[:, 0], (real, fake, cond))
    gradient = cond[:, 0].square() * real[0].numel()
    expected = {"r1": gradient / 2, "r2": gradient / 2, "zero_gp": gradient, "wgan_gp": (gradient.sqrt() - 1).square()}
    torch.testing.assert_close(penalty, expected[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", PENALTIES)
def test_slopes_of_penalties_agree_with_finite_differences(clips, weight, name):
    """Through the weights and the caption of a discriminator that is not linear in anything."""

    def penalty(weight, cond):
        def discriminator(frames, cond):
            return torch.tanh((frames * weight).flatten(1).sum(1) / 4) * cond.square().sum(1)

        return penalty_of(name, discriminator, (clips[0], clips[1], cond))

    assert torch.autograd.gradcheck(penalty, (weight, clips[2].clone().requires_grad_()))


def test_wgan_gp_of_a_flat_discriminator_is_one_with_a_finite_slope(clips):
    weight = torch.zeros(SHAPE, dtype=DOUBLE, requires_grad=True)
    penalty = penalty_of("wgan_gp", linear_discriminator(weight), clips)
    torch.testing.assert_close(penalty, torch.ones(B, dtype=DOUBLE), atol=1e-5, rtol=0)
    assert torch.autograd.grad(penalty.sum(), weight)[0].isfinite().all()


@pytest.mark.parametrize("name", PENALTIES)
def test_a_saturated_probability_does_not_weaken_the_penalty(clips, weight, name):
    """The penalty acts on the logit: a constant added to it changes nothing."""
    far = lambda frames, cond: linear_discriminator(weight)(frames, cond) + 50.0  # noqa: E731
    near = penalty_of(name, linear_discriminator(weight), clips)
    torch.testing.assert_close(penalty_of(name, far, clips), near, rtol=1e-9, atol=1e-9)
