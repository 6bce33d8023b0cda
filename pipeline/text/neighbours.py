"""Which seen object a word is near to, by the cosine of their vectors."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.text.tokenizer import lemmatise, tokenize
from pipeline.text.vectors import Vector
from pipeline.text.vocabulary import Vocabulary

Lookup = Callable[[str], Vector | None]  # the vector of a word or of a whole name [D], None if it has none


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A seen object, how near it is, and how many clips show it."""

    name: str
    cosine: float
    clips: int

    def __str__(self) -> str:
        return f"{self.name} {self.cosine:.2f}"


def nearest(name: str, objects: Iterable[str], vector_of: Lookup) -> list[Neighbour]:
    """The objects, the nearest to `name` first; those without a vector, and `name` itself, are left out.

    `objects` has one entry for each clip of an object. Nothing comes back where `name` has no vector.
    """
    own = vector_of(name)
    if own is None:
        return []
    vectors = {other: (vector_of(other), clips) for other, clips in sorted(Counter(objects).items()) if other != name}
    near = [Neighbour(other, float(own @ it), clips) for other, (it, clips) in vectors.items() if it is not None]
    return sorted(near, key=lambda neighbour: -neighbour.cosine)


def name_vectors(vocabulary: Vocabulary, word_vector: Lookup) -> Lookup:
    """A lookup of names: the mean direction of their words, of length 1; words without a vector are passed over."""

    def vector_of(name: str) -> Vector | None:
        found = (word_vector(word) for word in words_of(name, vocabulary))
        vectors = [vector / np.linalg.norm(vector) for vector in found if vector is not None]
        mean: Vector = np.sum(vectors, axis=0, dtype=np.float32) if vectors else np.zeros(1, np.float32)
        length = np.linalg.norm(mean)
        return mean / length if length else None

    return vector_of


def words_of(name: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The words of a name, as they are in the captions of this vocabulary."""
    words = tokenize(name, vocabulary.model)
    return next(lemmatise([words], vocabulary.model)) if vocabulary.lemmas else words
