"""Which other object each object is nearest to, by the vectors of its words, and in which order to hold them out."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus.phrases import Phrases, words_in

Vectors = Mapping[str, NDArray[np.float32]]  # word -> [D]
NO_VECTORS: Vectors = MappingProxyType({})

AT_ONCE = 256  # objects compared with all others: 60 MB for 30,000 of them
DIGITS = 6  # of a cosine; what lies beyond depends on the machine


class Nearest(NamedTuple):
    """The nearest other object, and the cosine."""

    name: str
    cosine: float


def rank_by_distance(objects: Collection[str], trained: Collection[str], vectors: Vectors, *, far: bool) -> list[str]:
    """The objects that have a vector, those `far` from all trained ones first, or those near to one.

    Of two that are near to each other one is left out: where the first is held out, the second has to stay.
    """
    near = nearest_objects(sorted(objects), trained, vectors)
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


def nearest_objects(objects: Sequence[str], trained: Collection[str], vectors: Vectors) -> dict[str, Nearest]:
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
