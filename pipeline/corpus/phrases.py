"""Names in captions, as whole words in a row."""

import re
from collections import defaultdict
from collections.abc import Iterable

WORD = re.compile(r"[^\W_]+")


def words_in(text: str) -> list[str]:
    """Its words in lower case; hyphens and punctuation part them."""
    return WORD.findall(text.lower())


class Phrases:
    """Names to be found in captions, as whole words in a row; case, hyphens and punctuation do not count."""

    def __init__(self, names: Iterable[str]) -> None:
        self._starting: dict[str, list[tuple[list[str], str]]] = defaultdict(list)  # by their first word
        for name in names:
            words = words_in(name)
            if words:
                self._starting[words[0]].append((words, name))

    def find(self, caption: str, objects: Iterable[str]) -> set[str]:
        """The names that the caption or an object says."""
        found: set[str] = set()
        if self._starting:
            for text in (caption, *objects):
                words = words_in(text)
                for start, word in enumerate(words):
                    for phrase, name in self._starting.get(word, ()):
                        if words[start : start + len(phrase)] == phrase:
                            found.add(name)
        return found
