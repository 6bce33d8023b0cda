"""Word vectors: learned, given, of words never trained on."""

import pytest
import torch

from pipeline.models.caption_encoders import WordVectors
from pipeline.records import PAD_ID, UNKNOWN_ID
from pipeline.text import vocabulary

GIVEN = torch.tensor([[0.0, 0, 0], [0, 0, 0], [4, 0, 4], [0, 3, 0], [-1, 0, -1]])  # <pad>, <unk> and three words
CENTRED = torch.tensor([[3.0, -1, 3], [-1, 2, -1], [-2, -1, -2]])  # of which the mean is 1, 1, 1
MORE = torch.tensor([[7.0, -1, 7], [0, 0, 0], [0, 0, 1]])  # of which the first is twice as far from there as word 2


def words(given=GIVEN, *, trained):
    torch.manual_seed(1)
    return WordVectors(5, 8, given, trained=trained)


def test_without_given_vectors_each_word_has_its_learned_one():
    table = words(None, trained=True)
    assert torch.equal(table(torch.tensor([[3, 0]])), table.embedding.weight[torch.tensor([[3, 0]])])
    assert table.embedding.weight[0].abs().max() == 0


def test_given_vectors_come_through_the_projection_centred_and_equally_loud():
    table = words(trained=False)
    scaled = CENTRED / CENTRED.norm(dim=1, keepdim=True) * 3**0.5
    torch.testing.assert_close(table(torch.tensor([[2, 3, 4]]))[0], scaled @ table.project.weight.T)


def test_given_words_begin_as_loud_as_learned_ones():
    torch.manual_seed(1)
    given, ids = torch.randn(200, 50), torch.arange(1, 200)[None]
    loudness = [WordVectors(200, 64, table, trained=False)(ids).square().mean() for table in (given, None)]
    torch.testing.assert_close(*loudness, rtol=0.1, atol=0)


def test_a_shift_of_all_given_vectors_is_not_heard():
    known = GIVEN.any(dim=1, keepdim=True)
    shifted = words(GIVEN + known * torch.tensor([5.0, -2, 8]), trained=False)
    torch.testing.assert_close(shifted.pretrained, words(trained=False).pretrained)


def test_a_lone_given_vector_is_left_where_it_is():
    alone = words(GIVEN * (torch.arange(5) == 3)[:, None], trained=False)
    torch.testing.assert_close(alone.pretrained[3], torch.tensor([0, 3**0.5, 0]))


@pytest.mark.parametrize("trained", [True, False])
def test_only_a_word_without_a_vector_starts_from_one_of_its_own(trained):
    table = words(trained=trained)
    assert (table.embedding.weight.abs().sum(dim=1) > 0).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(("trained", "learn"), [(True, [1, 2, 3, 4]), (False, [1])])
def test_frozen_words_learn_nothing_of_their_own_unless_they_have_no_vector(trained, learn):
    table = words(trained=trained)
    table(torch.tensor([[1, 2, 3, 4, 0]])).square().sum().backward()
    (table(torch.tensor([[1, 2, 3, 4, 0]])) * torch.arange(8)).sum().backward()
    assert (table.embedding.weight.grad.abs().sum(dim=1) > 0).nonzero().flatten().tolist() == learn
    assert table.project.weight.grad.abs().max() > 0


def test_an_added_word_is_read_like_a_seen_one_in_its_direction():
    table = words(trained=False)
    table.add(MORE[:1])
    torch.testing.assert_close(*table(torch.tensor([[5, 2]]))[0])


def test_added_words_are_as_if_given_from_the_start():
    later, first = words(trained=False), words(torch.cat((GIVEN, MORE)), trained=False)
    later.add(MORE)
    assert torch.equal(later.pretrained, first.pretrained)
    assert torch.equal(later.mean, first.mean)


def test_words_without_a_vector_stay_without_one():
    table = words(torch.cat((GIVEN, MORE)), trained=True)
    assert table.pretrained.any(dim=1).tolist() == [False, False, True, True, True, True, False, True]
    table.add(torch.zeros(1, 3))
    assert not table.pretrained[-1].any()


def test_a_word_beyond_the_learned_ones_is_its_given_vector_and_unknown_without_one():
    table = words(torch.cat((GIVEN, MORE)), trained=True)
    twin, without = table(torch.tensor([[5, 6]]))[0]
    torch.testing.assert_close(twin, table(torch.tensor([[2]]))[0, 0])
    torch.testing.assert_close(without, table(torch.tensor([[1]]))[0, 0])
    assert torch.equal(words(None, trained=True)(torch.tensor([[9]])), words(None, trained=True)(torch.tensor([[1]])))


def test_given_vectors_are_no_part_of_the_state():
    assert words(trained=True).state_dict().keys() == {"embedding.weight", "project.weight"}


def test_the_ids_of_padding_and_of_unknown_words_are_those_of_the_vocabulary():
    assert vocabulary.Vocabulary((vocabulary.PAD_TOKEN, vocabulary.UNKNOWN_TOKEN)).ids == {
        "<pad>": PAD_ID,
        "<unk>": UNKNOWN_ID,
    }
