"""Captions -> words."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import SHARED

from pipeline.text.tokenizer import tokenize

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Pushing a Book from left to right", "pushing a book from left to right"),
        ("moving it left, then right.", "moving it left then right"),
        ("left/right and up-down", "left right and up down"),
        ("pushing a t-shirt", "pushing a t shirt"),
        ("(without moving) 'a box' \"pen\"", "without moving a box pen"),
        ("it doesn't or almost doesn't move", "it does not or almost does not move"),
        ("it doesn’t, cannot, can't and won`t fall", "it does not can not can not and will not fall"),  # noqa: RUF001
        ("a person's id card; my dogs' ball", "a person 's id card my dogs ball"),
        ("2.5 usd, $5 + 3", "2.5 usd 5 3"),
        ("box.from file_name.txt", "box from file name txt"),
        ("müsli", "müsli"),
        ("a\x7fb\u200bc\ud800d", "a b c d"),
        ("推 盒子 👍", "推 盒子"),
        ("ﬁle", "file"),
        ("", ""),
        (" ?! -- … 👍 \x00", ""),
    ],
)
def test_a_caption_becomes_these_words(caption, words):
    assert tokenize(caption) == tuple(words.split())


def test_every_official_template_keeps_all_its_words():
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    for template in TEMPLATES.read_text(encoding="utf-8").splitlines():
        plain = re.sub(r"[(),]", "", template.lower()).replace("can't", "can not").replace("n't", " not")
        assert tokenize(template) == tuple(plain.replace("cannot", "can not").split())


@given(st.text(st.characters(exclude_categories=()), max_size=80))
@settings(deadline=None)
def test_any_text_becomes_lower_case_words_each_with_a_letter_or_digit(text):
    for word in tokenize(text):
        assert word == word.lower() and any(letter.isalnum() for letter in word) and " " not in word


@given(st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), max_size=8))
@settings(deadline=None)
def test_plain_words_stay_as_they_are(words):
    assert tokenize(" ".join(words)) == tuple(words)


@pytest.mark.parametrize("piece", ["a", "'", "_", "'s", "a.", "n't", "word "])
def test_ten_thousand_characters_cost_less_than_a_second(piece):
    start = time.process_time()
    tokenize(piece * (10_000 // len(piece)))
    assert time.process_time() - start < 1
