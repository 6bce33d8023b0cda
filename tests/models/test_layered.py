"""Layers: pictures moved over a background."""

import itertools
import math
import statistics

import pytest
import torch
from settings import clip_shape
from training_sets import tiny_params

from pipeline.models.poses import PoseHead, transform
from pipeline.models.residual_generator import (
    ImageDecoder,
    ResidualGenerator,
    compose,
    enlarge,
    halve_chroma,
    split_layers,
)

STILL = torch.zeros(1, 1, 4)  # one clip of one frame, nothing moved or scaled


def moved_picture(picture: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """One layer [B,C,h,w] at poses [B,T,POSE] -> [B,C,T,8,8]."""
    return transform(picture[:, None], poses[:, :, None], (8, 8))[:, 0]


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_a_picture_that_is_not_moved_stays_as_it_is() -> None:
    torch.testing.assert_close(moved_picture(picture(), STILL)[:, :, 0], picture())


def test_a_step_of_one_pixel_shifts_by_one_pixel_and_leaves_nothing_behind() -> None:
    place = torch.tensor([[[0.0, 2 / 8, 0.0, 0.0]]])  # the frame is 2 wide: one of 8 pixels to the right
    moved = moved_picture(picture(), place)[:, :, 0]
    torch.testing.assert_close(moved[..., 1:], picture()[..., :-1])
    assert (moved[..., 0] == 0).all()


def test_half_a_pixel_down_is_the_mean_of_two_rows() -> None:
    moved = moved_picture(picture(), torch.tensor([[[1 / 8, 0.0, 0.0, 0.0]]]))[:, :, 0]
    torch.testing.assert_close(moved[..., 1:, :], (picture()[..., 1:, :] + picture()[..., :-1, :]) / 2)


def test_twice_the_size_shows_the_middle_half() -> None:
    whole = torch.ones(1, 4, 8, 8)
    whole[..., :, :2] = 0  # a quarter at the left: twice as large, it is out of the frame but for the blend at the edge
    moved = moved_picture(whole, torch.tensor([[[0.0, 0.0, 0.0, math.log(2)]]]))[:, :, 0]
    torch.testing.assert_close(moved[..., 1:], torch.ones(1, 4, 8, 7))


def test_half_the_size_passes_over_no_pixel() -> None:
    for row in range(2, 6):
        line = torch.zeros(1, 4, 8, 8)
        line[..., row, :] = 1
        moved = moved_picture(line, torch.tensor([[[0.0, 0.0, -math.log(2), 0.0]]]))
        torch.testing.assert_close(moved.sum(dim=3), torch.full((1, 4, 1, 8), 0.5), atol=0.02, rtol=0)


def test_of_a_denser_picture_each_pixel_is_the_mean_of_those_in_it() -> None:
    dense = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved_picture(dense, STILL)[:, :, 0], torch.nn.functional.avg_pool2d(dense, 2))


def test_a_denser_picture_stays_sharp_between_pixels() -> None:
    """An edge that moves by half a pixel: what is as dense as the frame would blur it over two pixels."""
    edge = torch.zeros(1, 4, 16, 16)
    edge[..., 9:] = 1
    moved = moved_picture(edge, torch.tensor([[[0.0, 1 / 8, 0.0, 0.0]]]))[0, 0, 0, 4]
    torch.testing.assert_close(moved, torch.tensor([0.0, 0, 0, 0, 0, 1, 1, 1]))


def test_a_shrunk_picture_of_one_colour_keeps_it() -> None:
    moved = moved_picture(torch.ones(1, 4, 8, 8), torch.tensor([[[0.0, 0.0, -0.4, -0.4]]]))[:, :, 0]
    torch.testing.assert_close(moved[..., 3:5, 3:5], torch.ones(1, 4, 2, 2))


def test_pictures_are_enlarged_without_steps() -> None:
    gradient = torch.arange(4.0).expand(1, 2, 1, 3, 4)
    steps = enlarge(gradient).diff(dim=4)
    assert steps.shape == (1, 2, 1, 6, 7)
    torch.testing.assert_close(steps[..., 1:-1], torch.full((1, 2, 1, 6, 5), 0.5))


def test_every_frame_has_its_own_place() -> None:
    poses = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0]]])
    frames = moved_picture(picture(), poses)
    torch.testing.assert_close(frames[:, :, 0, :, :-2], frames[:, :, 1, :, 2:])


def test_a_transparent_layer_shows_the_background_and_an_opaque_one_hides_it() -> None:
    background = torch.full((1, 3, 8, 8), 0.25)
    layers = picture()[:, None].repeat(1, 2, 1, 1, 1)
    poses = STILL[:, :, None].repeat(1, 3, 2, 1)  # 3 frames, 2 layers
    layers[:, :, 3] = 0
    torch.testing.assert_close(
        compose(background[:, :, None], layers, poses), background[:, :, None].expand(-1, -1, 3, -1, -1)
    )
    layers[:, 1, 3] = 1
    frames = compose(background[:, :, None], layers, poses)
    torch.testing.assert_close(frames, layers[:, 1, :3, None].expand(-1, -1, 3, -1, -1))
    assert frames.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_last_layer_lies_on_top() -> None:
    layers = torch.stack((torch.full((4, 8, 8), -1.0), torch.full((4, 8, 8), 1.0)))[None]
    layers[:, :, 3] = 1
    frames = compose(torch.zeros(1, 3, 1, 8, 8), layers, STILL[:, :, None].expand(-1, -1, 2, -1))
    assert (frames == 1).all()


def test_frames_of_colours_in_range_stay_in_range_wherever_the_layers_are() -> None:
    torch.manual_seed(0)
    shape = clip_shape(6, 16, 24)
    background = ImageDecoder(shape, 3, code=8, width=4)(torch.randn(5, 8) * 10).clamp(-1, 1)
    images = ImageDecoder(shape, 12, code=8, width=4, dense=True)(torch.randn(5, 8) * 10)
    layers = split_layers(images, 1.0).clamp(-1, 1)
    assert background.shape == (5, 3, 16, 24)
    assert layers.shape == (5, 3, 4, 32, 48)
    frames = compose(background[:, :, None], layers, torch.randn(5, 6, 3, 4))
    assert frames.abs().max() <= 1 + 1e-6


def test_places_follow_the_codes_over_time() -> None:
    torch.manual_seed(0)
    pose_head = PoseHead(8, 2)
    code = torch.randn(3, 1, 8).expand(-1, 16, -1)
    poses = pose_head(code)
    assert poses.shape == (3, 16, 2, 4)
    torch.testing.assert_close(poses, poses[:, :1].expand_as(poses))  # one code at all frames: nothing moves
    assert pose_head(torch.randn(3, 16, 8)).diff(dim=1).abs().max() > 0


@pytest.mark.parametrize("frames", [8, 7])
def test_motion_is_as_fast_at_the_ends_of_a_clip_as_close_to_them(frames: int) -> None:
    """Poses that were interpolated between steps of two frames moved half as far from the last frame but one on."""
    torch.manual_seed(0)
    model = ResidualGenerator(clip_shape(frames, 16, 16), tiny_params().train.generator, cond=8)
    poses: list[torch.Tensor] = []
    model.pose_head.register_forward_hook(lambda _, __, output: poses.append(output))
    noise = torch.randn(200, model.z_width)
    noise[:, model.content :] = 0  # curves of noise are slowest at the ends
    model(noise, torch.randn(200, 8))
    speeds = poses[0].diff(dim=1).abs().mean(dim=(0, 2, 3))
    assert speeds.shape == (frames - 1,)
    assert 0.7 < speeds[0] / speeds[1] < 1.4
    assert 0.7 < speeds[-1] / speeds[-2] < 1.4


def test_the_gradient_with_regard_to_a_place_points_the_way_of_the_motion() -> None:
    """What makes motion learnable: moving a bright spot towards a bright target lowers the error."""
    spot = torch.zeros(1, 4, 8, 8)
    spot[..., 3:5, 2:4] = 1
    target = moved_picture(spot, torch.tensor([[[0.0, 0.25, 0.0, 0.0]]]))
    place = torch.zeros(1, 1, 4, requires_grad=True)
    (moved_picture(spot, place) - target).square().sum().backward()
    assert place.grad is not None
    assert place.grad[0, 0, 1] < 0


def test_layers_of_objects_show_before_the_others_do() -> None:
    """So that objects are learned by their own layers: what changes a picture there changes frames more at first."""
    params = tiny_params(generator={"layers": 2, "object_layers": 1}).train.generator
    ratios = []
    for seed in range(9):
        torch.manual_seed(seed)
        model = ResidualGenerator(clip_shape(4, 16, 16), params, cond=8)
        model(torch.randn(16, model.z_width), torch.randn(16, 8)).square().sum().backward()
        objects, others = (part.last.weight.grad[:3].norm() for part in (model.object_layers, model.other_layers))
        ratios.append(float(objects / others))
    assert statistics.median(ratios) > 2


def test_no_layer_is_far_out_of_the_frame_or_tiny_and_all_can_still_be_moved() -> None:
    poses = torch.linspace(-50, 50, 21)[:, None].expand(-1, 4).clone().requires_grad_()
    near = PoseHead(8, 1).bound(poses[:, None])[:, 0]
    assert near[:, :2].abs().max() < 1.5
    assert near[:, 2:].abs().max() < 0.7
    assert (near.diff(dim=0) > 0).all()
    (gradient,) = torch.autograd.grad(near.sum(), poses)
    assert gradient.min() > 1e-4
    torch.testing.assert_close(gradient[10], torch.ones(4))


def test_layers_of_objects_hardly_shrink_and_can_be_enlarged() -> None:
    for extent, smallest in ((0.65, 0.9), (1.0, 0.49)):
        params = tiny_params(generator={"layers": 3, "object_layers": 2, "object_extent": extent}).train.generator
        pose_head = ResidualGenerator(clip_shape(4, 16, 16), params, cond=8).pose_head
        sides = pose_head.bound(torch.tensor([-50.0, 0, 50])[:, None, None].expand(3, 3, 4))[..., 2:].exp()
        assert smallest < sides[0, :2].min() <= sides[0, :2].max() < smallest + 0.02
        assert 0.49 < sides[0, 2].min() <= sides[0, 2].max() < 0.51
        assert sides[2].min() > 1.9


def test_half_the_chroma_is_the_mean_of_2x2_pixels_and_lightness_and_alpha_are_as_before() -> None:
    images = torch.rand(2, 3, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    halved = halve_chroma(images)
    assert halved.shape == images.shape
    assert torch.equal(halved[:, :, [0, 3]], images[:, :, [0, 3]])
    means = torch.nn.functional.avg_pool2d(images[1, 2, 1:3], 2)
    torch.testing.assert_close(halved[1, 2, 1:3], enlarge(means[None, :, None])[0, :, 0])
    chequered = (torch.arange(8)[:, None] + torch.arange(12)) % 2 * torch.ones(1, 1, 3, 1, 1)
    assert (halve_chroma(chequered)[:, :, 1:] == 0.5).all()
    assert torch.equal(halve_chroma(chequered)[:, :, :1], chequered[:, :, :1])


@pytest.mark.parametrize("background", ["still", "moving", "warped"])
def test_with_half_the_chroma_samples_have_the_same_lightness_and_other_colours(background: str) -> None:
    def sample(chroma: str) -> torch.Tensor:
        torch.manual_seed(0)
        params = tiny_params(generator={"chroma": chroma, "background": background}).train.generator
        model = ResidualGenerator(clip_shape(4, 16, 16), params, cond=8).eval()
        frames: torch.Tensor = model(torch.randn(6, model.z_width), torch.randn(6, 8))
        return frames

    full, half = sample("full"), sample("half")
    torch.testing.assert_close(half.mean(dim=1), full.mean(dim=1), atol=1e-5, rtol=0)
    assert not torch.allclose(half, full, atol=1e-3)


def test_the_motion_penalty_is_how_far_the_layers_move_and_is_taken_in_training_alone() -> None:
    params = tiny_params(generator={"layers": 3, "motion_penalty": 0.5}).train.generator
    model = ResidualGenerator(clip_shape(4, 16, 16), params, cond=8)
    seen: list[torch.Tensor] = []
    model.pose_head.register_forward_hook(lambda head, _, poses: seen.append(head.bound(poses)))
    z, cond = torch.randn(6, model.z_width), torch.randn(6, 8)
    model.eval()(z, cond)
    assert model.regulariser is None
    model.train()(z, cond)
    assert model.regulariser is not None
    distances = [(after - before).abs().sum() for before, after in itertools.pairwise(seen[-1].unbind(1))]
    torch.testing.assert_close(model.regulariser, 0.5 * sum(distances) / (6 * 3))
    torch.nn.init.zeros_(model.pose_head.poses.weight)
    model(z, cond)
    assert model.regulariser == 0


def test_objects_are_in_the_middle_of_their_layers() -> None:
    torch.manual_seed(0)
    for extent in (0.5, 1.0):
        params = tiny_params(generator={"layers": 3, "object_layers": 2, "object_extent": extent}).train.generator
        model = ResidualGenerator(clip_shape(4, 16, 16), params, cond=8)
        layers = split_layers(torch.ones(1, 8, 32, 32), 0.0, model.window)[0, :, 3]
        assert (layers > 0).float().mean().item() == (0.6875**2 if extent < 1 else 1)
        assert (layers[:, 8:24, 8:24] == torch.sigmoid(torch.ones(()))).all()
        torch.testing.assert_close(layers, layers.flip(1).flip(2).transpose(1, 2))
