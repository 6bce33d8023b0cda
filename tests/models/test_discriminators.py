"""The discriminator: what a logit depends on, and that it can be differentiated twice."""

import pytest
import torch
from penalised import collect_outputs
from settings import clip_shape
from training_sets import tiny_params

from pipeline.losses import PENALTIES, SharedRng
from pipeline.models.discriminators import DISCRIMINATORS, ProjectionDiscriminator, build_discriminator
from pipeline.models.layers import change_colours, opponent_colours
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.params import CONDITION_NAMES

PARAMS = tiny_params()
E = PARAMS.train.captions.width


def discriminator(shape=PARAMS.clip, seed=0):
    """With random weights where it starts with zeros, so that every path counts."""
    torch.manual_seed(seed)
    model = ProjectionDiscriminator(shape, PARAMS.train.discriminator, E)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def inputs(shape=PARAMS.clip, batch=3):
    draw = torch.Generator().manual_seed(7)
    frames = torch.rand(batch, 3, shape.frames, shape.height, shape.width, generator=draw) * 2 - 1
    return frames, torch.randn(batch, E, generator=draw)


def penalise(name, model, real, fake, cond):
    """The sum of a penalty over the clips, as training computes it."""
    rng = SharedRng(len(real), slice(0, len(real)), real.device)
    return PENALTIES[name](collect_outputs(model, cond, real, fake, rng, sigma=0.01)).sum()


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(8, 16, 16), (7, 16, 16), (1, 8, 8), (2, 32, 16), (16, 12, 20), (4, 64, 64)]
)
def test_one_logit_per_clip_of_any_shape(frames, height, width):
    shape = clip_shape(frames, height, width)
    logits = discriminator(shape)(*inputs(shape))
    assert logits.shape == (3,)
    assert logits.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(7, 16), (22, 22), (16, 18)])
def test_a_shape_that_halving_cannot_divide_is_refused(height, width):
    with pytest.raises(ValueError, match=rf"clip\.height {height} and clip\.width {width}"):
        discriminator(clip_shape(4, height, width))


def test_a_logit_depends_on_its_own_clip_and_caption_only():
    """A penalty on one clip would else be one on others."""
    model, (frames, cond) = discriminator(), inputs()
    frames.requires_grad_(), cond.requires_grad_()
    gradients = torch.autograd.grad(model(frames, cond)[1], (frames, cond))
    for gradient in gradients:
        assert (gradient.flatten(1) != 0).any(dim=1).tolist() == [False, True, False]


def test_every_pixel_of_every_frame_counts():
    model, (frames, cond) = discriminator(), inputs()
    (gradient,) = torch.autograd.grad(model(frames.requires_grad_(), cond).sum(), frames)
    assert (gradient != 0).all()


def test_a_false_colour_changes_a_logit_twice_as_much_as_the_same_error_in_lightness():
    model, (frames, cond) = discriminator(clip_shape(8, 32, 32)), inputs(clip_shape(8, 32, 32), batch=32)
    (gradient,) = torch.autograd.grad(model(frames.requires_grad_(), cond).sum(), frames)
    slopes = change_colours(gradient, opponent_colours(1.0, 1.0).T).square().mean(dim=(0, 2, 3, 4)).sqrt()
    assert slopes[1:].mean() / slopes[0] == pytest.approx(2, rel=0.3)


def test_a_logit_knows_the_direction_of_time():
    model, (frames, cond) = discriminator(), inputs()
    assert (model(frames, cond) - model(frames.flip(2), cond)).abs().min() > 1e-3


def test_describing_and_scoring_is_the_forward_pass():
    model, (frames, cond) = discriminator(), inputs()
    assert torch.equal(model.score(model.extract_features(frames), cond), model(frames, cond))


def test_the_projection_is_linear_in_the_caption():
    model, (frames, cond) = discriminator(), inputs()
    features = model.extract_features(frames)
    bare = model.score(features, torch.zeros_like(cond))
    fit = model.score(features, cond) - bare
    torch.testing.assert_close(model.score(features, -3 * cond) - bare, -3 * fit, atol=1e-4, rtol=1e-4)
    assert (fit.abs() > 1e-4).all()


def test_a_captioned_discriminator_is_its_two_parts_in_a_row():
    torch.manual_seed(0)
    model = CaptionedDiscriminator(PARAMS.clip, PARAMS.train, words=12)
    frames, ids = inputs()[0], torch.tensor([[2, 3, 4], [5, 6, 0], [7, 0, 0]])
    assert torch.equal(model(frames, ids), model.clip_discriminator(frames, model.caption_encoder(ids)))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_trains_every_weight_that_shapes_the_slope(name):
    """All but the biases that add a constant to the logit have a second derivative; so has the caption."""
    model, (frames, cond) = discriminator(), inputs()
    cond.requires_grad_()
    penalise(name, model, frames, frames.flip(0), cond).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert [n for n in without if not n.endswith("bias")] == []
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert (cond.grad != 0).any(dim=1).all()


def test_slopes_of_r1_agree_with_finite_differences():
    """In float64, along a random direction in the space of all weights."""
    model = discriminator().double()
    frames, cond = (value.double() for value in inputs())
    weights = dict(model.named_parameters())
    torch.manual_seed(9)
    direction = {name: torch.randn_like(weight) for name, weight in weights.items()}

    def penalty(step):
        moved = {name: weight.detach() + step * direction[name] for name, weight in weights.items()}
        call = lambda frames, cond: torch.func.functional_call(model, moved, (frames, cond))  # noqa: E731
        return penalise("r1", call, frames, frames, cond).item()

    penalise("r1", model, frames, frames, cond).backward()
    gradient = sum((w.grad * direction[n]).sum().item() for n, w in weights.items() if w.grad is not None)
    step = 1e-9  # small, since a gradient jumps where a rectifier has its knee
    assert (penalty(step) - penalty(-step)) / (2 * step) == pytest.approx(gradient, rel=1e-3)


OPTIONS = [
    {"condition": "stacked"},
    {"time": "head"},
    {"frames": 3},
    {"condition": "stacked", "time": "head", "frames": 8},
]


def built(group=1, **options):
    torch.manual_seed(0)
    params = PARAMS.train.discriminator.model_copy(update=options)
    model = build_discriminator(PARAMS.clip, params, E, group)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def test_every_condition_in_params_is_registered():
    assert set(DISCRIMINATORS) == set(CONDITION_NAMES)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_whatever_the_parts_a_logit_is_of_its_own_clip_and_caption(options):
    model, (frames, cond) = built(**options), inputs()
    gradients = torch.autograd.grad(model(frames.requires_grad_(), cond.requires_grad_())[1], (frames, cond))
    for gradient in gradients:
        assert (gradient.flatten(1) != 0).any(dim=1).tolist() == [False, True, False]
    assert model.extract_features(frames).shape == (3, model.feature_width)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_whatever_the_parts_the_order_of_frames_and_the_caption_count(options):
    model, (frames, cond) = built(**options), inputs()
    assert (model(frames, cond) - model(frames.flip(2), cond)).abs().min() > 1e-4
    assert (model(frames, cond) - model(frames, cond.flip(0))).abs()[[0, 2]].min() > 1e-4


@pytest.mark.parametrize("options", [*OPTIONS, {"spectral_norm": True}], ids=str)
@pytest.mark.parametrize("name", ["r1", "zero_gp", "r1_fd"])
def test_whatever_the_parts_penalties_can_be_taken(options, name):
    model, (frames, cond) = built(**options), inputs()
    penalise(name, model, frames, frames.flip(0), cond).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert any((p.grad != 0).any() for p in model.parameters() if p.grad is not None)


def test_spectral_norm_bounds_each_layer_to_a_slope_of_one():
    """Of convolutions that are rectified, too, whose weights otherwise carry a gain."""
    model, (frames, cond) = built(spectral_norm=True, time="head"), inputs()
    for _ in range(50):  # each pass in training mode is a step of the power iteration
        model(frames, cond)
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv3d | torch.nn.Linear)]
    factors = [getattr(layer, "gain", 1) for layer in layers]
    norms = [
        factor * torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        for factor, layer in zip(factors, layers, strict=True)
    ]
    torch.testing.assert_close(torch.stack(norms), torch.ones(len(norms)), rtol=1e-3, atol=0)


def test_single_frames_add_their_mean_logit_each_under_its_own_clips_caption():
    model, (frames, cond) = built(frames=4), inputs()
    singles = [model.frames(frames[:, :, [time]], cond) for time in (0, 2, 4, 6)]
    expected = model.clips(frames, cond) + torch.stack(singles).mean(dim=0)
    torch.testing.assert_close(model(frames, cond), expected)


@pytest.mark.parametrize("options", [{}, {"frames": 3}], ids=str)
def test_for_groups_permuting_the_clips_of_one_permutes_their_logits(options):
    model, (frames, cond) = built(group=4, **options), inputs(batch=8)
    order = torch.tensor([2, 0, 3, 1, 4, 7, 6, 5])
    torch.testing.assert_close(model(frames[order], cond[order]), model(frames, cond)[order])
