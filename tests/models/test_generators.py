"""The generator: shape and strides for any clip shape; what its frames depend on and what they do not."""

import pytest
import torch
from made import make_caption
from networks import draw_inputs, record_outputs, stir
from settings import clip_shape
from training_sets import tiny_params

from pipeline.data.dataset import select_object_words
from pipeline.errors import UserError
from pipeline.models.layers import CURVE_KNOTS, activate, change_colours, opponent_colours, smooth_curves
from pipeline.models.networks import Generator, TextToVideo, find_generator
from pipeline.models.residual_generator import ResidualGenerator
from pipeline.params import GENERATORS, check_params

PARAMS = tiny_params()
E = PARAMS.train.captions.width


def generator(shape=PARAMS.clip, seed=0):
    torch.manual_seed(seed)
    return ResidualGenerator(shape, PARAMS.train.generator, E)


def inputs(model, batch=2):
    return draw_inputs(model, E, batch)


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(8, 16, 16), (7, 16, 16), (1, 8, 8), (2, 32, 16), (16, 12, 20), (4, 64, 64)]
)
def test_frames_have_the_shape_of_training(frames, height, width):
    model = stir(generator(clip_shape(frames, height, width)))
    clips = model(*inputs(model))
    assert clips.shape == (2, 3, frames, height, width)
    assert clips.dtype == torch.float32
    assert clips.isfinite().all()
    assert clips.std() > 0


@pytest.mark.parametrize(("height", "width"), [(7, 16), (4, 4), (9, 8), (22, 22), (16, 18), (34, 32)])
def test_a_shape_that_doubling_cannot_reach_is_refused_with_its_numbers(height, width):
    with pytest.raises(ValueError, match=rf"clip\.height {height} and clip\.width {width}"):
        generator(clip_shape(4, height, width))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (22, 22), (16, 18)])
def test_such_a_shape_stops_the_first_stage_already(tree, height, width):
    tree["clip"] |= {"height": height, "width": width}
    with pytest.raises(UserError) as caught:
        check_params(tree, "params.yaml")
    assert str(caught.value).startswith("params.yaml has 1 wrong value(s):\n  clip.height ")
    assert f"clip.height {height} and clip.width {width} must be at least 8 and multiples of" in str(caught.value)
    assert len(str(caught.value)) < 200  # the whole file is not shown as the wrong value


def test_frames_depend_on_every_value_of_noise_and_caption():
    model = stir(generator())
    z, cond = (value.requires_grad_() for value in inputs(model))
    model(z, cond).square().sum().backward()
    assert (z.grad != 0).all()
    assert (cond.grad != 0).all()


def test_a_clip_depends_on_its_own_noise_and_caption_only():
    model = stir(generator())
    z, cond = inputs(model, batch=3)
    together = model(z, cond)
    alone = torch.cat([model(z[[row]], cond[[row]]) for row in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [{}, {"background": "warped"}, {"background": "moving", "volume_width": 8}, {"kind": "convgru"}],
    ids=str,
)
def test_chosen_frames_are_those_of_the_whole_clip(options):
    model = TextToVideo(PARAMS.clip, tiny_params(generator=options).train, words=12)
    stir(model.generator)
    z, ids = torch.randn(2, model.z_width), torch.tensor([[2, 3], [4, 0]])
    chosen = model(z, ids, chosen=slice(1, None, 2))
    torch.testing.assert_close(chosen, model(z, ids)[:, :, 1::2])
    assert chosen.is_contiguous(memory_format=torch.channels_last_3d)
    assert (chosen[:, :, 0] != chosen[:, :, 1]).any()


def test_frames_have_the_strides_that_convolutions_want():
    model = TextToVideo(PARAMS.clip, PARAMS.train, words=12)
    clips = model(torch.randn(2, model.z_width), torch.tensor([[2, 3], [4, 0]]))
    assert clips.is_contiguous(memory_format=torch.channels_last_3d)


def test_frames_vary_with_the_order_of_the_words():
    torch.manual_seed(0)
    model = stir(TextToVideo(PARAMS.clip, PARAMS.train, words=12))
    z = torch.randn(1, model.z_width).expand(2, -1)
    right, left = model(z, torch.tensor([[2, 3, 4, 5, 6, 7, 0], [2, 3, 4, 7, 6, 5, 0]]))
    assert (right - left).abs().max() > 0.01  # also where no word names an object, as here


def test_smooth_curves_pass_through_their_knots():
    knots = torch.randn(2, 3, CURVE_KNOTS)
    curves = smooth_curves(knots, 2 * (CURVE_KNOTS - 1) + 1)
    torch.testing.assert_close(curves[:, ::2], knots.transpose(1, 2))
    torch.testing.assert_close(curves[:, 1::2], (knots[..., :-1] + knots[..., 1:]).transpose(1, 2) / 2)


@pytest.mark.parametrize("steps", [1, 2, 7, 16])
def test_smooth_curves_keep_constants_and_stay_within_their_knots(steps):
    knots = torch.randn(2, 3, 1).expand(-1, -1, CURVE_KNOTS)
    torch.testing.assert_close(smooth_curves(knots, steps), knots[..., :1].transpose(1, 2).expand(-1, steps, -1))
    knots = torch.randn(5, 4, CURVE_KNOTS)
    curves = smooth_curves(knots, steps)
    assert (curves <= knots.amax(dim=2)[:, None] + 1e-6).all()
    assert (curves >= knots.amin(dim=2)[:, None] - 1e-6).all()


def test_smooth_curves_move_slowly():
    """No step of a finely drawn curve is longer than the steepest gradient of the easing, pi/2 times the mean one."""
    knots, steps = torch.randn(4, 4, CURVE_KNOTS), 301
    longest = smooth_curves(knots, steps).diff(dim=1).abs().amax(dim=1)
    mean = knots.diff(dim=2).abs().amax(dim=2) * (CURVE_KNOTS - 1) / (steps - 1)
    assert (longest <= mean * torch.pi / 2 * 1.01).all()


def test_the_background_hears_the_noise_and_not_the_caption():
    model = stir(generator())
    drawn = record_outputs(model.background)
    z, cond = inputs(model)
    for noise, caption in ((z, cond), (z, -cond), (-z, cond)):
        model(noise, caption)
    torch.testing.assert_close(drawn[0], drawn[1])
    assert (drawn[0] - drawn[2]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("volume_width", [0, 8])
def test_untrained_frames_vary_far_more_in_lightness_than_in_colour(volume_width):
    params = PARAMS.train.generator.model_copy(update={"volume_width": volume_width, "still_width": 16})
    variances = torch.zeros(3)
    for seed in range(8):
        torch.manual_seed(seed)
        model = ResidualGenerator(PARAMS.clip, params, E)
        frames = model(*draw_inputs(model, E, 16)).detach()
        variances += change_colours(frames, opponent_colours(1.0, 1.0).T).var(dim=(0, 2, 3, 4))
    assert variances[0] / variances[1:].mean() > 4  # of RGB drawn as such: about 1


def build_by_words(**words: bool) -> TextToVideo:
    """A model of the words 2, 3, ... as named, each of which names an object or does not."""
    named = torch.tensor([False, False, *words.values()])
    return stir(TextToVideo(PARAMS.clip, PARAMS.train, words=len(named), names_object=named))


def test_an_object_looks_the_same_whatever_is_done_with_it():
    torch.manual_seed(0)
    model = build_by_words(mug=True, left=False, right=False)
    seen = record_outputs(model.generator.object_code)
    z = torch.randn(1, model.z_width).expand(2, -1)
    left, right = model(z, torch.tensor([[2, 3], [2, 4]]))
    torch.testing.assert_close(seen[0][0], seen[0][1])
    assert (left - right).abs().max() > 0.01  # but it moves another way


@pytest.mark.parametrize("part", ["other_code", "pose_head"])
def test_what_helps_an_object_along_and_where_all_is_are_the_same_whatever_the_object(part):
    torch.manual_seed(0)
    model = build_by_words(mug=True, book=True, left=False)
    seen = record_outputs(getattr(model.generator, part))
    z = torch.randn(1, model.z_width).expand(2, -1)
    mug, book = model(z, torch.tensor([[2, 4], [3, 4]]))
    torch.testing.assert_close(seen[0][0], seen[0][1])
    assert (mug - book).abs().max() > 0.01


def test_the_offset_of_an_object_is_the_same_in_every_frame_and_motion():
    torch.manual_seed(0)
    model = build_by_words(mug=True, book=True, left=False, right=False).generator
    placed = record_outputs(model.pose_head)
    z, cond = inputs(model)
    moved = []
    for action in (cond, -cond):
        model(z, cond, cond, action)
        code = activate(model.object_code(torch.cat((z[:, : model.content], cond), dim=1)))
        moved.append(model._add_offset(placed[-1], code) - placed[-1])
    torch.testing.assert_close(moved[0], moved[1])
    torch.testing.assert_close(moved[0], moved[0][:, :1].expand_as(moved[0]))
    layers = PARAMS.train.generator.object_layers
    assert moved[0][:, :, :layers].abs().min() > 0 and not moved[0][:, :, layers:].any()


def test_a_volume_is_conditioned_on_objects_and_actions():
    torch.manual_seed(0)
    params = tiny_params(generator={"volume_width": 4}).train
    named = torch.tensor([False, False, True, True, False, False])
    model = stir(TextToVideo(PARAMS.clip, params, words=len(named), names_object=named))
    drawn = record_outputs(model.generator.volume)
    model(torch.randn(1, model.z_width).expand(3, -1), torch.tensor([[2, 4], [3, 4], [2, 5]]))
    colours = drawn[0][0].detach()
    assert min(float((colours[0] - other).abs().max()) for other in colours[1:]) > 1e-3


def test_a_word_that_was_never_trained_on_counts_as_an_object():
    model = build_by_words(mug=True, left=False)
    named = model._named(torch.tensor([[1, 2, 3, 9, 0]]))
    assert named.tolist() == [[True, True, False, True, False]]


def test_without_any_object_in_the_data_all_words_are_heard():
    captions = [make_caption("moving up", (2, 3))]
    assert select_object_words(captions, 4).tolist() == [True] * 4


def test_a_word_names_an_object_if_it_does_so_more_often_than_not():
    captions = [
        make_caption("moving the box", (2, 3, 4), (0, -1, 1)),
        make_caption("moving the mug into the box", (2, 3, 5, 6, 3, 4), (0, -1, 1, 0, 0, 0)),
        make_caption("moving the box", (2, 3, 4), (0, -1, 1)),
    ]
    assert select_object_words(captions, 6).tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize("volume", [0, 4])
def test_frames_in_float64_are_those_in_float32_with_more_digits(volume):
    params = PARAMS.train.generator.model_copy(update={"volume_width": volume})
    torch.manual_seed(0)
    model = stir(ResidualGenerator(PARAMS.clip, params, E))
    z, cond = inputs(model)
    expected = model(z, cond)
    found = model.double()(z.double(), cond.double())
    assert found.dtype == torch.float64
    assert not torch.equal(found, found.float().double())
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-4 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_section_of_every_built_in_kind_names_its_network(kind):
    params = tiny_params(generator={"kind": kind})
    network = find_generator(params.train)
    assert issubclass(network, Generator) and network.__module__ == f"pipeline.models.{kind}_generator"
    assert network(params.clip, params.train.generator, E).z_width > 0
