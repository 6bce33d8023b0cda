"""Clips -> splits, by a hash of the id, so that adding data does not reshuffle; and held-out objects and pairs.

Objects (`test_words`) and pairs of an object and a category (`test_pairs`) are held out of training, to test a model on
unseen words, and on motions that are new for an object. Distances between words are those of their vectors.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Candidate, OfficialSplit, hash_to_unit
from pipeline.corpus.captions import Phrases, match_categories, match_objects, suggest_objects
from pipeline.corpus.groups import Groups, name_group
from pipeline.errors import UserError
from pipeline.letters import find_words
from pipeline.params import FilterParams, ShareParams
from pipeline.records import SPLITS, Split, average_directions

Vectors = Mapping[str, NDArray[np.float32]]  # word -> [D]
NO_VECTORS: Vectors = MappingProxyType({})

CHUNK_OBJECTS = 256  # objects compared with all others: 60 MB for 30,000 of them
DIGITS = 6  # of a cosine; more depend on the machine

Pair = tuple[str, str]  # (object, category)
KEY = "filter.test_pairs"


class NearestObject(NamedTuple):
    """The nearest other object, and its cosine similarity."""

    name: str
    cosine: float


def rank_by_distance(objects: Collection[str], trained: Collection[str], vectors: Vectors, *, far: bool) -> list[str]:
    """The objects with a vector: with `far`, those farthest from all trained ones first, else the nearest first.

    Of two objects near each other, only one is listed: if it is held out, the other has to stay in training.
    """
    near = find_nearest_objects(sorted(objects), trained, vectors)
    if far:
        return sorted(near, key=lambda name: (near[name].cosine, name))
    mentions = _list_mentions(near, objects)
    chosen, gone, kept = [], set[str](), set[str]()
    for name in sorted(near, key=lambda name: (-near[name].cosine, name)):
        if near[name].name not in gone and kept.isdisjoint(mentions[name]):
            chosen.append(name)
            gone |= mentions[name]
            kept.add(near[name].name)
    return chosen


def find_nearest_objects(
    objects: Sequence[str], trained: Collection[str], vectors: Vectors
) -> dict[str, NearestObject]:
    """For each object with a vector, the nearest trained one whose name does not contain its name; ties: the first.

    The vector of a name is the mean of the unit vectors of its words.
    """
    directions = {name: vector for name in objects if (vector := _find_direction(name, vectors)) is not None}
    others = [name for name in directions if name in trained]
    if not others:
        return {}
    columns = {name: index for index, name in enumerate(others)}
    mentions = _list_mentions(directions, others)
    all_others = np.array([directions[name] for name in others]).T  # [D,N]
    names, nearest = list(directions), {}
    for start in range(0, len(names), CHUNK_OBJECTS):
        block = names[start : start + CHUNK_OBJECTS]
        cosines = (np.array([directions[name] for name in block]) @ all_others).round(DIGITS)  # [B,N]
        for name, row in zip(block, cosines, strict=True):
            row[[columns[other] for other in mentions[name]]] = -np.inf
            best = int(row.argmax())
            if np.isfinite(row[best]):
                nearest[name] = NearestObject(others[best], float(row[best]))
    return nearest


def _list_mentions(names: Collection[str], objects: Collection[str]) -> Mapping[str, set[str]]:
    """For each name, the objects that contain it: `red mug` is held out with `mug`."""
    phrases, mentions = Phrases(names), defaultdict[str, set[str]](set)
    for other in objects:
        for name in phrases.find(other, ()):
            mentions[name].add(other)
    return mentions


def _find_direction(name: str, vectors: Vectors) -> NDArray[np.float64] | None:
    """The direction [D] of a name: the mean over its words; None if no word has a vector."""
    return average_directions(vectors[word].astype(np.float64) for word in find_words(name.lower()) if word in vectors)


class HeldOut:
    """The words and pairs that are held out of training."""

    def __init__(self, words: list[str], pairs: list[Pair]) -> None:
        self.words = words
        self.pairs = pairs
        self._phrases = Phrases(words)
        self._pairs = frozenset(pairs)

    def find_split(self, caption: str, objects: Iterable[str], category: str) -> Split | None:
        """The split of a clip with a held-out word or pair; None if it has neither.

        Words take precedence: such a clip is in `test_words`.
        """
        if self._phrases.find(caption, objects):
            return "test_words"
        return "test_pairs" if self.shows_pair(objects, category) else None

    def shows_pair(self, objects: Iterable[str], category: str) -> bool:
        """Whether any of the objects and the category are a held-out pair."""
        return any((word, category) in self._pairs for word in objects)


def split_clips(
    clips: Sequence[Candidate], options: FilterParams, vectors: Vectors = NO_VECTORS
) -> tuple[list[Split], HeldOut]:
    """The split of each clip, and what is held out. Pairs are chosen among the clips without a held-out word.

    `vectors` are used if filter.test_words_by is not `hash`. The result depends neither on the seed nor on row order.
    """
    choices = list_split_choices({clip.official_split for clip in clips})
    # Several captions of one video have the same split, unless it is in several official splits.
    splits = [draw_split(name_group(clip), choices[clip.official_split], options.shares) for clip in clips]
    later = find_later_splits(clips, splits)
    trained = {c.id for c, split in zip(clips, splits, strict=True) if split == "train" and c.id not in later}
    words = _hold_out_words(clips, trained, options, vectors)
    phrases = Phrases(words)
    saying = [clip for clip in clips if phrases.find(clip.caption, clip.objects)]
    said = {clip.id for clip in saying}
    trained -= {clip.id for clip in Groups(clips).expand(saying)}
    held = HeldOut(words, hold_out_pairs([clip for clip in clips if clip.id not in said], trained, options.test_pairs))
    aside: list[Split] = [
        "test_words" if clip.id in said else "test_pairs" if held.shows_pair(clip.objects, clip.category) else split
        for clip, split in zip(clips, splits, strict=True)
    ]
    return aside, held


def find_later_splits(clips: Sequence[Candidate], splits: Sequence[Split]) -> dict[str, Split]:
    """Clip id -> later split, for each clip whose group has a clip in a later split.

    A group is in one split only, the last one of its clips, so that a held-out video is in no other split.
    """
    last: dict[str, Split] = {}
    groups = [name_group(clip) for clip in clips]
    for group, split in zip(groups, splits, strict=True):
        last[group] = max(last.get(group, split), split, key=SPLITS.index)
    return {
        clip.id: last[group] for clip, group, split in zip(clips, groups, splits, strict=True) if split != last[group]
    }


def list_split_choices(official: Collection[OfficialSplit]) -> dict[OfficialSplit, tuple[Split, ...]]:
    """The splits that each official split is divided into, given which official splits exist.

    `judge` is always taken from training clips. If validation or test is missing, it is created: test from validation,
    or validation from training, so that an official test split is never reduced.
    """
    tested, validated = "test" in official, "validation" in official
    return {
        "all": ("train", "judge", "val", "test"),
        "train": ("train", "judge", "val") if tested and not validated else ("train", "judge"),
        "validation": ("val",) if tested else ("val", "test"),
        "test": ("test",),
    }


def draw_split(clip_id: str, among: Sequence[Split], shares: ShareParams) -> Split:
    """The split of an id among these, in proportion to their shares; a single one gets all. Raises UserError."""
    if len(among) == 1:
        return among[0]
    choices = {name: getattr(shares, name) for name in among}
    total = sum(choices.values())
    if total == 0:
        raise UserError(f"filter.shares: {' and '.join(choices)} are all 0, but there are clips for them; raise one")
    point = hash_to_unit("split", clip_id) * total
    for name, share in choices.items():
        if point < share:
            return name
        point -= share
    return max(choices, key=lambda name: choices[name])  # rounding error at the end of the last share


def hold_out_pairs(clips: Sequence[Candidate], trained: Collection[str], wanted: float | Sequence[str]) -> list[Pair]:
    """The held-out pairs, sorted. `trained` are the ids that would otherwise be trained on.

    Raises UserError for a named pair that no clip shows, or whose object or category would not remain in training.
    """
    if isinstance(wanted, float):
        return _draw_pairs(clips, trained, wanted)
    held = frozenset(pair for name in wanted for pair in _match_pairs(name, clips))
    shown = [clip for clip in clips if any((word, clip.category) in held for word in clip.objects)]
    leaving = {clip.id for clip in Groups(clips).expand(shown)}
    left = [clip for clip in clips if clip.id in trained and clip.id not in leaving]
    seen = {word for clip in left for word in clip.objects} | {clip.category for clip in left}
    unseen = sorted({half for pair in held for half in pair} - seen)
    if unseen:
        raise UserError(
            f"{KEY}: without these pairs training would see no clip of {', '.join(map(repr, unseen))}; "
            "name fewer pairs, or hold an object out altogether by filter.test_words"
        )
    return sorted(held)


def _hold_out_words(
    clips: Sequence[Candidate], trained: Collection[str], options: FilterParams, vectors: Vectors
) -> list[str]:
    """The held-out words, sorted. `trained` are the ids that would otherwise be trained on.

    Raises UserError for a named word that no clip contains, and if distances are wanted and no object has a vector.
    """
    counts = Counter(word for clip in clips for word in set(clip.objects))
    wanted = options.test_words
    if isinstance(wanted, float):
        if options.test_words_by == "hash":
            ranked = sorted((hash_to_unit("word", word), word) for word in counts)
            candidates = [word for rank, word in ranked if rank < wanted]
            most = len(candidates)
        else:
            candidates, most = _rank_objects(clips, trained, options, vectors), round(wanted * len(counts))
        return sorted(_keep_last_of_category(candidates, clips, trained, most))
    members = _group_by_word(wanted, clips)
    for word in wanted:
        if word not in members:
            raise UserError(f"filter.test_words: no chosen clip holds {word!r}; {suggest_objects(word, counts)}")
    return sorted(set(wanted))


def _match_pairs(name: str, clips: Sequence[Candidate]) -> set[Pair]:
    """The pairs that `object/category` matches; both may be globs. Raises UserError if none does."""
    word, slash, category = name.rpartition("/")
    if not (word and slash and category):
        raise UserError(f"{KEY}: {name!r} is not of the form object/category, like mug/pushing-*")
    counts = Counter((shown, clip.category) for clip in clips for shown in set(clip.objects))
    words = match_objects([word], Counter(shown for clip in clips for shown in set(clip.objects)), KEY)
    categories = match_categories([category], Counter(clip.category for clip in clips), KEY)
    found = {pair for pair in counts if pair[0] in words and pair[1] in categories}
    if not found:
        others = sorted(category for shown, category in counts if shown in words)
        raise UserError(f"{KEY}: no chosen clip shows {name!r}; there are clips of {word!r} in {', '.join(others)}")
    return found


def _draw_pairs(clips: Sequence[Candidate], trained: Collection[str], share: float) -> list[Pair]:
    if share == 0:
        return []
    members: dict[Pair, list[Candidate]] = defaultdict(list)
    for clip in clips:
        for word in set(clip.objects):
            members[word, clip.category].append(clip)
    ranked = sorted((hash_to_unit("pair", *pair), pair) for pair in members)
    seen, groups = _Seen(clips, trained), Groups(clips)
    chosen = (pair for rank, pair in ranked if rank < share)
    return sorted(pair for pair in chosen if seen.give_up(groups.expand(members[pair]), pair[1]))


class _Seen:
    """Tracks what remains in training while pairs are held out one by one."""

    def __init__(self, clips: Sequence[Candidate], trained: Collection[str]) -> None:
        self._trained = {clip.id for clip in clips if clip.id in trained}
        self._categories = Counter(clip.category for clip in clips if clip.id in trained)
        self._objects: dict[str, Counter[str]] = defaultdict(Counter)  # object -> category -> training clips
        self._tested: dict[str, set[str]] = defaultdict(set)  # object -> categories it is tested in
        for clip in clips:
            if clip.id in trained:
                self._count(clip, 1)

    def give_up(self, clips: Sequence[Candidate], category: str) -> bool:
        """Hold out the clips of a pair, unless a tested object or category would become unseen; returns success."""
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

    def _count(self, clip: Candidate, change: int) -> None:
        for word in set(clip.objects):
            self._objects[word][clip.category] += change

    def _seen_elsewhere(self, word: str, category: str) -> bool:
        left = {name for name, count in self._objects[word].items() if count > 0}
        return all(left - {tested} for tested in self._tested[word] | {category})


def _rank_objects(
    clips: Sequence[Candidate], trained: Collection[str], options: FilterParams, vectors: Vectors
) -> list[str]:
    """The objects by distance from the objects of training clips. Raises UserError if vectors are missing."""
    objects = {word for clip in clips for word in clip.objects}
    seen = {word for clip in clips if clip.id in trained for word in clip.objects}
    ranked = rank_by_distance(objects, seen, vectors, far=options.test_words_by == "far")
    if not ranked:
        raise UserError(
            f"filter.word_vectors {options.word_vectors}: has no vectors for two of the {len(objects)} objects, "
            f"which filter.test_words_by {options.test_words_by} compares"
        )
    return ranked


def _group_by_word(words: Sequence[str], clips: Sequence[Candidate]) -> Mapping[str, list[Candidate]]:
    phrases = Phrases(words)
    members: dict[str, list[Candidate]] = defaultdict(list)
    for clip in clips:
        for word in phrases.find(clip.caption, clip.objects):
            members[word].append(clip)
    return members


def _keep_last_of_category(
    words: Sequence[str], clips: Sequence[Candidate], trained: Collection[str], most: int
) -> list[str]:
    """The first `most` words that can be held out without removing all training clips of a category."""
    members, groups = _group_by_word(words, clips), Groups(clips)
    left = {clip.id for clip in clips if clip.id in trained}
    categories = Counter(clip.category for clip in clips if clip.id in trained)
    held: list[str] = []
    for word in words:
        if len(held) == most:
            break
        if word not in members:
            continue  # an object without letters, such as &, is never found
        leaving = [clip for clip in groups.expand(members[word]) if clip.id in left]
        gone = Counter(clip.category for clip in leaving)
        if all(categories[category] > count for category, count in gone.items()):
            held.append(word)
            categories -= gone
            left -= {clip.id for clip in leaving}
    return held
