"""The caption encoder: order counts, padding does not, one caption does not touch another."""

import pytest
import torch

from pipeline.models.captions import GruCaptionEncoder

TO_THE_RIGHT, TO_THE_LEFT = [2, 3, 4, 5, 6, 7], [2, 3, 4, 7, 6, 5]  # pushing a book from left to right; right to left


@pytest.fixture
def encoder():
    torch.manual_seed(1)
    return GruCaptionEncoder(words=12, width=8)


def test_one_vector_per_caption(encoder):
    assert encoder(torch.tensor([TO_THE_RIGHT, TO_THE_LEFT])).shape == (2, 8)


def test_the_same_words_in_another_order_mean_another_thing(encoder):
    right, left = encoder(torch.tensor([TO_THE_RIGHT, TO_THE_LEFT]))
    assert (right - left).abs().max() > 1e-3


@pytest.mark.parametrize("more", [1, 5])
def test_padding_does_not_change_a_captions_vector(encoder, more):
    torch.testing.assert_close(
        encoder(torch.tensor([TO_THE_RIGHT + [0] * more])), encoder(torch.tensor([TO_THE_RIGHT]))
    )


def test_a_captions_vector_does_not_depend_on_its_batch(encoder):
    ids = torch.tensor([[*TO_THE_RIGHT, 0, 0], [8, 9, 0, 0, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9, 10]])
    torch.testing.assert_close(encoder(ids), torch.cat([encoder(row[None]) for row in ids]))


def test_every_word_of_a_caption_is_heard_and_padding_learns_nothing(encoder):
    encoder(torch.tensor([[*TO_THE_RIGHT, 0, 0]])).square().sum().backward()
    heard = encoder.words.weight.grad.abs().sum(dim=1) > 0
    assert heard.nonzero().flatten().tolist() == sorted(TO_THE_RIGHT)
