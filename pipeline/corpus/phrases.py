"""Names in captions, as whole words in a row."""

import re
from collections import defaultdict
from collections.abc import Iterable

WORD = re.compile(r"[^\W_]+")
WORD_OR_BREAK = re.compile(r"[^\W_]+|\n")


def words_in(text: str) -> list[str]:
    """Its words in lower case; hyphens and punctuation part them."""
    return WORD.findall(text.lower())


class Phrases:
    """Names to be found in captions, as whole words in a row; case, hyphens and punctuation do not count."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[tuple[str, ...], list[str]] = defaultdict(list)  # by their words
        self._lengths: dict[str, set[int]] = defaultdict(set)  # in words, of those that start with a word
        for name in names:
            words = tuple(words_in(name))
            if words:
                self._names[words].append(name)
                self._lengths[words[0]].add(len(words))

    def find(self, caption: str, objects: Iterable[str]) -> set[str]:
        """The names that the caption or an object says."""
        found: set[str] = set()
        if self._names:
            # No name goes on from one text into the next, since none holds a line break.
            words = WORD_OR_BREAK.findall("\n".join((caption, *objects)).lower())
            for start, word in enumerate(words):
                for length in self._lengths.get(word, ()):
                    found.update(self._names.get(tuple(words[start : start + length]), ()))
        return found
