"""Rare words that are misspelt -> the words that are meant.

Careful rather than thorough: a word left misspelt is one rare word more, but a word taken for another one is a caption
that no longer fits its video. So a word that the English list knows is never touched, however rare: `penny` is no
`penne`. Neither are short words, names with digits, other scripts, directions, and words held out for tests.
"""

from collections.abc import Iterable, Mapping, Set
from functools import cache

from spellchecker import SpellChecker

from pipeline.text.tokenizer import KEPT

DISTANCE = 1  # letters left out, added, exchanged or swapped; at 2, `headfone` is nearer to `headline`
SHORTEST = 5  # letters; one letter changed in a shorter word is too often another word
COMMON = 1000  # in the list's own counts, of 204 million words; `scissors` has 4,708, `scissions` 50
CLEAR = 10  # times as frequent as the next possible word, or as the rare word itself


def find_corrections(
    words: Iterable[str], trained: Mapping[str, int], rarer_than: int, held_out: Set[str]
) -> dict[str, str]:
    """Misspelt word -> the word that is meant, by alphabet; every other word is to stay as it is.

    `trained` counts the words of the train split. What stands there `rarer_than` times and more is right, and a word is
    looked for there first and then in the English list. Held-out words are neither changed nor put in.
    """
    found = {}
    for word in sorted(set(words)):
        if trained.get(word, 0) < rarer_than and _looks_wrong(word):
            near = _english().edit_distance_1(word)
            least = max(rarer_than, CLEAR * trained.get(word, 0))
            own = {other: trained[other] for other in near if trained.get(other, 0) >= least}
            known = {other: _english()[other] for other in near if _english()[other] >= COMMON}
            meant = _clear(own or known)
            if meant and _could_be(word, meant) and not {word, meant} & held_out and meant not in KEPT:
                found[word] = meant
    return found


def _looks_wrong(word: str) -> bool:
    return len(word) >= SHORTEST and word.isascii() and word.isalpha() and word not in KEPT and word not in _english()


def _could_be(word: str, other: str) -> bool:
    """Whether somebody who meant the other may have written the word: first letters are seldom wrong, plurals never."""
    begins_alike = other[0] == word[0] or other[:2] == word[1::-1]
    return begins_alike and other.isalpha() and other != f"{word}s" and word != f"{other}s"


def _clear(counts: Mapping[str, int]) -> str | None:
    """The one that is far more frequent than all others; None where there is none."""
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    if len(ranked) > 1 and counts[ranked[0]] < CLEAR * counts[ranked[1]]:
        return None
    return ranked[0] if ranked else None


@cache
def _english() -> SpellChecker:
    return SpellChecker(language="en", distance=DISTANCE)
