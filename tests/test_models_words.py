"""Word vectors: learned, given, of words never trained on."""

import pytest
import torch

from pipeline.models.words import WordVectors

GIVEN = torch.tensor([[0.0, 0, 0], [0, 0, 0], [3, 0, 4], [0, 2, 0]])  # <pad>, <unk> and two words


def words(given=GIVEN, *, trained):
    torch.manual_seed(1)
    return WordVectors(4, 8, given, trained=trained)


def test_without_given_vectors_each_word_has_its_learned_one():
    table = words(None, trained=True)
    assert torch.equal(table(torch.tensor([[3, 0]])), table.own.weight[torch.tensor([[3, 0]])])
    assert table.own.weight[0].abs().max() == 0


def test_given_vectors_come_through_the_projection_equally_loud():
    table = words(trained=False)
    scaled = torch.tensor([[0.6, 0, 0.8], [0, 1, 0]]) * 3**0.5
    torch.testing.assert_close(table(torch.tensor([[2, 3]]))[0], scaled @ table.project.weight.T)


@pytest.mark.parametrize("trained", [True, False])
def test_only_a_word_without_a_vector_starts_from_one_of_its_own(trained):
    table = words(trained=trained)
    assert (table.own.weight.abs().sum(dim=1) > 0).tolist() == [False, True, False, False]


@pytest.mark.parametrize(("trained", "learn"), [(True, [1, 2, 3]), (False, [1])])
def test_frozen_words_learn_nothing_of_their_own_unless_they_have_no_vector(trained, learn):
    table = words(trained=trained)
    table(torch.tensor([[1, 2, 3, 0]])).square().sum().backward()
    (table(torch.tensor([[1, 2, 3, 0]])) * torch.arange(8)).sum().backward()
    assert (table.own.weight.grad.abs().sum(dim=1) > 0).nonzero().flatten().tolist() == learn
    assert table.project.weight.grad.abs().max() > 0


def test_an_added_word_is_read_like_a_seen_one_with_its_vector():
    table = words(trained=False)
    table.add(torch.tensor([[6.0, 0, 8], [0, 0, 1]]))
    twin, other = table(torch.tensor([[4, 5]]))[0]
    torch.testing.assert_close(twin, table(torch.tensor([[2]]))[0, 0])
    torch.testing.assert_close(other, table.project.weight[:, 2] * 3**0.5)


def test_a_word_beyond_the_learned_ones_is_its_given_vector_and_unknown_without_one():
    more = torch.cat((GIVEN, torch.tensor([[0, 1.0, 0], [0, 0, 0]])))
    table = words(more, trained=True)
    twin, without = table(torch.tensor([[4, 5]]))[0]
    torch.testing.assert_close(twin, table(torch.tensor([[3]]))[0, 0])
    torch.testing.assert_close(without, table(torch.tensor([[1]]))[0, 0])
    assert torch.equal(words(None, trained=True)(torch.tensor([[7]])), words(None, trained=True)(torch.tensor([[1]])))


def test_given_vectors_are_no_part_of_the_state():
    assert words(trained=True).state_dict().keys() == {"own.weight", "project.weight"}
