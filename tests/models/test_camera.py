"""A background that is larger than the frame, seen by a camera that moves."""

import math

import pytest
import torch
import torch.nn.functional as F
from settings import clip_shape

from pipeline.models.poses import CANVAS_SCALE, FLOW_KNOTS, Camera, soften, transform, warp

SIDES = (8, 12)
SHAPE = clip_shape(4, *SIDES)
CALM = torch.zeros(2, 3, 4)  # two clips of three frames, nothing moved or scaled
NO_FLOW = torch.zeros(6, 2, *SIDES)


def canvas() -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def at(y: float = 0.0, x: float = 0.0, tall: float = 0.0, wide: float = 0.0) -> torch.Tensor:
    return torch.tensor([y, x, tall, wide]).expand(2, 3, 4)


def view(picture: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """What a camera without a flow sees: frames [B,3,T,H,W]."""
    return transform(picture[:, None], poses[:, :, None], SIDES, CANVAS_SCALE)[:, 0]


def both(poses: torch.Tensor) -> list[torch.Tensor]:
    return [view(canvas(), poses), warp(canvas(), poses, NO_FLOW, SIDES)]


def test_a_camera_at_rest_sees_the_middle_pixel_for_pixel() -> None:
    for seen in both(CALM):
        assert seen.shape == (2, 3, 3, *SIDES)
        torch.testing.assert_close(seen, canvas()[:, :, None, 4:12, 6:18].expand_as(seen))


def test_it_sees_what_lay_beside_the_frame_when_the_picture_moves() -> None:
    for seen in both(at(y=2 / 8, x=-2 * 3 / 12)):  # one pixel down, three to the left
        torch.testing.assert_close(seen[:, :, 1], canvas()[:, :, 3:11, 9:21])


def test_beyond_the_border_the_picture_goes_on() -> None:
    for seen in both(at(x=4.0)):  # two frames to the right: the picture lies one frame beyond
        edge = canvas()[:, :, None, 4:12, :1].expand_as(seen)
        torch.testing.assert_close(seen, edge)


def test_half_the_size_shows_all_of_the_picture() -> None:
    step = torch.zeros(2, 3, 16, 24)
    step[..., 12:] = 1  # right half
    zoomed = view(step, at(tall=-math.log(2), wide=-math.log(2)))
    assert (zoomed[..., :5] == 0).all() and (zoomed[..., 7:] == 1).all()


def test_a_flow_takes_each_pixel_from_elsewhere() -> None:
    flow = NO_FLOW.clone()
    flow[:, 1, :4] = 2 / 12  # the upper half from one pixel further right
    seen = warp(canvas(), CALM, flow, SIDES)
    torch.testing.assert_close(seen[:, :, 0, :4], canvas()[:, :, 4:8, 7:19])
    torch.testing.assert_close(seen[:, :, 0, 4:], canvas()[:, :, 8:12, 6:18])


def test_a_denser_picture_is_softened_so_that_every_pixel_of_it_counts() -> None:
    dense = F.interpolate(canvas(), scale_factor=2, mode="nearest")
    dense[:, :, ::2] += 1.0  # rows that a single sample would skip or take alone
    dense[:, :, 1::2] -= 1.0
    seen = warp(soften(dense), CALM, NO_FLOW, SIDES)
    torch.testing.assert_close(soften(torch.ones_like(dense)), torch.ones_like(dense))
    assert F.mse_loss(seen[:, :, 0], canvas()[:, :, 4:12, 6:18]) < 0.05
    unsoftened = warp(dense, at(y=1 / 16), NO_FLOW, SIDES)  # by half a pixel of the dense picture
    softened = warp(soften(dense), at(y=1 / 16), NO_FLOW, SIDES)
    assert (unsoftened.mean() - canvas().mean()).abs() > 0.4
    assert (softened.mean() - canvas().mean()).abs() < 0.1


def test_the_flow_is_interpolated_bicubically() -> None:
    camera = Camera(SHAPE, 5, warped=True)
    knots = torch.randn(3, 2, FLOW_KNOTS, FLOW_KNOTS, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(knots, SIDES, mode="bicubic", align_corners=True)
    torch.testing.assert_close(camera.flow_rows @ knots @ camera.flow_columns.mT, expected)


@pytest.mark.parametrize("warped", [False, True])
def test_the_caption_moves_the_camera_and_every_weight_learns(warped: bool) -> None:
    torch.manual_seed(0)
    camera = Camera(SHAPE, 5, warped=warped)
    code = torch.randn(2, 4, 5)
    seen = camera(code, canvas())
    assert seen.shape == (2, 3, 4, *SIDES)
    assert not torch.equal(seen[:, :, 0], seen[:, :, 3])
    assert not torch.equal(camera(torch.randn(2, 4, 5), canvas()), seen)
    seen.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in camera.parameters())
    if warped:  # it starts without a flow
        assert camera.flow is not None and camera.flow.out_features == 2 * FLOW_KNOTS**2
        assert not camera.flow.weight.any()
