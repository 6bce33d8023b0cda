"""How far objects are from each other by the word vectors of their names."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus.captions import Phrases
from pipeline.letters import find_words

Vectors = Mapping[str, NDArray[np.float32]]  # word -> [D]
NO_VECTORS: Vectors = MappingProxyType({})

AT_ONCE = 256  # objects compared with all others: 60 MB for 30,000 of them
DIGITS = 6  # of a cosine; what lies beyond depends on the machine


class NearestObject(NamedTuple):
    """The nearest other object, and the cosine."""

    name: str
    cosine: float


def rank_by_distance(objects: Collection[str], trained: Collection[str], vectors: Vectors, *, far: bool) -> list[str]:
    """The objects that have a vector: those `far` from all trained ones first, or else those near to one first.

    Of two that are near to each other only one is listed: where it is held out, the other has to stay in training.
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
    """For each object with a vector, the nearest trained one whose name does not contain its own; the first of equals.

    The vector of a name is the mean direction of its words.
    """
    directions = {name: vector for name in objects if (vector := _find_direction(name, vectors)) is not None}
    others = [name for name in directions if name in trained]
    if not others:
        return {}
    places = {name: place for place, name in enumerate(others)}
    mentions = _list_mentions(directions, others)
    all_others = np.array([directions[name] for name in others]).T  # [D,N]
    names, nearest = list(directions), {}
    for start in range(0, len(names), AT_ONCE):
        block = names[start : start + AT_ONCE]
        cosines = (np.array([directions[name] for name in block]) @ all_others).round(DIGITS)  # [B,N]
        for name, row in zip(block, cosines, strict=True):
            row[[places[other] for other in mentions[name]]] = -np.inf
            best = int(row.argmax())
            if np.isfinite(row[best]):
                nearest[name] = NearestObject(others[best], float(row[best]))
    return nearest


def _list_mentions(names: Collection[str], objects: Collection[str]) -> Mapping[str, set[str]]:
    """For each name the objects that contain it: `mug` is held out with `red mug`."""
    phrases, mentions = Phrases(names), defaultdict[str, set[str]](set)
    for other in objects:
        for name in phrases.find(other, ()):
            mentions[name].add(other)
    return mentions


def _find_direction(name: str, vectors: Vectors) -> NDArray[np.float64] | None:
    """The mean direction of the words that have a vector, [D] of length 1; None where none has."""
    found = [vectors[word].astype(np.float64) for word in find_words(name.lower()) if word in vectors]
    mean = np.sum([vector / np.linalg.norm(vector) for vector in found], axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length else None
