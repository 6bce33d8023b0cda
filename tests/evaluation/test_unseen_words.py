"""New words are asked for the seen object that is nearest to them, and told of by how near it is."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from measured_clips import change, measured, reference

from pipeline.errors import UserError
from pipeline.evaluation.clip_sets import assign_neighbours, insert_new_words, select_hosts
from pipeline.evaluation.evaluate import Evaluation
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.report import write_words
from pipeline.judges import NewWord
from pipeline.text.embeddings import Embeddings, SeenObjects, extend_vocabulary
from pipeline.text.vocabulary import Vocabulary
from tests.judges.test_networks import CLASSES, CLIPS, PROMPTS, caption

ANGLES = {"book": 0.0, "mug": 2.0, "pen": 4.0, "novel": 0.1, "cup": 2.9}
WORDS = ("<pad>", "<unk>", *sorted({word for clip in CLIPS for word in clip.caption.split()}))


def unit(word):
    return [np.cos(ANGLES[word]), np.sin(ANGLES[word])] if word in ANGLES else [0.0, 0.0]


@pytest.fixture
def vocabulary():
    return Vocabulary(words=WORDS, model=None, lemmas=False, unlearned=0, actions=())


@pytest.fixture
def seen(vocabulary):
    vectors = np.array([unit(word) for word in WORDS], np.float32)
    spare = np.array([unit("novel"), unit("cup")], np.float16)
    embeddings = Embeddings(WORDS, vectors, ("novel", "cup"), spare, False, len(WORDS))
    return SeenObjects([clip.objects[0] for clip in CLIPS], vocabulary, embeddings), embeddings


def test_a_held_out_object_should_look_like_the_nearest_and_one_without_a_vector_like_nothing(seen):
    asked = assign_neighbours(PROMPTS[:2], ["novel", "violin"], seen[0], CLASSES)
    assert [one.object for one in asked] == [CLASSES.find_object("book"), -1]
    assert (asked[0].new.name, asked[0].new.near) == ("novel", "book")
    assert asked[0].new.cosine == pytest.approx(np.cos(0.1), abs=1e-3)
    assert asked[0].category == PROMPTS[0].category


def hosts():
    texts = {clip.id: replace(caption(clip), slots=(0, -1, 1, 0, 0, 0, 0)) for clip in CLIPS}
    return select_hosts(CLIPS, texts)


def test_a_new_word_stands_in_one_caption_of_each_category(seen, vocabulary):
    larger, _ = extend_vocabulary(["cup"], vocabulary, seen[1])
    asked = insert_new_words(["cup"], hosts(), seen[0], larger, CLASSES)
    assert len({one.category for one in asked}) == len(asked) == 2
    assert [" a cup from " in one.caption.text for one in asked] == [True, True]
    assert {one.caption.token_ids[2] for one in asked} == {len(WORDS)}
    assert {one.object for one in asked} == {CLASSES.find_object("mug")}
    assert len({one.meaning for one in asked}) == 2


def test_a_word_without_a_vector_is_named(seen, vocabulary):
    with pytest.raises(UserError, match=r"evaluate\.new_words: there is no vector for 'violin'"):
        insert_new_words(["violin"], hosts(), seen[0], vocabulary, CLASSES)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_words_are_told_one_by_one_and_by_tenths_of_their_nearness(tmp_path):
    news = [NewWord("novel", "book", 0.86), NewWord("tome", "book", 0.8), NewWord("cup", "mug", 0.61)]
    base = measured(30)
    prompts = [replace(base.prompts[row], object=0, new=news[row % 3]) for row in range(30)]
    wrong = np.array([row % 3 == 2 and row < 15 for row in range(30)])
    found = change(base, prompts=prompts, objects=np.where(wrong, 1, 0))
    write_words(tmp_path, Evaluation(METRICS, {}, {"model, words": found}, reference(), []))
    words = rows(tmp_path / "words.csv")
    assert [(row["name"], row["nearest"], row["looks_like_nearest"]) for row in words] == [
        ("novel", "book", "1"),
        ("tome", "book", "1"),
        ("cup", "mug", "0.5"),
    ]
    bins = rows(tmp_path / "nearness.csv")
    assert [(row["cosine_from"], row["cosine_to"], row["words"], row["clips"]) for row in bins] == [
        ("0.8", "0.9", "2", "20"),
        ("0.6", "0.7", "1", "10"),
    ]


def test_an_untrained_judge_says_nothing_about_words(tmp_path):
    found = change(measured(10), prompts=[replace(one, new=NewWord("cup", "mug", 0.6)) for one in measured(10).prompts])
    untrained = reference(unavailable_reason="no clips to learn from")
    write_words(tmp_path, Evaluation(METRICS, {}, {"model, words": found}, untrained, []))
    assert rows(tmp_path / "words.csv") == []
