"""A discriminator that memorised its training clips shows a gap; one that generalises shows none."""

import numpy as np
import pytest
import torch
from measured_clips import measured, prompt
from training_sets import train_project

from pipeline.data.dataset import pad, to_training
from pipeline.errors import UserError
from pipeline.evaluation.evaluate import select_scored
from pipeline.evaluation.memorisation import GENERATED, TRAINED, UNSEEN, CopySearch, average_logits, measure_gap
from pipeline.evaluation.metric import Reference
from pipeline.inference import Model, TrainedDiscriminator
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.params import TrainParams

RNG = np.random.default_rng(3)
NAMES = ("discriminator_gap", "discriminator_gap_ratio")


def gap(trained, unseen, generated):
    return measure_gap({TRAINED: trained, UNSEEN: unseen, GENERATED: generated}, resamples=400, seed=1)


def around(mean, count):
    return mean + RNG.normal(0, 0.5, count)


def test_the_gap_is_the_difference_of_the_means_and_its_ratio_is_in_units_of_real_to_generated():
    trained, unseen, generated = np.full(50, 2.0), np.full(50, 1.5), np.full(80, -3.0)
    figures = gap(trained, unseen, generated)
    assert [figures[name].value for name in NAMES] == [0.5, 0.1]
    assert [figures[name].low for name in NAMES] == [0.5, pytest.approx(0.1)]


def test_memorising_shows_and_generalising_does_not():
    general = gap(around(1, 120), around(1, 120), around(-2, 240))
    assert general["discriminator_gap"].low < 0 < general["discriminator_gap"].high
    memorised = gap(around(1, 120), around(-1, 120), around(-2, 240))
    assert memorised["discriminator_gap_ratio"].low > 0.5


def test_few_clips_say_nothing():
    few = gap(around(1, 9), around(1, 9), around(0, 60))
    assert {(few[name].value, few[name].reason) for name in NAMES} == {(None, "9 clips of each kind, 10 are needed")}


def test_training_clips_have_the_contents_of_the_unseen_ones_and_near_duplicates_are_none():
    """Half of the training clips show an object that hardly any unseen clip shows."""
    train = measured(60, 1, prompts=[prompt(0 if row < 30 else row % 3) for row in range(60)])
    unseen = measured(20, 2, prompts=[prompt(row % 3) for row in range(20)])
    unseen.frames[:5] = train.frames[:5]
    found = select_scored(Reference(unseen, unseen, CopySearch(train, unseen, "numpy"), 20, 10, 1))
    assert np.array_equal(found[UNSEEN].frames, unseen.frames[5:])
    assert [one.meaning for one in found[TRAINED].prompts] == [one.meaning for one in unseen.prompts[5:]]
    assert all((train.frames == clip).all(axis=(1, 2, 3, 4)).any() for clip in found[TRAINED].frames)


def test_where_generated_clips_are_taken_for_real_there_is_no_unit_to_measure_in():
    figures = gap(around(1, 100), around(1, 100), around(1, 100))
    assert figures["discriminator_gap"].value is not None
    reason = "the discriminator does not distinguish training clips from generated ones"
    assert figures["discriminator_gap_ratio"].reason == reason


def test_each_set_of_clips_has_its_mean_logit():
    figure = average_logits({"frozen": np.arange(11.0)}, 200, 1)["frozen"]
    assert (figure.value, figure.clips) == (5.0, 11)
    assert figure.low < 5 < figure.high


@pytest.fixture(scope="module", params=["none", "bgan"])
def model(request, tmp_path_factory):
    """The folder of a model; of `bgan` the discriminator judges groups of four."""
    mixed = {"loss": request.param, "group": 4}
    return train_project(tmp_path_factory.mktemp("gap"), total_clips=16, mixed=mixed) / "data/model"


def some_clips(count):
    frames = np.random.default_rng(5).integers(0, 256, (count, 8, 16, 16, 3), dtype=np.uint8)
    return frames, [prompt(row % 3).caption.token_ids for row in range(count)]


@pytest.mark.slow
def test_it_is_the_discriminator_of_the_model(model):
    """Twenty clips go through in more than one pass, and the last group is filled up."""
    read, (frames, token_ids) = Model(model), some_clips(20)
    logits = TrainedDiscriminator(model, read).compute_logits(frames, token_ids)
    params = TrainParams.model_validate(read.description["train"])
    network = CaptionedDiscriminator(read.shape, params, len(read.vocabulary)).eval()
    network.load_state_dict(TrainedDiscriminator(model, read)._network.state_dict())
    with torch.inference_mode():
        expected = network(to_training(torch.from_numpy(frames)), pad(token_ids))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert len(TrainedDiscriminator(model, read).compute_logits(*some_clips(7))) == 7


def test_absent_and_foreign_weights_are_named(model, tmp_path):
    read = Model(model)
    with pytest.raises(UserError, match=r"discriminator\.safetensors: no such file; `dvc repro train` creates it"):
        TrainedDiscriminator(tmp_path, read)
    (tmp_path / "discriminator.safetensors").write_bytes((model / "generator.safetensors").read_bytes())
    with pytest.raises(UserError, match="not the discriminator of this model"):
        TrainedDiscriminator(tmp_path, read)
