"""Generators that go from noise to clips in steps: known flows are followed, and the U-Net keeps its shapes."""

import pytest
import torch
from flow_generators import DEVIATION, MEAN, GaussianClips, GaussianMoment, Guided, OneClip
from networks import stir
from training_sets import FLOW, UNET, tiny_params

from pipeline.errors import UserError
from pipeline.models.networks import TextToVideo, find_generator, shift_times
from pipeline.models.unet_generator import UNetGenerator, embed_time
from pipeline.params import CustomGeneratorParams

PARAMS = tiny_params(**FLOW)
E = PARAMS.train.captions.width


def noise(generator, rows=3):
    return torch.randn(rows, generator.z_width, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_the_flow_of_a_single_clip_ends_at_that_clip_in_any_number_of_steps(steps):
    generator = OneClip()
    generator.steps = steps
    frames = generator(noise(generator), torch.zeros(3, E))
    torch.testing.assert_close(frames, torch.full_like(frames, MEAN))
    assert len(generator.asked) == steps
    torch.testing.assert_close(generator.asked[-1][0], torch.zeros(3))  # the last step ends at the clip


@pytest.mark.parametrize("steps", [1, 3])
def test_few_steps_of_the_mean_velocity_draw_the_right_distribution(steps):
    generator = GaussianClips(PARAMS.clip)
    generator.steps = steps
    z = noise(generator)
    expected = MEAN + DEVIATION * generator.shape_noise(z)
    torch.testing.assert_close(generator(z, torch.zeros(3, E)), expected, rtol=0, atol=1e-5)


def test_many_steps_of_the_velocity_at_a_moment_draw_it_as_well():
    generator = GaussianMoment(PARAMS.clip)
    z, errors = noise(generator, 1), []
    for steps in (8, 64):
        generator.steps = steps
        drawn = generator(z, torch.zeros(1, E))
        errors.append((drawn - MEAN - DEVIATION * generator.shape_noise(z)).abs().max().item())
    assert errors[1] < 0.05 < errors[0]


def test_without_long_steps_only_velocities_at_a_moment_are_asked_for():
    generator = OneClip()
    generator.steps, generator.takes_long_steps = 2, False
    generator(noise(generator), torch.zeros(3, E))
    assert [(end.tolist(), time.tolist()) for end, time, _ in generator.asked] == [([1.0] * 3,) * 2, ([0.5] * 3,) * 2]


def test_a_shift_of_times_is_one_of_their_logits_and_keeps_the_ends():
    times = torch.linspace(0, 1, 11)
    shifted = shift_times(times, 1.5)
    torch.testing.assert_close(torch.logit(shifted[1:-1]), torch.logit(times[1:-1]) + 1.5)
    assert shifted[[0, -1]].tolist() == [0.0, 1.0]
    torch.testing.assert_close(shift_times(times, 0.0), times)
    generator = OneClip()
    generator.steps, generator.time_shift = 2, 1.5
    generator(noise(generator), torch.zeros(3, E))
    assert generator.asked[1][1][0].item() == pytest.approx(shift_times(torch.tensor(0.5), 1.5).item())


def test_guidance_of_one_asks_with_the_caption_alone_and_others_go_on_from_no_caption():
    generator, cond = Guided(), torch.full((3, E), 0.4)
    found = {}
    for guidance in (1.0, 0.0, 2.0):
        generator.guidance, generator.asked = guidance, []
        found[guidance] = generator(noise(generator), cond).mean().item(), len(generator.asked)
    assert found == {1.0: (pytest.approx(0.4), 1), 0.0: (pytest.approx(0.0, abs=1e-6), 2), 2.0: (pytest.approx(0.8), 2)}


@pytest.mark.parametrize("frame_patch", [1, 2, 4])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_the_u_net_draws_clips_of_their_shape_with_any_patch(patch, frame_patch):
    section = PARAMS.train.generator.model_copy(update={"patch": patch, "frame_patch": frame_patch})
    shape = PARAMS.clip.model_copy(update={"width": 24})
    model = stir(UNetGenerator(shape, section, E))
    frames = model(noise(model, 2), torch.randn(2, E))
    assert frames.shape == (2, 3, shape.frames, shape.height, shape.width)
    assert frames.isfinite().all()


def test_times_are_told_apart():
    told = embed_time(torch.linspace(0, 1, 101))
    assert torch.cdist(told, told).fill_diagonal_(1).min() > 0.05


def test_a_caption_the_time_and_the_end_of_the_step_change_what_is_drawn():
    torch.manual_seed(0)
    model = stir(UNetGenerator(PARAMS.clip, PARAMS.train.generator, E))
    noisy, time, cond = model.shape_noise(noise(model, 1)), torch.tensor([0.7]), torch.randn(1, E)
    expected = model.predict(noisy, time, time, cond)
    for changed in ((noisy, time, time, -cond), (noisy, time - 0.5, time, cond), (noisy, time, time + 0.2, cond)):
        assert (model.predict(*changed) - expected).abs().max() > 0.01


def test_a_whole_generator_draws_as_params_say():
    model = TextToVideo(PARAMS.clip, PARAMS.train, words=12)
    assert (model.generator.steps, model.generator.guidance, model.generator.takes_long_steps) == (4, 1.0, True)
    frames = stir(model)(noise(model, 2), torch.tensor([[2, 3, 4], [5, 6, 0]]))
    assert frames.is_contiguous(memory_format=torch.channels_last_3d)
    assert frames.shape == (2, 3, PARAMS.clip.frames, PARAMS.clip.height, PARAMS.clip.width)
    assert (frames[0] - frames[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("method", "kind", "told"),
    [
        (
            "gan",
            "flow_generators:OneClip",
            "is a subclass of .*FlowGenerator and so not trained by gan; .* to flow",
        ),
        ("flow", "pipeline.models.residual_generator:ResidualGenerator", "no subclass of .* by flow; .* to gan"),
    ],
)
def test_a_generator_of_ones_own_is_refused_by_the_method_that_cannot_train_it(method, kind, told):
    section = CustomGeneratorParams(kind=kind, options={})
    train = PARAMS.train.model_copy(update={"method": method, "generator": section})
    with pytest.raises(UserError, match=told):
        find_generator(train)


def test_a_flow_generator_of_ones_own_is_built_and_a_wrong_predict_is_refused(monkeypatch):
    section = CustomGeneratorParams(kind="flow_generators:OneClip", options={})
    train = PARAMS.train.model_copy(update={"generator": section})
    model = TextToVideo(PARAMS.clip, train, words=12)
    assert model(noise(model, 2), torch.tensor([[2], [3]])).mean().item() == pytest.approx(MEAN)
    monkeypatch.setattr(OneClip, "predict", lambda _, noisy: noisy)
    with pytest.raises(UserError, match=r"has a predict that cannot be called with \(noisy, end, time, cond\)"):
        TextToVideo(PARAMS.clip, train, words=12)


def test_the_section_of_the_test_is_the_kind_of_the_method():
    assert (PARAMS.train.method, PARAMS.train.generator.kind) == ("flow", UNET["kind"])
