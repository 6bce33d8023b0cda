"""Which (object, category) cells are kept out of training, for compositional tests.

The rule: of the cells whose hash falls under `share`, in the order of their hashes, each is held out with all its
clips unless that would take the last training clips of its category, or leave an object of `test_pairs` without a
training clip in another category than the one it is tested in. So both halves of a held-out pair stay seen.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.rows import Labelled

Cell = tuple[str, str]  # (object, category)


def hold_out_pairs(clips: Sequence[Labelled], trained: Collection[str], share: float) -> list[Cell]:
    """The held-out cells, sorted. `trained` holds the ids that would otherwise be trained on."""
    members: dict[Cell, list[Labelled]] = defaultdict(list)
    for clip in clips:
        for word in set(clip.objects):
            members[word, clip.category].append(clip)
    ranked = sorted((unit_hash("pair", *cell), cell) for cell in members)
    seen = _Seen(clips, trained)
    return sorted(cell for rank, cell in ranked if rank < share and seen.give_up(members[cell], cell[1]))


class _Seen:
    """What training still sees while cells are taken from it one by one."""

    def __init__(self, clips: Sequence[Labelled], trained: Collection[str]) -> None:
        self._trained = {clip.id for clip in clips if clip.id in trained}
        self._categories = Counter(clip.category for clip in clips if clip.id in trained)
        self._objects: dict[str, Counter[str]] = defaultdict(Counter)  # object -> category -> training clips
        self._tested: dict[str, set[str]] = defaultdict(set)  # object -> categories it is tested in
        for clip in clips:
            if clip.id in trained:
                self._count(clip, 1)

    def give_up(self, clips: Sequence[Labelled], category: str) -> bool:
        """Take the clips of one cell out of training if nothing tested becomes unseen by that; say whether."""
        leaving = [clip for clip in clips if clip.id in self._trained]
        words = {word for clip in clips for word in clip.objects}
        for clip in leaving:
            self._count(clip, -1)
        spared = self._categories[category] > len(leaving) and all(self._seen_elsewhere(w, category) for w in words)
        if not spared:
            for clip in leaving:
                self._count(clip, 1)
            return False
        self._trained.difference_update(clip.id for clip in leaving)
        self._categories[category] -= len(leaving)
        for word in words:
            self._tested[word].add(category)
        return True

    def _count(self, clip: Labelled, change: int) -> None:
        for word in set(clip.objects):
            self._objects[word][clip.category] += change

    def _seen_elsewhere(self, word: str, category: str) -> bool:
        left = {name for name, count in self._objects[word].items() if count > 0}
        return all(left - {tested} for tested in self._tested[word] | {category})
