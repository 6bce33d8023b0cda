"""A caption -> lower-case word tokens. spaCy is used here only.

Punctuation is left out: it shows nothing in a video, and a caption with a comma should not be another condition
than the same words without it. Hyphens and slashes part words, so `t-shirt` shares its `shirt`; `n't` becomes `not`.
There is no lemmatizer, which would turn `left` into `leave`.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import spacy
from spacy.tokens import Doc

QUOTES = str.maketrans("‘’`´", "''''")  # noqa: RUF001 - they are typed as apostrophes
UNBROKEN = re.compile(r"(\S{80})(?=\S)")  # spaCy's time grows with the square of such a run
PIECE = re.compile(r"\d+(?:[.,]\d+)+|'?[^\W_]+(?:'[^\W_]+)*")  # 2.5 | 's | o'clock; a dot or underscore parts words


def tokenize(text: str) -> tuple[str, ...]:
    """The words of a caption in order, lower case; empty where it holds no letter or digit."""
    plain = unicodedata.normalize("NFKC", text).translate(QUOTES).lower()
    plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    plain = UNBROKEN.sub(r"\1 ", plain)
    return tuple(piece for token in _tokenizer()(plain) for piece in PIECE.findall(token.norm_))


@cache
def _tokenizer() -> Callable[[str], Doc]:
    nlp: Any = spacy.blank("en")
    tokenizer: Callable[[str], Doc] = nlp.tokenizer
    # Kept are the exceptions of negation and with an apostrophe (doesn't -> does not); the others cut or guess at
    # words: id -> i d.
    nlp.tokenizer.rules = {
        word: parts for word, parts in nlp.tokenizer.rules.items() if "'" in word or word == "cannot"
    }
    return tokenizer
