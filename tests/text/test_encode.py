"""Free captions."""

import pytest
from captions import chosen, object_tokens
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.text.captions import tokenize_clips
from pipeline.text.tokenizer import encode
from pipeline.text.vocabulary import build_vocabulary

VOCABULARY = build_vocabulary([["pushing", "a", "red", "mug", "from", "left", "to", "right"]], 1)


def test_a_known_caption_becomes_the_ids_of_training_and_has_no_unknown_words():
    encoded = encode("Pushing a red mug, from left to right!", VOCABULARY, 32)
    assert encoded.caption.tokens == ("pushing", "a", "red", "mug", "from", "left", "to", "right")
    assert [VOCABULARY.words[number] for number in encoded.caption.token_ids] == list(encoded.caption.tokens)
    assert encoded.unknown == ()


def test_unknown_words_are_told_once_each_in_order():
    encoded = encode("pushing a wug, a blicket and a wug", VOCABULARY, 32)
    assert encoded.unknown == ("wug", "blicket", "and")
    assert encoded.caption.token_ids.count(1) == 4


@pytest.mark.parametrize(
    ("caption", "message"),
    [("", "holds no word"), ("?!", "holds no word"), ("a " * 33, "33 words, and tokenize.max_tokens is 32")],
)
def test_a_caption_that_cannot_be_sampled_from_says_why(caption, message):
    with pytest.raises(UserError, match=message):
        encode(caption, VOCABULARY, 32)


def test_objects_of_a_typed_caption_are_found_by_the_actions_of_training():
    clips = [chosen("1", "pushing a mug onto the box", "Pushing [something] onto [something]", "a mug", "the box")]
    vocabulary = tokenize_clips(clips, tokenizing()).vocabulary
    typed = encode("Pushing the very big wug onto a blicket", vocabulary, 32).caption
    assert object_tokens(typed) == ("very", "big", "wug", "blicket")
    assert typed.action_tokens == ("pushing", "onto")
    seen = encode("pushing a mug onto the box", vocabulary, 32).caption
    assert (seen.token_ids, seen.slots) == (vocabulary.encode(seen.tokens), (0, -1, 1, 0, -2, 2))


def test_a_typed_caption_unlike_all_of_training_has_no_object():
    assert encode("a mug that dances", VOCABULARY, 32).caption.slots == (0, 0, 0, 0)
