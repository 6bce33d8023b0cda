"""Words <-> ids."""

import json
from dataclasses import replace

import pytest

from pipeline.errors import UserError
from pipeline.text.vocabulary import build_vocabulary, read_vocabulary, write_vocabulary

CAPTIONS = [["b", "a", "c"], ["a", "b"], ["a", "d"]]


def test_words_come_by_count_and_then_by_alphabet_after_the_two_special_ones():
    assert build_vocabulary(CAPTIONS, 1).words == ("<pad>", "<unk>", "a", "b", "c", "d")
    assert build_vocabulary(CAPTIONS[::-1], 1) == build_vocabulary(CAPTIONS, 1)


def test_rare_words_are_left_out_and_become_unknown():
    vocabulary = build_vocabulary(CAPTIONS, 2)
    assert vocabulary.words == ("<pad>", "<unk>", "a", "b")
    assert vocabulary.encode(["b", "never", "a", "c"]) == (3, 1, 2, 1)


def test_no_token_is_ever_encoded_as_padding():
    assert 0 not in build_vocabulary(CAPTIONS, 1).encode(["a", "pad", "unk", "x"])


@pytest.mark.parametrize(("captions", "most"), [(CAPTIONS, 3), ([], 0)])
def test_an_empty_vocabulary_is_refused_with_the_commonest_count(captions, most):
    with pytest.raises(UserError, match=rf"tokenize\.min_word_count: no word .* 4 times.*occurs {most} times"):
        build_vocabulary(captions, 4)


def test_words_that_are_not_learned_come_last_by_alphabet_and_once():
    vocabulary = build_vocabulary(CAPTIONS, 2).with_unlearned(["z", "a", "c", "z"])
    assert vocabulary.words == ("<pad>", "<unk>", "a", "b", "c", "z")
    assert (vocabulary.unlearned, vocabulary.encode(["z", "never"])) == (2, (5, 1))


def test_a_written_vocabulary_lists_its_words_in_id_order_and_reads_back(tmp_path):
    vocabulary = replace(build_vocabulary([["müsli", "a", "a"]], 1), actions=("a * up",), model="m", lemmas=True)
    write_vocabulary(tmp_path / "v.json", vocabulary)
    written = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert written["words"] == ["<pad>", "<unk>", "a", "müsli"]
    assert read_vocabulary(tmp_path / "v.json") == vocabulary


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("{}", "no vocabulary of this version"),
        ('["<pad>", "<unk>", "a"]', "no vocabulary of this version"),
        ('{"words": [1, 2]}', "no vocabulary of this version"),
        ('{"words": ["a"]}', "different ones that begin with <pad>, <unk>"),
        ('{"words": ["<pad>", "<unk>", "a", "a"]}', "different ones"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, text, message):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(UserError, match=rf"v\.json: .*{message}.*`dvc repro"):
        read_vocabulary(tmp_path / "v.json")


def test_a_missing_vocabulary_is_named_with_the_stage_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"v\.json: no such file; `dvc repro tokenize`"):
        read_vocabulary(tmp_path / "v.json")
