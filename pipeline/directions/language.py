"""Whether captions are in English, which is all that the rules know."""

from collections.abc import Iterable

from pipeline.directions.rules import split_words

# Words that hardly any other language has, and those that tell only in company.
TELLING_WORDS = """
    the and with from into onto something someone left right his their your behind front towards through while
    leftwards rightwards clockwise upwards downwards
"""
TELLING = frozenset(TELLING_WORDS.split())
WEAK = frozenset({"a", "is", "are", "of", "to", "up", "down", "off", "at", "by", "for", "out", "over"})
SHORT = 3  # words: `brush hair` tells nothing
SHARE = 0.5  # of the captions that tell their language


def is_in_english(text: str) -> bool:
    """Whether a caption may be English: its words say so, or at least its letters do."""
    return _looks_english(split_words(text)) or text.isascii()


def are_in_english(texts: Iterable[str]) -> bool:
    """Whether at least half of the captions are English, of those long enough to tell; true where none tells."""
    telling = english = 0
    for text in texts:
        words = split_words(text)
        looks = _looks_english(words)
        if looks or len(words) > SHORT or not text.isascii():
            telling += 1
            english += looks
    return english >= telling * SHARE


def _looks_english(words: list[str]) -> bool:
    found = set(words)
    return (
        not TELLING.isdisjoint(found)
        or any(len(word) > 4 and word.endswith("ing") for word in found)
        or len(WEAK & found) > 1
    )
