"""Which (object, category) cells are kept out of training, for compositional tests: both seen, never together.

The rule for a share: of the cells whose hash falls under it, in the order of their hashes, each is held out with all
its clips, and with the other clips of their videos, unless that would take the last training clips of a category, or
leave an object of `test_pairs` without a training clip in another category than the one it is tested in. So both halves
of a held-out pair stay seen. Named cells are held out as they are named, or refused where a half would not stay seen.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from pipeline.corpus.categories import match_categories
from pipeline.corpus.companions import Companions
from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.names import match_names
from pipeline.corpus.rows import Labelled
from pipeline.errors import UserError

Cell = tuple[str, str]  # (object, category)
KEY = "filter.test_pairs"


def hold_out_pairs(clips: Sequence[Labelled], trained: Collection[str], wanted: float | Sequence[str]) -> list[Cell]:
    """The held-out cells, sorted. `trained` holds the ids that would otherwise be trained on.

    Raises UserError for a named cell that no clip shows, or a half of which training would not see elsewhere.
    """
    if isinstance(wanted, float):
        return _share_of_cells(clips, trained, wanted)
    held = frozenset(cell for name in wanted for cell in _named_cells(name, clips))
    shown = [clip for clip in clips if any((word, clip.category) in held for word in clip.objects)]
    leaving = {clip.id for clip in Companions(clips).join(shown)}
    left = [clip for clip in clips if clip.id in trained and clip.id not in leaving]
    seen = {word for clip in left for word in clip.objects} | {clip.category for clip in left}
    unseen = sorted({half for cell in held for half in cell} - seen)
    if unseen:
        raise UserError(
            f"{KEY}: without these cells training would see no clip of {', '.join(map(repr, unseen))}; "
            "name fewer cells, or hold an object out altogether by filter.test_words"
        )
    return sorted(held)


def _named_cells(name: str, clips: Sequence[Labelled]) -> set[Cell]:
    """The cells that `object/category` stands for; both halves may be globs."""
    word, slash, category = name.rpartition("/")
    if not (word and slash and category):
        raise UserError(f"{KEY}: {name!r} is not of the form object/category, like mug/pushing-*")
    counts = Counter((shown, clip.category) for clip in clips for shown in set(clip.objects))
    words = match_names([word], Counter(shown for clip in clips for shown in set(clip.objects)), KEY)
    categories = match_categories([category], Counter(clip.category for clip in clips), KEY)
    found = {cell for cell in counts if cell[0] in words and cell[1] in categories}
    if not found:
        others = sorted(category for shown, category in counts if shown in words)
        raise UserError(f"{KEY}: no chosen clip shows {name!r}; there are clips of {word!r} in {', '.join(others)}")
    return found


def _share_of_cells(clips: Sequence[Labelled], trained: Collection[str], share: float) -> list[Cell]:
    if share == 0:
        return []
    members: dict[Cell, list[Labelled]] = defaultdict(list)
    for clip in clips:
        for word in set(clip.objects):
            members[word, clip.category].append(clip)
    ranked = sorted((unit_hash("pair", *cell), cell) for cell in members)
    seen, companions = _Seen(clips, trained), Companions(clips)
    chosen = (cell for rank, cell in ranked if rank < share)
    return sorted(cell for cell in chosen if seen.give_up(companions.join(members[cell]), cell[1]))


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
        """Take the clips of one cell's videos out of training if nothing tested becomes unseen by that; say whether."""
        leaving = [clip for clip in clips if clip.id in self._trained]
        words = {word for clip in clips for word in clip.objects}
        gone = Counter({category: 0})
        gone.update(clip.category for clip in leaving)
        for clip in leaving:
            self._count(clip, -1)
        spared = all(self._categories[name] > count for name, count in gone.items())
        spared = spared and all(self._seen_elsewhere(word, category) for word in words)
        if not spared:
            for clip in leaving:
                self._count(clip, 1)
            return False
        self._trained.difference_update(clip.id for clip in leaving)
        self._categories -= gone
        for word in words:
            self._tested[word].add(category)
        return True

    def _count(self, clip: Labelled, change: int) -> None:
        for word in set(clip.objects):
            self._objects[word][clip.category] += change

    def _seen_elsewhere(self, word: str, category: str) -> bool:
        left = {name for name, count in self._objects[word].items() if count > 0}
        return all(left - {tested} for tested in self._tested[word] | {category})
