"""All captions of the chosen clips."""

import pytest
from made import make_clip
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.records import Caption, Drop
from pipeline.text.captions import tokenize_clips

OPTIONS = tokenizing(max_tokens=4, min_word_count=1)


def test_captions_keep_their_text_and_get_words_and_ids():
    done = tokenize_clips([make_clip("1", "Up, up!"), make_clip("2", "go up", "val")], OPTIONS)
    assert done.captions == [
        Caption("1", "Up, up!", ("up", "up"), (2, 2), (0, 0)),
        Caption("2", "go up", ("go", "up"), (1, 2), (0, 0)),  # `go` is never trained on
    ]


def test_only_kept_captions_of_the_train_split_make_words():
    clips = [make_clip("1", "up"), make_clip("2", "five words are too many"), make_clip("3", "down", "test_words")]
    assert tokenize_clips(clips, OPTIONS).vocabulary.words == ("<pad>", "<unk>", "up")


def test_captions_without_words_and_with_too_many_are_dropped_with_their_reason():
    done = tokenize_clips(
        [make_clip("1", "?!"), make_clip("2", "one two three four five"), make_clip("3", "one two three four")], OPTIONS
    )
    assert [caption.id for caption in done.captions] == ["3"]
    assert done.drops[0].reason == "no_words"
    assert done.drops[1] == Drop("2", "too_many_tokens", "5 tokens, tokenize.max_tokens is 4")


def test_no_trained_caption_left_is_refused():
    with pytest.raises(UserError, match=r"no caption of the train split is left \(1 too_many_tokens\)"):
        tokenize_clips([make_clip("1", "one two three four five"), make_clip("2", "up", "val")], OPTIONS)


def test_captions_that_all_become_unknown_are_refused():
    with pytest.raises(UserError, match=r"every caption would be <unk>; the most frequent one occurs 1 time$"):
        tokenize_clips([make_clip("1", "up")], tokenizing(max_tokens=4, min_word_count=2))


ODD = [
    ("", "no_words"),
    (" \t\n", "no_words"),
    ("?! … -- $ + \u200b", "no_words"),
    ("👍🎉🧑‍🚀", "no_words"),
    ("\x00\x7f\ud800", "no_words"),
    ("a " * 5_000, "too_many_tokens"),
    ("word" * 2_500, "too_many_tokens"),
    ("'" * 5_000 + "s" * 5_000, "too_many_tokens"),
    ("🧑‍🚀 up", None),
    ("推 盒子", "no_known_word"),
    ("двигать кружку", "no_known_word"),
    ("دفع كوب", "no_known_word"),
    ("कप धकेलना", "no_known_word"),
    ("ｕｐ", None),  # noqa: RUF001
]


@pytest.mark.parametrize(("oov", "spelling"), [("unk", None), ("unk", 3), ("drop", 3)])
def test_odd_captions_are_read_or_counted_among_the_dropped(oov, spelling):
    clips = [make_clip("good", "up up"), *(make_clip(str(number), text, "val") for number, (text, _) in enumerate(ODD))]
    done = tokenize_clips(clips, tokenizing(oov=oov, spelling=spelling))
    reasons = {drop.id: drop.reason for drop in done.drops}
    instead = {"no_known_word": "rare_word"} if oov == "drop" else {}
    assert reasons == {str(number): instead.get(why, why) for number, (_, why) in enumerate(ODD) if why}
    assert {caption.tokens for caption in done.captions} == {("up", "up"), ("up",)}


def test_other_scripts_are_words_like_any_other():
    done = tokenize_clips([make_clip("1", "推 盒子"), make_clip("2", "двигать кружку")], OPTIONS)
    assert [caption.tokens for caption in done.captions] == [("推", "盒子"), ("двигать", "кружку")]
    assert len(done.vocabulary) == 6


def test_a_dataset_of_one_word_has_a_vocabulary_of_one():
    done = tokenize_clips([make_clip(str(number), "book") for number in range(5)], OPTIONS)
    assert done.vocabulary.words == ("<pad>", "<unk>", "book")
    assert {caption.token_ids for caption in done.captions} == {(2,)}


def test_no_clip_at_all_is_refused():
    with pytest.raises(UserError, match="no caption of the train split is left \\(none was there\\)"):
        tokenize_clips([], OPTIONS)
