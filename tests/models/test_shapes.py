"""Every shape that params allow is drawn and judged by every kind of network, for training as well."""

import pytest
import torch
from settings import clip_shape
from training_sets import tiny_params

from pipeline.models.convgru_generator import ConvGruGenerator
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import check_params

WORDS = 12
SHAPES = [
    (16, 32, 32),
    (64, 32, 32),
    (16, 64, 64),
    (8, 128, 128),
    (2, 256, 256),
    (16, 64, 112),
    (9, 40, 24),
    (2, 24, 24),
    (1, 8, 8),
]
each_shape = pytest.mark.parametrize("size", SHAPES, ids=lambda size: "x".join(map(str, size)))
GENERATORS = {
    "layers": {"kind": "residual", "volume_width": 0},
    "volume": {"kind": "residual", "volume_width": 4},
    "camera": {"kind": "residual", "volume_width": 4, "background": "warped"},
    "convgru": {"kind": "convgru"},
}
DISCRIMINATORS = {
    "throughout": {"time": "throughout", "condition": "projection"},
    "head": {"time": "head", "condition": "stacked"},
    "frames": {"frames": 2},
}


def narrow(**networks):
    """Train params with networks of at most 4 channels."""
    train = tiny_params(**networks).train
    small = {
        name: getattr(train, name).model_copy(
            update={key: 4 for key, value in getattr(train, name) if key.endswith("width") and value} | changes
        )
        for name, changes in networks.items()
    }
    return train.model_copy(update=small)


def unmoved(model):
    """The names of the parameters that should learn and got no gradient."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [name for name, p in learning if p.grad is None or not p.grad.isfinite().all()]


@pytest.mark.slow
@each_shape
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_draws_and_learns_clips_of_the_shape(size, kind):
    torch.manual_seed(0)
    model = TextToVideo(clip_shape(*size), narrow(generator=GENERATORS[kind]), WORDS)
    clips = model(torch.randn(2, model.z_width), torch.tensor([[2, 3, 4], [5, 6, 0]]))
    assert (type(model.generator) is ConvGruGenerator) == (kind == "convgru")
    assert clips.shape == (2, 3, *size)
    assert clips.isfinite().all()
    clips.square().mean().backward()
    assert unmoved(model) == []


@pytest.mark.slow
@each_shape
@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_a_discriminator_judges_clips_of_the_shape_and_its_slope_has_a_slope(size, kind):
    torch.manual_seed(0)
    model = CaptionedDiscriminator(clip_shape(*size), narrow(discriminator=DISCRIMINATORS[kind]), WORDS)
    clips = torch.randn(2, 3, *size, requires_grad=True)
    logits = model(clips, torch.tensor([[2, 3, 4], [5, 6, 0]]))
    assert logits.shape == (2,)
    (gradient,) = torch.autograd.grad(logits.sum(), clips, create_graph=True)
    (gradient.square().sum() + logits.sum()).backward()
    assert unmoved(model) == []
    assert (gradient.abs().amax(dim=(0, 1, 3, 4)) > 0).all() or kind == "frames"  # every frame counts


@each_shape
def test_the_shape_passes_the_check_of_the_params(size, tree):
    tree["clip"] |= dict(zip(("frames", "height", "width"), size, strict=True))
    tree["train"]["discriminator"]["frame_stride"] = 1
    assert check_params(tree, "params.yaml").clip.frames == size[0]
