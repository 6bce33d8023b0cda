"""Figures by pretrained networks: stand-ins whose features are known, the papers' own formulas beside them."""

from dataclasses import replace

import numpy as np
import pytest
from measured_clips import change, measured, prompt, reference
from pretrained_files import Reader, StandIn, write_i3d
from scipy.linalg import sqrtm

from pipeline.errors import UserError
from pipeline.evaluation.distances import MIN_DISTANCE_CLIPS
from pipeline.evaluation.measured_clips import CaptionBank
from pipeline.evaluation.metric import measure_all
from pipeline.evaluation.pretrained_metrics import PRETRAINED_METRICS, open_networks, population_frechet
from pipeline.pretrained.networks import NETWORK_PATHS

BANK = [prompt(thing) for thing in range(8)]


MATCHES = ("clip_r_precision_at_1", "clip_similarity")


def measure_with(clips=1000, bank=BANK, **networks):
    """Measures by these networks, with so many clips of each set at most."""

    def measure(seen, stick):
        changes = {"networks": networks, "pretrained_clips": clips, "bank": CaptionBank(bank, 5)}
        return measure_all(PRETRAINED_METRICS, seen, replace(stick, **changes))

    return measure


def showing(things, prompts):
    """Clips whose first value is the number of a thing."""
    seen = measured(len(things), prompts=prompts)
    seen.frames[:, 0, 0, 0, 0] = things
    return seen


def styleganv_fvd(real, fake):
    """As that project sums up its features: second moments less the outer product of the means."""
    moments = [(x.mean(axis=0), x.T @ x / len(x) - np.outer(x.mean(axis=0), x.mean(axis=0))) for x in (real, fake)]
    (mean, covariance), (other, others) = moments
    return np.square(mean - other).sum() + np.trace(covariance + others - 2 * sqrtm(others @ covariance)).real


@pytest.mark.parametrize(("count", "width"), [(60, 8), (500, 40)])
def test_frechet_distances_are_those_of_stylegan_v(count, width):
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(width, width))
    real, fake = rng.normal(size=(count, width)) @ mixing, rng.normal(0.2, 1.3, (count, width)) @ mixing.T
    assert population_frechet(real, fake) == pytest.approx(styleganv_fvd(real, fake), rel=1e-4)


def test_without_networks_there_are_reasons_and_no_numbers():
    figures = measure_with()(measured(60), reference())
    assert tuple(figures) == tuple(PRETRAINED_METRICS)
    for name, figure in figures.items():
        place = NETWORK_PATHS[PRETRAINED_METRICS[name].network]
        assert (figure.value, figure.low) == (None, None)
        assert figure.reason == f"no {place} in evaluate.pretrained.weights; see docs/how-to/pretrained-metrics.md"
    some = measure_with(i3d=StandIn(), clip=Reader())(measured(60), reference(equal=50))
    absent = {name for name, figure in some.items() if figure.reason.startswith("no v")}
    assert absent == {name for name in PRETRAINED_METRICS if name.startswith("v")}


def test_distances_are_those_of_the_raw_features_at_equal_numbers():
    seen, stick = measured(240, 7), reference(equal=50)
    figures = measure_with(i3d=StandIn())(seen, stick)
    real, fake = (side.frames[:50].reshape(50, -1)[:, :5].astype(float) for side in (stick.real, seen))
    assert figures["fvd"].value == pytest.approx(styleganv_fvd(real, fake), rel=1e-4)
    assert figures["fvd"].low < figures["fvd"].value < figures["fvd"].high
    assert (figures["fvd"].clips, figures["kvd"].clips) == (50, 50)
    kernel = [((a @ b.T / 5 + 1) ** 3) for a, b in ((real, real), (fake, fake), (real, fake))]
    within = sum(one[~np.eye(50, dtype=bool)].mean() for one in kernel[:2])
    assert figures["kvd"].value == pytest.approx(within - 2 * kernel[2].mean(), rel=1e-9)


@pytest.mark.parametrize("count", [1, MIN_DISTANCE_CLIPS - 1])
def test_few_clips_give_no_figure_but_the_number_that_is_needed(count):
    figure = measure_with(i3d=StandIn())(measured(count), reference())["kvd"]
    assert (figure.value, figure.reason) == (None, f"{count} clips on either side, {MIN_DISTANCE_CLIPS} are needed")


def test_a_frechet_distance_needs_more_clips_than_features():
    figures = measure_with(i3d=StandIn(60))(measured(80), reference())
    assert figures["fvd"].reason == (
        "60 clips on either side, 61 are needed for 60 features: "
        "raise evaluate.samples, real_clips and pretrained.clips, or the clips in test and val"
    )
    assert figures["kvd"].value is not None


def test_clips_that_a_network_cannot_see_say_why():
    still = change(measured(60), frames=measured(60).frames[:, :1])
    assert measure_with(i3d=StandIn())(still, reference())["fvd"].reason == "clips of 1 frames, 2 are needed"


def test_the_real_set_is_not_compared_with_itself_and_equal_real_clips_give_no_distance():
    stick = reference()
    assert measure_with(i3d=StandIn())(stick.real, stick)["fvd"].reason == "what the others are compared with"
    alike = change(measured(60), frames=np.ones_like(measured(60).frames))
    figures = measure_with(i3d=StandIn())(measured(60), reference(alike))
    assert figures["fvd"].reason == figures["kvd"].reason == "the real clips are all the same"


def test_each_set_is_seen_once_and_no_more_of_it_than_allowed():
    network, stick = StandIn(), reference()
    found = measure_with(clips=30, i3d=network)
    figures = [found(measured(count, 9), stick)["fvd"] for count in (60, 25)]
    assert [figure.clips for figure in figures] == [30, 25]
    assert network.seen["clips"] == 30 + 30 + 25


def test_clip_tells_how_well_clips_fit_their_captions_and_which_caption_is_theirs():
    things = np.arange(24) % 8
    prompts = [prompt(thing) for thing in things]
    right = measure_with(clip=Reader())(showing(things, prompts), reference())
    assert [right[name].value for name in MATCHES] == [1, 1]
    shown = np.where(np.arange(24) < 6, things, 11)  # the others show what no caption names
    some = measure_with(clip=Reader())(showing(shown, prompts), reference())
    assert some["clip_similarity"].value == 6 / 24
    swapped = measure_with(clip=Reader())(showing((things + 1) % 8, prompts), reference())
    assert swapped["clip_similarity"].value == 0
    assert swapped["clip_r_precision_at_1"].value < 0.5


def test_with_too_few_wrong_captions_clip_tells_the_fit_alone():
    prompts = [prompt(thing % 8) for thing in range(24)]
    figures = measure_with(100, BANK[:3], clip=Reader())(showing(np.arange(24) % 8, prompts), reference())
    assert figures["clip_r_precision_at_1"].reason == "clips that it applies to: 0, needed: 10"
    assert figures["clip_similarity"].value == 1


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_folder_is_opened_on_the_device_of_the_run_and_only_where_it_holds_a_network(tmp_path):
    assert open_networks(tmp_path, "99", "off") == {}  # whatever devices there are
    write_i3d(tmp_path / NETWORK_PATHS["i3d"])
    networks = open_networks(tmp_path, "cpu", "auto")
    assert list(networks) == ["i3d"]
    clips = measured(30, frames=np.random.default_rng(1).integers(0, 256, (30, 10, 8, 8, 3), dtype=np.uint8))
    real = measured(30, frames=np.random.default_rng(2).integers(0, 256, (30, 10, 8, 8, 3), dtype=np.uint8))
    figures = measure_with(**networks)(clips, reference(real))
    assert figures["kvd"].value is not None
    assert figures["fvd"].reason == (
        "30 clips on either side, 401 are needed for 400 features: "
        "raise evaluate.samples, real_clips and pretrained.clips, or the clips in test and val"
    )
    with pytest.raises(UserError, match="names GPU 99"):
        open_networks(tmp_path, "99", "off")
