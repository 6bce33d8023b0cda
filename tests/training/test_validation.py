"""What validation says of networks whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from training_sets import LEFT, RIGHT, moving_square

from pipeline.data.dataset import to_training
from pipeline.training.validation import (
    MIN_CLIPS,
    ValidationClips,
    ValidationSet,
    compute_features,
    eval_mode,
    measure_discrepancy,
)

THINGS = ("book", "mug", "pen")


class Brightness(nn.Module):
    """A discriminator whose logit is known: the mean of the frames, from -1 to 1."""

    def forward(self, frames, token_ids):  # noqa: ARG002
        return frames.flatten(1).mean(dim=1)


def squares(count, direction=None, seed=0):
    """Clips of squares at random places that cross the picture, and which way each goes."""
    rng = np.random.default_rng(seed)
    ways = [direction or (RIGHT, LEFT)[row % 2] for row in range(count)]
    frames = [moving_square(THINGS[row % 3], way, int(rng.integers(0, 5))) for row, way in enumerate(ways)]
    noisy = np.array(frames).astype(int) + rng.integers(-9, 10, (count, *frames[0].shape))
    return noisy.clip(0, 255).astype(np.uint8), [{RIGHT: "right", LEFT: "left"}[way] for way in ways]


def few(frames, moves):
    return ValidationClips(moves, frames, torch.arange(len(frames))[:, None])


class Drawn:
    """A generator that draws these clips, whatever the noise: for each caption the one of its row."""

    z_width = 4

    def __init__(self, frames):
        self.clips = to_training(torch.from_numpy(frames))

    def __call__(self, z, token_ids):  # noqa: ARG002
        return self.clips[token_ids[:, 0]]


def networks(frames, discriminator=None):
    return SimpleNamespace(average=Drawn(frames), discriminator=discriminator or Brightness())


def even(grey, count=24):
    return np.full((count, 8, 16, 16, 3), grey, np.uint8)


def test_gaps_are_differences_of_mean_logits():
    moves = [""] * 24
    validation = ValidationSet(1, few(even(204), moves), few(even(102), moves), 5)
    row = validation.measure(networks(even(51)))
    assert row["val/discriminator_gap"] == pytest.approx((204 - 102) * 2 / 255)
    assert row["val/discriminator_gap_generated"] == pytest.approx((102 - 51) * 2 / 255)


def test_nothing_is_compiled_for_a_validation():
    """Without gradients and at rest a network is compiled once more, and for the rest of the clips again."""
    compiled = []

    def compiler(graph, inputs):
        compiled.append(inputs)
        return graph.forward

    critic = Brightness()
    critic.compile(backend=compiler, dynamic=False)
    frames, moves = squares(24)
    ValidationSet(1, few(frames, moves), few(frames, moves), 7).measure(networks(frames, critic))
    assert compiled == []
    critic(torch.zeros(2, 3, 8, 16, 16), None)  # but as soon as it is over
    assert len(compiled) == 1


def test_how_many_clips_go_through_at_once_makes_no_difference():
    frames, moves = squares(24)
    drawn = networks(squares(24, seed=3)[0])
    rows = [ValidationSet(1, few(frames, moves), few(frames, moves), at).measure(drawn) for at in (1, 7, 64)]
    assert rows[1] == pytest.approx(rows[0])
    assert rows[2] == pytest.approx(rows[0])


def test_the_share_of_samples_that_move_as_their_caption_says():
    frames, moves = squares(24)
    validation = ValidationSet(1, few(frames, moves), few(frames, moves), 8)
    assert validation.measure(networks(frames))["val/motion_direction"] == 1.0
    assert validation.measure(networks(frames[:, ::-1].copy()))["val/motion_direction"] == 0.0
    assert validation.measure(networks(squares(24, RIGHT)[0]))["val/motion_direction"] == 0.5


def test_without_enough_captions_that_say_a_direction_there_is_no_share_of_them():
    frames, moves = squares(24)
    said = moves[: MIN_CLIPS - 1] + [""] * (24 - MIN_CLIPS + 1)
    row = ValidationSet(1, few(frames, said), few(frames, said), 8).measure(networks(frames))
    assert "val/motion_direction" not in row
    assert {"val/discrepancy", "val/discriminator_gap"} < set(row)


def test_the_discrepancy_of_real_clips_is_small_and_that_of_cheats_is_not():
    real, other = compute_features(squares(60)[0]), squares(60, seed=7)[0]
    same = abs(measure_discrepancy(real, compute_features(other)))
    cheats = {
        "frozen": np.repeat(other[:, 4:5], 8, axis=1),
        "mean": np.repeat(other.mean(axis=0, keepdims=True), 60, axis=0).astype(np.uint8),
        "one clip": np.repeat(other[:1], 60, axis=0),
        "shuffled frames": other[:, [3, 6, 0, 7, 1, 4, 2, 5]],
        "noise": np.random.default_rng(1).integers(0, 256, other.shape).astype(np.uint8),
        "grey": np.full_like(other, 128),
    }
    found = {name: measure_discrepancy(real, compute_features(clips)) for name, clips in cheats.items()}
    assert same < 0.5
    assert {name: value for name, value in found.items() if value < 2 * max(same, 0.25)} == {}


def test_looks_of_both_kinds_weigh_the_same():
    """Details alone, and places alone, each as two sets that are the same in the other: as far apart."""
    rng = np.random.default_rng(5)
    a, b, shift = rng.normal(size=(500, 12)), rng.normal(size=(500, 768)), 1.0
    details = measure_discrepancy([a, b], [a + shift, b])
    places = measure_discrepancy([a, b], [a, b + shift])
    assert details == pytest.approx(places, rel=0.15)


def test_measuring_leaves_a_discriminator_with_spectral_norms_as_it_was():
    class Normed(Brightness):
        def __init__(self):
            super().__init__()
            self.layer = spectral_norm(nn.Linear(3, 64))  # of 3 by 3 the norm is often exact before it learns

        def forward(self, frames, token_ids):
            return super().forward(self.layer(frames.movedim(1, -1)), token_ids)

    discriminator = Normed()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    frames, moves = squares(24)
    ValidationSet(1, few(frames, moves), few(frames, moves), 8).measure(networks(frames, discriminator))
    assert discriminator.training
    assert all(torch.equal(value, before[name]) for name, value in discriminator.state_dict().items())
    discriminator(to_training(torch.from_numpy(frames)), None)
    assert not all(torch.equal(value, before[name]) for name, value in discriminator.state_dict().items())


def test_a_network_comes_back_from_its_rest_even_after_an_error():
    model = nn.Dropout()
    with pytest.raises(KeyError), eval_mode(model):
        assert not model.training
        raise KeyError
    assert model.training
