"""Augmentation: one transform per clip for all its frames, as often as asked for, with gradients that pass through."""

from functools import cache

import pytest
import torch
from training_sets import tiny_params

from pipeline.losses import SharedRng
from pipeline.training.augmentation import augment, cut_out, recolour, translate

CPU = torch.device("cpu")
KINDS = {"translation": 0.25, "cutout": 0.5, "colour": 0.8}


@cache
def section(*kinds):
    """The section with these kinds on."""
    return tiny_params().train.augmentation.model_copy(update={kind: KINDS[kind] * (kind in kinds) for kind in KINDS})


def clips(count=4, seed=0):
    values = torch.rand(count, 3, 5, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return values.contiguous(memory_format=torch.channels_last_3d)


def augmented(frames, probability, *kinds, share=None, seed=1):
    torch.manual_seed(seed)
    share = share or slice(0, len(frames))
    return augment(frames[share], probability, section(*kinds), SharedRng(len(frames), share, CPU))


def test_nothing_is_drawn_or_copied_where_the_probability_is_zero():
    before = torch.get_rng_state()
    frames = clips()
    assert augment(frames, 0.0, section(*KINDS), SharedRng(4, slice(0, 4), CPU)) is frames
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_meets_as_many_clips_as_its_probability_says(kind):
    frames = clips(1).expand(2000, -1, -1, -1, -1)
    for probability in (0.2, 1.0):
        seen = augmented(frames, probability, kind)
        changed = (seen != frames).flatten(1).any(dim=1).float().mean().item()
        most = 1 - (1 - probability) ** 3 if kind == "colour" else probability  # of its three changes
        least = 0.9 * most  # a shift may round to none, a box lie outside of the pixels
        assert least - 0.03 <= changed <= most + 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_of_a_clip_get_the_same_transform(kind):
    """A clip that stands still still stands still."""
    still = clips(64)[:, :, :1].expand(-1, -1, 5, -1, -1)
    seen = augmented(still, 1.0, kind)
    torch.testing.assert_close(seen, seen[:, :, :1].expand_as(seen))
    assert (seen != still).any()


def test_translation_moves_by_whole_pixels_and_fills_with_grey():
    frames = clips(2)
    moved = translate(frames, torch.tensor([2, 0]), torch.tensor([-1, 0]))
    assert torch.equal(moved[0, :, :, 2:, :-1], frames[0, :, :, :-2, 1:])
    assert (moved[0, :, :, :2] == 0).all()
    assert (moved[0, :, :, :, -1] == 0).all()
    assert torch.equal(moved[1], frames[1])
    assert moved.is_contiguous(memory_format=torch.channels_last_3d)


def test_translation_stays_within_its_share_of_the_sides():
    """A quarter of 8 pixels: no clip loses more than two rows or columns."""
    seen = augmented(torch.ones(500, 3, 1, 8, 8), 1.0, "translation")
    kept = seen[:, 0, 0].sum(dim=(1, 2))
    assert kept.min().item() == 36
    assert seen[:, :, :, 2:-2, 2:-2].eq(1).all()


def test_colours_change_as_their_formulas_say():
    frames, ones, zero = clips(1), torch.ones(1), torch.zeros(1)
    torch.testing.assert_close(recolour(frames, ones * 0.3, ones, ones), frames + 0.3)
    grey = recolour(frames, zero, zero, ones)
    torch.testing.assert_close(grey, frames.mean(dim=1, keepdim=True).expand_as(frames))
    stretched = recolour(frames, zero, ones, ones * 1.5)
    torch.testing.assert_close(stretched.mean(), frames.mean())
    torch.testing.assert_close(stretched.std(), frames.std() * 1.5)
    torch.testing.assert_close(recolour(frames, zero, ones, ones), frames)


def test_a_box_is_cut_out_of_chosen_clips_and_may_stick_out():
    centre = torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    cut = cut_out(torch.ones(3, 3, 2, 8, 8), centre, 0.5, torch.tensor([True, True, False]))[:, 0, 0]
    expected = torch.ones(3, 8, 8)
    expected[0, 2:6, 2:6] = 0
    expected[1, :2, 6:] = 0
    assert torch.equal(cut, expected)


@pytest.mark.slow
def test_the_gradient_passes_through_to_the_clips():
    """To the generator, with every transform on: in float64 against finite differences."""
    frames = clips(2)[:, :, :1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmented(x, 1.0, *KINDS), frames)


def test_processes_that_share_a_batch_transform_it_as_one_process_would():
    frames = clips(6)
    whole = augmented(frames, 0.7, *KINDS)
    parts = [augmented(frames, 0.7, *KINDS, share=slice(first, first + 2)) for first in (0, 2, 4)]
    torch.testing.assert_close(torch.cat(parts), whole)
