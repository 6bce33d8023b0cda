"""Which objects are kept out of training altogether, for tests on new words.

A held-out word is held out wherever it is said: in an object, alone or within a longer name, or anywhere else in the
caption. A share of the objects is chosen by their hashes, or by how near they are to others; in this order each is held
out unless that would take the last training clips of a category; so never all are.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from pipeline.corpus.companions import Companions
from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.likeness import Vectors, rank_by_distance
from pipeline.corpus.names import nearest_objects
from pipeline.corpus.phrases import Phrases
from pipeline.corpus.rows import Labelled
from pipeline.errors import UserError
from pipeline.params import FilterParams


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
            raise UserError(f"filter.test_words: no chosen clip holds {word!r}; {nearest_objects(word, counts)}")
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
