"""The seen objects nearest to a word, by word vectors; and captions with their object replaced by an unseen word."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

from pipeline.errors import UserError
from pipeline.records import Caption, average_directions
from pipeline.text.embeddings import Embeddings
from pipeline.text.tokenizer import lemmatise, tokenize
from pipeline.text.vector_files import Vector
from pipeline.text.vocabulary import Vocabulary

Lookup = Callable[[str], Vector | None]  # the vector of a word or name [D]; None if it has none

INDEFINITE_ARTICLES = ("a", "an")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A seen object, its cosine similarity, and the number of clips that show it."""

    name: str
    cosine: float
    clips: int

    def __str__(self) -> str:
        return f"{self.name} {self.cosine:.2f}"


def rank_neighbours(name: str, objects: Iterable[str], find_vector: Lookup) -> list[Neighbour]:
    """The objects, nearest to `name` first, without `name` itself and those without a vector.

    `objects` has one entry per clip of an object. The result is empty if `name` has no vector.
    """
    own = find_vector(name)
    if own is None:
        return []
    vectors = {other: (find_vector(other), clips) for other, clips in sorted(Counter(objects).items()) if other != name}
    near = [Neighbour(other, float(own @ it), clips) for other, (it, clips) in vectors.items() if it is not None]
    return sorted(near, key=lambda neighbour: -neighbour.cosine)


def embed_names(vocabulary: Vocabulary, word_vector: Lookup) -> Lookup:
    """A lookup of names: the normalised mean of the unit vectors of their words; words without a vector are ignored."""

    def find_vector(name: str) -> Vector | None:
        found = (word_vector(word) for word in tokenize_name(name, vocabulary))
        return average_directions(vector for vector in found if vector is not None)

    return find_vector


def tokenize_name(name: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The words of a name, tokenized as the captions of this vocabulary."""
    words = tokenize(name, vocabulary.model)
    return next(lemmatise([words], vocabulary.model)) if vocabulary.lemmas else words


class SeenObjects:
    """Finds the objects of training clips (`objects` has one entry per clip) that are nearest to a word."""

    def __init__(self, objects: Iterable[str], vocabulary: Vocabulary, embeddings: Embeddings) -> None:
        self._objects = list(objects)
        self._find_vector = cache(embed_names(vocabulary, embeddings.find))

    def find_nearest(self, name: str) -> Neighbour | None:
        """The nearest object other than the name itself; None if the name or all objects lack a vector."""
        return next(iter(rank_neighbours(name, self._objects, self._find_vector)), None)

    def require_nearest(self, word: str) -> Neighbour:
        """The nearest object. Raises UserError if there is none, or training shows the word itself."""
        if word in self._objects:
            raise UserError(f"render.new_words: training shows {word!r} already; name words that it never shows")
        found = self.find_nearest(word)
        if found is None:
            raise UserError(
                f"render.new_words: there is no vector for {word!r}, or none for any object; choose another word, or "
                "vectors of more words (tokenize.embeddings: another file, or more spare_words)"
            )
        return found


def replace_object(caption: Caption, name: str, vocabulary: Vocabulary) -> Caption:
    """The caption with its first object replaced by a name, and `a` or `an` chosen by the name's first letter."""
    words = tokenize_name(name, vocabulary)
    article = "an" if words[0][0] in "aeiou" else "a"
    pairs = list(zip(caption.tokens, caption.slots, strict=True))
    if article in vocabulary.ids:
        pairs = [(article if slot == -1 and token in INDEFINITE_ARTICLES else token, slot) for token, slot in pairs]
    first = caption.slots.index(1)
    rest = [(token, slot) for token, slot in pairs[first:] if slot != 1]
    pairs = [*pairs[:first], *((word, 1) for word in words), *rest]
    tokens, slots = tuple(token for token, _ in pairs), tuple(slot for _, slot in pairs)
    return replace(caption, text=" ".join(tokens), tokens=tokens, token_ids=vocabulary.encode(tokens), slots=slots)
