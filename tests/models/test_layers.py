"""Blocks against what is known of them: inverses, means, strides, what they start as."""

import pytest
import torch

from pipeline.models.layers import (
    GAIN,
    ResidualBlock,
    activate,
    change_colours,
    channels_last,
    conv,
    downsample,
    fold,
    linear,
    opponent_colours,
    unfold,
    upsample,
)

LAST = torch.channels_last_3d


@pytest.mark.parametrize("time", [1, 2])
def test_channels_become_frames_in_order(time):
    x = torch.randn(2, 3 * time, 4, 5, 6)
    spread = unfold(x, (time, 1, 1))
    assert spread.shape == (2, 3, 4 * time, 5, 6)
    for frame in range(4 * time):
        assert torch.equal(spread[:, :, frame], x[:, (frame % time) * 3 : (frame % time + 1) * 3, frame // time])


def test_spreading_over_time_keeps_channels_last_strides():
    x = torch.randn(2, 4, 4, 8, 8).contiguous(memory_format=LAST)
    assert unfold(x, (2, 1, 1)).is_contiguous(memory_format=LAST)


def test_patches_are_taken_apart_and_put_together_again():
    frames = torch.randn(2, 3, 4, 8, 16)
    for patch in ((1, 1, 1), (2, 4, 4), (4, 2, 2)):
        folded = fold(frames, patch)
        assert folded.shape == (2, 3 * patch[0] * patch[1] * patch[2], 4 // patch[0], 8 // patch[1], 16 // patch[2])
        torch.testing.assert_close(unfold(folded, patch), frames)
    corner = fold(frames, (2, 4, 4))[0, :, 0, 0, 0]
    torch.testing.assert_close(corner, frames[0, :, :2, :4, :4].permute(1, 2, 3, 0).flatten())


def test_upsampling_repeats_pixels_and_downsampling_is_its_inverse():
    x = torch.randn(2, 3, 4, 2, 3)
    large = upsample(x)
    assert torch.equal(large, x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4))
    torch.testing.assert_close(downsample(large, time=False), x)


def test_downsampling_in_time_takes_the_mean_of_two_frames():
    x = torch.randn(2, 3, 4, 4, 6)
    expected = x.unflatten(2, (2, 2)).unflatten(4, (2, 2)).unflatten(6, (3, 2)).mean(dim=(3, 5, 7))
    torch.testing.assert_close(downsample(x, time=True), expected)


def test_a_residual_block_starts_as_the_identity_and_leaves_its_input_alone():
    block, x, code = ResidualBlock(4, code=3), torch.randn(2, 4, 3, 5, 5), torch.randn(2, 3, 3)
    before = x.clone()
    assert torch.equal(block(x, code), before)
    assert torch.equal(x, before)


def test_a_modulated_block_uses_the_code_of_each_frame_for_that_frame():
    block, x, code = ResidualBlock(4, code=3, temporal=False), torch.randn(1, 4, 3, 5, 5), torch.randn(1, 3, 3)
    torch.nn.init.normal_(block.time.weight)
    other = code.clone()
    other[0, 1] += 1
    changed = (block(x, code) != block(x, other)).flatten(3).any(dim=3).any(dim=1)[0]
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize(("time", "size"), [(1, 1), (1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("rectified", [False, True])
def test_every_convolution_is_the_three_dimensional_one(time, size, rectified):
    """Values, gradients and gradients of gradients; a rectified one weighs its input with the rectifier's gain."""
    torch.manual_seed(4)
    layer = conv(3, 5, (time, size, size), rectified=rectified).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 4, 6, 5, dtype=torch.float64).contiguous(memory_format=LAST).requires_grad_()
    weight = layer.weight * (GAIN if rectified else 1.0)
    expected = torch.nn.functional.conv3d(x, weight, layer.bias, padding=(time // 2, size // 2, size // 2))
    found = layer(x)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(y.sin().sum(), x, create_graph=True)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(
        *(torch.autograd.grad(s.square().sum(), (x, layer.weight), retain_graph=True) for s in gradients)
    )


def test_strides_of_channels_last_come_through_a_block_and_back():
    """A gradient laid out otherwise would have to be reordered before every convolution."""
    block, seen = ResidualBlock(8), []
    x = torch.randn(2, 8, 4, 6, 6).contiguous(memory_format=LAST).requires_grad_()
    y = downsample(block(x), time=True)
    y.register_hook(seen.append)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert all(values.is_contiguous(memory_format=LAST) for values in (y, gradient, *seen))


def test_the_rectifier_keeps_the_mean_square_of_normal_values():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    assert activate(x).square().mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(torch.sign(activate(x)), torch.sign(x))


@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 3, 3), (3, 1, 1)])
def test_convolutions_keep_the_shape_and_the_variance(kernel):
    torch.manual_seed(2)
    x = torch.randn(4, 32, 9, 9, 9)
    y = conv(32, 64, kernel)(x)
    assert y.shape == (4, 64, 9, 9, 9)
    assert y[..., 1:-1, 1:-1, 1:-1].var().item() == pytest.approx(1, rel=0.15)


def test_linear_layers_keep_the_variance_by_their_scale():
    torch.manual_seed(2)
    assert linear(256, 256, scale=0.5)(torch.randn(500, 256)).var().item() == pytest.approx(0.25, rel=0.1)


def test_channels_last_changes_strides_and_no_value():
    block = ResidualBlock(4)
    before = [parameter.clone() for parameter in block.parameters()]
    channels_last(block)
    assert all(torch.equal(a, b) for a, b in zip(before, block.parameters(), strict=True))
    assert block.space.weight.is_contiguous(memory_format=LAST)


def test_lightness_is_grey_and_opponent_colours_add_none():
    lightness, first, second = change_colours(torch.eye(3), opponent_colours(3**0.5, 1.0))
    assert torch.allclose(lightness, torch.ones(3))
    assert torch.allclose(first.sum(), torch.zeros(())) and torch.allclose(second.sum(), torch.zeros(()), atol=1e-6)


def test_frames_of_channels_last_keep_their_strides_and_come_back_from_opponent_colours():
    frames = torch.rand(2, 3, 4, 8, 6).contiguous(memory_format=torch.channels_last_3d)
    seen = change_colours(frames, opponent_colours(1.0, 2.0).T)
    assert seen.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(change_colours(seen, opponent_colours(1.0, 0.5)), frames, atol=1e-6)
