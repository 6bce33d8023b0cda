"""Rare and unknown words: dropped, <unk>, or with an id of their own."""

import pytest
from captions import pushed
from made import make_clip
from pydantic import ValidationError
from settings import TREE, tokenizing

from pipeline.errors import UserError
from pipeline.params import TokenizeParams
from pipeline.records import Drop
from pipeline.text.captions import tokenize_clips

SUBWORD = {**TREE["tokenize"]["embeddings"], "source": "subword"}
CLIPS = [
    *(pushed(f"book{number}", "book") for number in range(3)),
    pushed("mug", "mug"),
    pushed("val", "book", "val"),
    pushed("val_mug", "mug", "val"),
    pushed("val_new", "wug", "val"),
    pushed("held_out", "blicket", "test_words"),
    make_clip("held_out_odd", "tossing a blicket up", "test_words", "Tossing [something] up", ("blicket",)),
]


def test_clips_with_rare_words_are_dropped_but_for_the_objects_of_test_words():
    done = tokenize_clips(CLIPS, tokenizing(oov="drop", min_word_count=2))
    assert [caption.id for caption in done.captions] == ["book0", "book1", "book2", "val", "held_out"]
    assert done.drops[0] == Drop(
        "mug", "rare_word", "'mug' occurs 1 time in the train split, tokenize.min_word_count is 2"
    )
    assert [(drop.id, drop.reason) for drop in done.drops[1:]] == [
        ("val_mug", "rare_word"),
        ("val_new", "rare_word"),
        ("held_out_odd", "rare_word"),  # for `tossing` and `up`, which no object explains
    ]
    unknown = {
        caption.id: caption.tokens[caption.token_ids.index(1)] for caption in done.captions if 1 in caption.token_ids
    }
    assert unknown == {"held_out": "blicket"}


def test_held_out_words_of_captions_without_objects_drop_no_clip():
    clips = [make_clip("1", "a cup falls"), make_clip("2", "a blicket falls", "test_words")]
    assert tokenize_clips(clips, tokenizing(oov="drop")).drops == []


def test_a_word_that_becomes_rare_by_a_drop_drops_its_clips_as_well():
    clips = [
        make_clip("1", "a b"),
        make_clip("2", "b c"),
        make_clip("3", "c d d"),
        make_clip("4", "d e"),
        make_clip("5", "e e"),
    ]
    done = tokenize_clips(clips, tokenizing(oov="drop", min_word_count=2))
    # a stands once, so 1 goes; then b, so 2; then c, so 3; then d, so 4; only e is left.
    assert [caption.id for caption in done.captions] == ["5"]
    assert [drop.detail[:3] for drop in done.drops] == ["'a'", "'b'", "'c'", "'d'"]
    assert done.vocabulary.words == ("<pad>", "<unk>", "e")


def test_no_train_caption_has_an_unknown_word_where_they_are_dropped():
    clips = [make_clip(str(number), text) for number, text in enumerate(["a b c", "a b", "a c c", "b", "d a", "d d e"])]
    for least in (1, 2, 3):
        done = tokenize_clips(clips, tokenizing(oov="drop", min_word_count=least))
        assert all(1 not in caption.token_ids for caption in done.captions)
        assert len(done.captions) + len(done.drops) == len(clips)


def test_rare_words_become_unknown_and_captions_of_nothing_else_are_dropped():
    clips = [*CLIPS, make_clip("odd", "wug wug", "val"), make_clip("alone", "thing", "train")]
    done = tokenize_clips(clips, tokenizing(oov="unk", min_word_count=2))
    assert done.drops == [
        Drop("odd", "no_known_word", "none of its words is in the vocabulary"),
        Drop("alone", "no_known_word", "none of its words is in the vocabulary"),
    ]
    assert "mug" not in done.vocabulary.ids
    assert {caption.id: caption.token_ids.count(1) for caption in done.captions}["held_out_odd"] == 3


def test_with_subwords_every_word_keeps_an_id_and_those_not_learned_come_last():
    done = tokenize_clips(CLIPS, tokenizing(oov="subword", min_word_count=2, embeddings=SUBWORD))
    known = len(done.vocabulary) - done.vocabulary.unlearned
    assert done.vocabulary.words[2:known] == ("a", "from", "left", "pushing", "right", "to", "book")
    assert done.vocabulary.words[known:] == ("blicket", "mug", "tossing", "up", "wug")
    for caption in done.captions:
        assert tuple(done.vocabulary.words[number] for number in caption.token_ids) == caption.tokens


def test_words_not_learned_need_vectors():
    section = {**TREE["tokenize"], "oov": "subword"}
    with pytest.raises(ValidationError, match=r"tokenize\.oov subword needs vectors.*embeddings\.source"):
        TokenizeParams.model_validate(section)


def test_where_every_train_clip_is_dropped_the_message_counts_why():
    with pytest.raises(UserError, match=r"no caption of the train split is left \(2 rare_word, 1 too_many_tokens\)"):
        tokenize_clips(
            [make_clip("1", "a b"), make_clip("2", "c"), make_clip("3", "d d d d")],
            tokenizing(oov="drop", min_word_count=2, max_tokens=3),
        )
