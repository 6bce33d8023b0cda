"""Which objects are kept out of training altogether, for tests on new words.

A held-out word is held out wherever it is said: in an object, alone or within a longer name, or anywhere else in the
caption. A share of the objects is chosen by their hashes, in the order of which each is held out unless that would
take the last training clips of a category; so never all are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.names import nearest_objects
from pipeline.corpus.rows import Labelled
from pipeline.errors import UserError

WORD = re.compile(r"[^\W_]+")


class Phrases:
    """Names to be found in captions, as whole words in a row; case, hyphens and punctuation do not count."""

    def __init__(self, names: Iterable[str]) -> None:
        self._starting: dict[str, list[tuple[list[str], str]]] = defaultdict(list)  # by their first word
        for name in names:
            words = WORD.findall(name.lower())
            if words:
                self._starting[words[0]].append((words, name))

    def find(self, caption: str, objects: Iterable[str]) -> set[str]:
        """The names that the caption or an object says."""
        found: set[str] = set()
        if self._starting:
            for text in (caption, *objects):
                words = WORD.findall(text.lower())
                for start, word in enumerate(words):
                    for phrase, name in self._starting.get(word, ()):
                        if words[start : start + len(phrase)] == phrase:
                            found.add(name)
        return found


def hold_out_words(clips: Sequence[Labelled], trained: Collection[str], wanted: float | Sequence[str]) -> list[str]:
    """The held-out words, sorted. `trained` holds the ids that would otherwise be trained on.

    Raises UserError for a named word that no clip holds.
    """
    counts = Counter(word for clip in clips for word in set(clip.objects))
    if isinstance(wanted, float):
        ranked = sorted((unit_hash("word", word), word) for word in counts)
        candidates = [word for rank, word in ranked if rank < wanted]
        return sorted(_spare_categories(candidates, _members(candidates, clips), clips, trained))
    members = _members(wanted, clips)
    for word in wanted:
        if word not in members:
            raise UserError(f"filter.test_words: no chosen clip holds {word!r}; {nearest_objects(word, counts)}")
    return sorted(set(wanted))


def _members(words: Sequence[str], clips: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    phrases = Phrases(words)
    members: dict[str, list[Labelled]] = defaultdict(list)
    for clip in clips:
        for word in phrases.find(clip.caption, clip.objects):
            members[word].append(clip)
    return dict(members)


def _spare_categories(
    words: Sequence[str],
    members: dict[str, list[Labelled]],
    clips: Sequence[Labelled],
    trained: Collection[str],
) -> list[str]:
    """The words that can be held out one after the other without taking all training clips of a category."""
    left = {clip.id for clip in clips if clip.id in trained}
    categories = Counter(clip.category for clip in clips if clip.id in trained)
    held = []
    for word in words:
        leaving = [clip for clip in members.get(word, ()) if clip.id in left]
        gone = Counter(clip.category for clip in leaving)
        if all(categories[category] > count for category, count in gone.items()):
            held.append(word)
            categories -= gone
            left -= {clip.id for clip in leaving}
    return held
