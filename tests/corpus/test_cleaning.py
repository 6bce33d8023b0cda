"""Captions as people typed them, cleaned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus.captions import LOOKALIKES, normalise_text


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("pushing a book from left to right", "pushing a book from left to right"),
        ('pushing \\"a book\\" up', 'pushing "a book" up'),
        ("pushing one\\'s book", "pushing one's book"),
        ("either\\or", "either or"),
        ("left\\next", "left next"),
        ("A dog runs.\\nThe cat \\nsleeps\\n", "A dog runs. The cat sleeps"),
        ("  pushing\ta\n\nbook  ", "pushing a book"),
        ("pushing a bo\x7fx", "pushing a bo x"),
        ("pushing a\x00book", "pushing a book"),
        ("pushing a\u00a0wide\u3000book", "pushing a wide book"),
        ("zero\u200bwidth and \ufeffmark", "zerowidth and mark"),
        ("pushing \u0430 box", "pushing a box"),
        ("pushing a b\u043ex", "pushing a box"),
        ("рука pushing a box", "рука pushing a box"),
        ("толкаю книгу", "толкаю книгу"),
        ("a müsli box", "a müsli box"),
        ("a mu\u0308sli box", "a müsli box"),
        ("someone`s “box”", 'someone\'s "box"'),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("$5 + 2, (twice)", "$5 + 2, (twice)"),
        ("", ""),
        (" \x00 ", ""),
    ],
)
def test_a_typed_caption_becomes_its_cleaned_text(typed, cleaned):
    assert normalise_text(typed) == cleaned


def test_every_lookalike_becomes_one_ascii_letter():
    assert all(chr(letter).isascii() and chr(letter).isalpha() for letter in LOOKALIKES.values())
    assert not any(chr(letter).isascii() for letter in LOOKALIKES)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_cleans_to_one_writable_line_that_cleans_to_itself(text):
    cleaned = normalise_text(text)
    assert normalise_text(cleaned) == cleaned
    assert cleaned.encode() is not None
    assert "\n" not in cleaned and "  " not in cleaned and cleaned == cleaned.strip()
