"""New names in place of the objects of captions, and their nearest seen objects."""

import numpy as np
import pytest
from made import make_caption

from pipeline.errors import UserError
from pipeline.text.embeddings import Embeddings, SeenObjects, replace_object
from pipeline.text.vocabulary import Vocabulary

WORDS = ("<pad>", "<unk>", "pushing", "a", "an", "the", "box", "onto", "table", "album", "photo")
VOCABULARY = Vocabulary(WORDS)


def caption(text, *slots):
    return make_caption(text, VOCABULARY.encode(text.split()), slots)


ONTO = caption("pushing a old box onto a table", 0, -1, 1, 1, 0, -2, 2)


@pytest.mark.parametrize(
    ("name", "expected", "slots"),
    [
        ("photo", "pushing a photo onto a table", (0, -1, 1, 0, -2, 2)),
        ("album", "pushing an album onto a table", (0, -1, 1, 0, -2, 2)),
        ("Photo-album", "pushing a photo album onto a table", (0, -1, 1, 1, 0, -2, 2)),
    ],
)
def test_the_first_object_gives_way_with_all_its_words_and_the_article_suits(name, expected, slots):
    put = replace_object(ONTO, name, VOCABULARY)
    assert (put.text, " ".join(put.tokens), put.slots) == (expected, expected, slots)
    assert [WORDS[number] for number in put.token_ids] == expected.split()


def test_other_articles_stay_and_so_does_one_that_the_vocabulary_could_not_exchange():
    assert replace_object(caption("pushing the box", 0, -1, 1), "album", VOCABULARY).text == "pushing the album"
    short = Vocabulary(("<pad>", "<unk>", "pushing", "a", "box"))
    assert replace_object(caption("pushing a box", 0, -1, 1), "album", short).text == "pushing a album"


def seen_objects(*names):
    vectors = {"box": (3, 4), "table": (0, 1), "album": (1, 0)}
    rows = np.array([vectors.get(word, (0, 0)) for word in WORDS], np.float32)
    return SeenObjects(names, VOCABULARY, Embeddings(WORDS, rows, (), np.zeros((0, 2), np.float16), False, len(WORDS)))


def test_the_nearest_seen_object_is_told_with_its_cosine():
    assert str(seen_objects("box", "table", "photo").require_nearest("album")) == "box 0.60"
    assert seen_objects("box").find_nearest("photo") is None


@pytest.mark.parametrize(
    ("word", "message"),
    [("box", "training shows 'box' already"), ("photo", "no vector for 'photo'"), ("?!", r"no vector for '\?!'")],
)
def test_a_word_that_cannot_be_tried_is_named(word, message):
    with pytest.raises(UserError, match=rf"render\.new_words: .*{message}"):
        seen_objects("box", "table").require_nearest(word)
