"""The seed's generator: batch norm over all processes, memory in order of time, what frames depend on."""

import math

import pytest
import torch
from networks import draw_inputs, stir
from settings import clip_shape
from torch import nn
from training_sets import tiny_params

from pipeline.models.convgru_generator import ConvGru, ConvGruGenerator
from pipeline.models.layers import ConditionalBatchNorm, normalise_weights, synchronise

PARAMS = tiny_params(generator={"kind": "convgru"})
E = PARAMS.train.captions.width


def generator(shape=PARAMS.clip, **changes):
    torch.manual_seed(0)
    model = ConvGruGenerator(shape, PARAMS.train.generator.model_copy(update=changes), E)
    return stir(model, by=0.1)


def inputs(model):
    return draw_inputs(model, E, batch=3)


@pytest.mark.parametrize(("frames", "height", "width"), [(8, 16, 16), (7, 16, 16), (1, 8, 8), (2, 12, 20), (3, 64, 64)])
@pytest.mark.parametrize("simple", [False, True])
def test_frames_have_the_shape_and_range_of_training(frames, height, width, simple):
    options = {"frame_memory": False, "caption_in_blocks": False, "batch_norm": False} if simple else {}
    model = generator(clip_shape(frames, height, width), **options)
    clips = model(*inputs(model))
    assert clips.shape == (3, 3, frames, height, width)
    assert clips.abs().max() <= 1
    assert clips.std() > 0.01


@pytest.mark.parametrize("option", ["frame_memory", "caption_in_blocks", "batch_norm"])
def test_frames_depend_on_every_value_of_noise_and_caption_with_each_part_left_out(option):
    model = generator(**{option: False})
    z, cond = (value.requires_grad_() for value in inputs(model))
    model(z, cond).square().sum().backward()
    assert (z.grad != 0).all()
    assert (cond.grad != 0).all()
    assert all(p.grad is not None for p in model.parameters())


def test_a_frame_remembers_the_frames_before_it_and_none_after():
    torch.manual_seed(0)
    memory, x = ConvGru(4), torch.randn(1, 4, 5, 6, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(memory(x)[:, :, 2].sum(), x)
    assert (gradient != 0).flatten(3).any(dim=3).any(dim=1)[0].tolist() == [True, True, True, False, False]


def test_a_convolutional_gru_of_one_place_is_a_gru():
    """With gates in torch's own layout; torch adds the reset state inside, where it has one more bias."""
    torch.manual_seed(0)
    memory, x = ConvGru(3), torch.randn(2, 3, 6, 1, 1)
    centre = lambda layer: layer.weight[:, :, 0, 1, 1]  # noqa: E731
    state = torch.zeros(2, 3)
    for time, found in enumerate(memory(x).unbind(dim=2)):
        update, reset, new = (x[:, :, time, 0, 0] @ centre(memory.input_conv).T).chunk(3, dim=1)
        more, more_reset = (state @ centre(memory.gate_conv).T).chunk(2, dim=1)
        candidate = torch.tanh(new + (torch.sigmoid(reset + more_reset) * state) @ centre(memory.candidate_conv).T)
        share = torch.sigmoid(update + more)
        state = (1 - share) * state + share * candidate
        torch.testing.assert_close(found[..., 0, 0], state)


def test_batch_norm_is_that_of_torch_under_one_plus_gain():
    torch.manual_seed(0)
    norm, h, code = ConditionalBatchNorm(4, 3), torch.randn(6, 4, 2, 5, 5) * 3 + 1, torch.zeros(6, 2, 3)
    torch.testing.assert_close(norm(h, code), nn.BatchNorm3d(4)(h))
    gain = norm.modulation.gain_and_bias
    nn.init.constant_(gain.bias, 0.5)
    torch.testing.assert_close(norm(h, code), 1.5 * nn.BatchNorm3d(4)(h) + 0.5)


def test_when_sampling_running_moments_take_the_place_of_the_batchs():
    torch.manual_seed(0)
    norm, code = ConditionalBatchNorm(4, 3), torch.zeros(64, 2, 3)
    for _ in range(100):
        norm(torch.randn(64, 4, 2, 3, 3) * 2 + 1, code)
    norm.eval()
    torch.testing.assert_close(
        norm(torch.full((1, 4, 2, 3, 3), 1.0), code[:1]), torch.zeros(1, 4, 2, 3, 3), atol=0.05, rtol=0
    )
    torch.testing.assert_close(
        norm(torch.full((1, 4, 2, 3, 3), 3.0), code[:1]), torch.ones(1, 4, 2, 3, 3), atol=0.05, rtol=0
    )


def test_halves_with_their_moments_averaged_are_normalised_as_the_whole():
    torch.manual_seed(0)
    norm, h, code = ConditionalBatchNorm(4, 3), torch.randn(6, 4, 2, 5, 5), torch.randn(6, 2, 3)
    whole = norm(h, code)
    mean_square = lambda part: torch.stack((part.mean(dim=(0, 2, 3, 4)), part.square().mean(dim=(0, 2, 3, 4))))  # noqa: E731
    both = torch.stack((mean_square(h[:3]), mean_square(h[3:]))).mean(dim=0)
    synchronise(norm, lambda moments: moments - moments.detach() + both)
    torch.testing.assert_close(torch.cat((norm(h[:3], code[:3]), norm(h[3:], code[3:]))), whole)


def test_normalised_weights_have_a_largest_singular_value_of_one_even_where_they_start_at_zero():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Conv3d(2, 3, 1), nn.Linear(4, 4))
    nn.init.zeros_(model[2].weight)
    normalise_weights(model)
    for _ in range(100):
        weights = [layer.weight for layer in model]
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
    assert math.isfinite(weights[2].sum().item())
