"""Which (object, category) pairs and which objects are kept out of training, for tests."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus.captions import Phrases, words_in
from pipeline.corpus.names import match_categories, match_names, suggest_objects
from pipeline.corpus.rows import Companions, Labelled, unit_hash
from pipeline.errors import UserError
from pipeline.params import FilterParams

Vectors = Mapping[str, NDArray[np.float32]]  # word -> [D]
NO_VECTORS: Vectors = MappingProxyType({})

AT_ONCE = 256  # objects compared with all others: 60 MB for 30,000 of them
DIGITS = 6  # of a cosine; what lies beyond depends on the machine

Cell = tuple[str, str]  # (object, category)
KEY = "filter.test_pairs"


class Nearest(NamedTuple):
    """The nearest other object, and the cosine."""

    name: str
    cosine: float


def rank_by_distance(objects: Collection[str], trained: Collection[str], vectors: Vectors, *, far: bool) -> list[str]:
    """The objects that have a vector, those `far` from all trained ones first, or those near to one.

    Of two that are near to each other one is left out: where the first is held out, the second has to stay.
    """
    near = find_nearest_objects(sorted(objects), trained, vectors)
    if far:
        return sorted(near, key=lambda name: (near[name].cosine, name))
    said_in = _said_in(near, objects)
    chosen, gone, kept = [], set[str](), set[str]()
    for name in sorted(near, key=lambda name: (-near[name].cosine, name)):
        if near[name].name not in gone and kept.isdisjoint(said_in[name]):
            chosen.append(name)
            gone |= said_in[name]
            kept.add(near[name].name)
    return chosen


def find_nearest_objects(objects: Sequence[str], trained: Collection[str], vectors: Vectors) -> dict[str, Nearest]:
    """For each object with a vector the nearest of the trained ones, the first of equals, that does not say its name.

    The vector of a name is the mean direction of its words.
    """
    directions = {name: vector for name in objects if (vector := _direction(name, vectors)) is not None}
    others = [name for name in directions if name in trained]
    if not others:
        return {}
    places = {name: place for place, name in enumerate(others)}
    said_in = _said_in(directions, others)
    all_others = np.array([directions[name] for name in others]).T  # [D,N]
    names, nearest = list(directions), {}
    for start in range(0, len(names), AT_ONCE):
        block = names[start : start + AT_ONCE]
        cosines = (np.array([directions[name] for name in block]) @ all_others).round(DIGITS)  # [B,N]
        for name, row in zip(block, cosines, strict=True):
            row[[places[other] for other in said_in[name]]] = -np.inf
            best = int(row.argmax())
            if np.isfinite(row[best]):
                nearest[name] = Nearest(others[best], float(row[best]))
    return nearest


def _said_in(names: Collection[str], objects: Collection[str]) -> Mapping[str, set[str]]:
    """For each name the objects that say it: `mug` is held out with `red mug`."""
    phrases, said_in = Phrases(names), defaultdict[str, set[str]](set)
    for other in objects:
        for name in phrases.find(other, ()):
            said_in[name].add(other)
    return said_in


def _direction(name: str, vectors: Vectors) -> NDArray[np.float64] | None:
    """[D] of length 1, of the words that have a vector; None where none has."""
    found = [vectors[word].astype(np.float64) for word in words_in(name) if word in vectors]
    mean = np.sum([vector / np.linalg.norm(vector) for vector in found], axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length else None


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


def hold_out_words(
    clips: Sequence[Labelled], trained: Collection[str], options: FilterParams, vectors: Vectors
) -> list[str]:
    """The held-out words, sorted. `trained` holds the ids that would otherwise be trained on.

    Raises UserError for a named word that no clip holds, and where distances are wanted and no object has a vector.
    """
    counts = Counter(word for clip in clips for word in set(clip.objects))
    wanted = options.test_words
    if isinstance(wanted, float):
        if options.test_words_by == "hash":
            ranked = sorted((unit_hash("word", word), word) for word in counts)
            candidates = [word for rank, word in ranked if rank < wanted]
            most = len(candidates)
        else:
            candidates, most = _rank(clips, trained, options, vectors), round(wanted * len(counts))
        return sorted(_spare_categories(candidates, clips, trained, most))
    members = _members(wanted, clips)
    for word in wanted:
        if word not in members:
            raise UserError(f"filter.test_words: no chosen clip holds {word!r}; {suggest_objects(word, counts)}")
    return sorted(set(wanted))


def _rank(clips: Sequence[Labelled], trained: Collection[str], options: FilterParams, vectors: Vectors) -> list[str]:
    """The objects by their distance from those of the training clips."""
    objects = {word for clip in clips for word in clip.objects}
    seen = {word for clip in clips if clip.id in trained for word in clip.objects}
    ranked = rank_by_distance(objects, seen, vectors, far=options.test_words_by == "far")
    if not ranked:
        raise UserError(
            f"filter.word_vectors {options.word_vectors}: has no vectors for two of the {len(objects)} objects, "
            f"which filter.test_words_by {options.test_words_by} compares"
        )
    return ranked


def _members(words: Sequence[str], clips: Sequence[Labelled]) -> Mapping[str, list[Labelled]]:
    phrases = Phrases(words)
    members: dict[str, list[Labelled]] = defaultdict(list)
    for clip in clips:
        for word in phrases.find(clip.caption, clip.objects):
            members[word].append(clip)
    return members


def _spare_categories(
    words: Sequence[str], clips: Sequence[Labelled], trained: Collection[str], most: int
) -> list[str]:
    """The first of the words, `most` at most, that can be held out without taking all training clips of a category."""
    members, companions = _members(words, clips), Companions(clips)
    left = {clip.id for clip in clips if clip.id in trained}
    categories = Counter(clip.category for clip in clips if clip.id in trained)
    held: list[str] = []
    for word in words:
        if len(held) == most:
            break
        if word not in members:
            continue  # an object without a letter, like &, is said nowhere
        leaving = [clip for clip in companions.join(members[word]) if clip.id in left]
        gone = Counter(clip.category for clip in leaving)
        if all(categories[category] > count for category, count in gone.items()):
            held.append(word)
            categories -= gone
            left -= {clip.id for clip in leaving}
    return held
