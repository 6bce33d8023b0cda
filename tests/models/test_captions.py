"""The caption encoders: order counts, padding does not, one caption does not touch another."""

import pytest
import torch
import torch.nn.functional as F
from settings import changed
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from pipeline.models.caption_encoders import build_caption_encoder

TO_THE_RIGHT, TO_THE_LEFT = [2, 3, 4, 5, 6, 7], [2, 3, 4, 7, 6, 5]  # pushing a book from left to right; right to left
RAGGED = torch.tensor([[*TO_THE_RIGHT, 0, 0], [8, 9, 0, 0, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9, 10]])
ENCODERS = ("mean", "gru", "transformer")
GIVEN = torch.randn(12, 5, generator=torch.Generator().manual_seed(2))
GIVEN[0] = 0


def encoder(name="gru", given=None, width=8, **captions):
    torch.manual_seed(1)
    options = {"encoder": name, "width": width, "layers": 2, "heads": 2, **captions}
    return build_caption_encoder(
        changed({"train": {"captions": {"words": "trained", "conditioning": "caption"} | options}}).train.captions,
        12,
        given,
    )


each_encoder = pytest.mark.parametrize("name", ENCODERS)


@each_encoder
@pytest.mark.parametrize("given", [None, GIVEN])
def test_a_caption_becomes_one_vector_of_mean_square_one_and_a_state_per_word(name, given):
    cond, states = encoder(name, given).read(RAGGED)
    assert (cond.shape, states.shape) == ((3, 8), (3, 8, 8))
    torch.testing.assert_close(cond.square().mean(dim=1), torch.ones(3), atol=1e-3, rtol=0)
    assert states[0, 6:].abs().max() == 0
    assert states[1, 2:].abs().max() == 0
    assert (states[2].abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize(("name", "reads_order"), [("mean", False), ("gru", True), ("transformer", True)])
def test_the_same_words_in_another_order_mean_another_thing_to_all_but_the_mean(name, reads_order):
    right, left = encoder(name)(torch.tensor([TO_THE_RIGHT, TO_THE_LEFT]))
    assert ((right - left).abs().max() > 1e-3) == reads_order


@each_encoder
@pytest.mark.parametrize("more", [1, 5])
def test_padding_does_not_change_a_captions_vector(name, more):
    padded, plain = (encoder(name)(torch.tensor([TO_THE_RIGHT + [0] * count])) for count in (more, 0))
    torch.testing.assert_close(padded, plain)


@each_encoder
def test_neither_vector_nor_states_depend_on_the_other_captions_of_a_batch(name):
    reader = encoder(name)
    cond, states = reader.read(RAGGED)
    for row, ids in enumerate(RAGGED):
        alone, words = reader.read(ids[ids > 0][None])
        torch.testing.assert_close(cond[row], alone[0])
        torch.testing.assert_close(states[row, : words.shape[1]], words[0])


@each_encoder
def test_every_word_of_a_caption_is_reached_and_padding_learns_nothing(name):
    reader = encoder(name)
    reader(torch.tensor([[*TO_THE_RIGHT, 0, 0]]))[:, :3].sum().backward()
    reached = reader.words.embedding.weight.grad.abs().sum(dim=1) > 0
    assert reached.nonzero().flatten().tolist() == sorted(TO_THE_RIGHT)


@each_encoder
def test_a_caption_without_a_word_is_still_a_number(name):
    """An object-only condition of a category that has no object."""
    cond, states = encoder(name).read(torch.zeros(2, 4, dtype=torch.int64))
    assert cond.isfinite().all()
    assert states.isfinite().all()


def test_the_gru_reads_as_torchs_packed_bidirectional_one_does():
    reader = encoder("gru")
    both = nn.GRU(8, 8, batch_first=True, bidirectional=True)
    for name, weight in reader.forwards.state_dict().items():
        both.load_state_dict({name: weight, f"{name}_reverse": reader.backwards.state_dict()[name]}, strict=False)
    lengths = (RAGGED != 0).sum(dim=1)
    words = reader.words.embedding(RAGGED)
    states, last = both(pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False))
    mean = words.sum(dim=1) / lengths[:, None].sqrt()
    cond = reader.project(torch.cat((mean, last[0], last[1]), dim=1))
    expected = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0]
    torch.testing.assert_close(reader(RAGGED), F.layer_norm(cond, cond.shape[1:]))
    torch.testing.assert_close(reader.read(RAGGED)[1], expected[..., :8] + expected[..., 8:])


def test_the_transformer_is_the_same_when_it_does_not_train():
    """torch has a faster way of its own then, which must agree."""
    reader = encoder("transformer")
    trained = reader(RAGGED)
    with torch.inference_mode():
        torch.testing.assert_close(reader.eval()(RAGGED), trained)


@each_encoder
def test_a_penalty_on_frames_teaches_the_encoder_through_their_slope(name):
    """The gradient of <frames * frames, cond> is 2 * frames * cond, so its square reaches the words by one backward."""
    reader = encoder(name)
    frames = torch.randn(3, 8, requires_grad=True)
    cond = reader(RAGGED)
    (gradient,) = torch.autograd.grad((frames.square() * cond).sum(), frames, create_graph=True)
    gradient.square().sum().backward()
    got = reader.words.embedding.weight.grad.clone()
    reader.zero_grad()
    (4 * frames.detach().square() * reader(RAGGED).square()).sum().backward()
    torch.testing.assert_close(got, reader.words.embedding.weight.grad)
    assert got.abs().max() > 0


@each_encoder
def test_given_words_that_are_near_each_other_sound_alike(name):
    given = GIVEN.clone()
    given[9] = given[4] + 0.01 * torch.randn(5)
    book, album, mug = encoder(name, given, words="frozen")(
        torch.tensor(
            [
                TO_THE_RIGHT,
                [9 if word == 4 else word for word in TO_THE_RIGHT],
                [10 if word == 4 else word for word in TO_THE_RIGHT],
            ]
        )
    )
    assert (book - album).norm() < 0.1 * (book - mug).norm()
