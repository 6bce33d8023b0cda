"""All captions of the chosen clips."""

import pytest
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.records import Caption, Clip, Drop
from pipeline.text.captions import tokenize_clips

OPTIONS = tokenizing(max_tokens=4, min_word_count=1)


def clip(clip_id, caption, split="train"):
    return Clip(clip_id, caption, caption, "up", "Up", (), split, f"{clip_id}.webm", "0" * 64, False)


def test_captions_keep_their_text_and_get_words_and_ids():
    done = tokenize_clips([clip("1", "Up, up!"), clip("2", "go up", "val")], OPTIONS)
    assert done.captions == [
        Caption("1", "Up, up!", ("up", "up"), (2, 2), (0, 0)),
        Caption("2", "go up", ("go", "up"), (1, 2), (0, 0)),  # `go` is never trained on
    ]


def test_only_kept_captions_of_the_train_split_make_words():
    clips = [clip("1", "up"), clip("2", "five words are too many"), clip("3", "down", "test_words")]
    assert tokenize_clips(clips, OPTIONS).vocabulary.words == ("<pad>", "<unk>", "up")


def test_captions_without_words_and_with_too_many_are_dropped_with_their_reason():
    done = tokenize_clips(
        [clip("1", "?!"), clip("2", "one two three four five"), clip("3", "one two three four")], OPTIONS
    )
    assert [caption.id for caption in done.captions] == ["3"]
    assert done.drops[0].reason == "no_words"
    assert done.drops[1] == Drop("2", "too_many_tokens", "5 tokens, tokenize.max_tokens is 4")


def test_no_trained_caption_left_is_refused():
    with pytest.raises(UserError, match=r"no caption of the train split is left \(1 too_many_tokens\)"):
        tokenize_clips([clip("1", "one two three four five"), clip("2", "up", "val")], OPTIONS)


def test_captions_that_all_become_unknown_are_refused():
    with pytest.raises(UserError, match=r"every caption would be <unk>; the commonest stands 1 times"):
        tokenize_clips([clip("1", "up")], tokenizing(max_tokens=4, min_word_count=2))
