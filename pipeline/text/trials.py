"""Words that training never showed: the seen object that each is nearest to, and captions that say the word."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from pipeline.errors import UserError
from pipeline.records import Caption
from pipeline.text.embeddings import Embeddings
from pipeline.text.neighbours import Neighbour, name_vectors, nearest, words_of
from pipeline.text.vocabulary import Vocabulary

ARTICLES = ("a", "an")


class SeenObjects:
    """The objects of the training clips, one entry per clip, to be asked for the nearest to a word."""

    def __init__(self, objects: Iterable[str], vocabulary: Vocabulary, embeddings: Embeddings) -> None:
        self._objects = list(objects)
        self._vector_of = cache(name_vectors(vocabulary, embeddings.of))

    def nearest_to(self, name: str) -> Neighbour | None:
        """The nearest one but the name itself; None where the name or all objects lack a vector."""
        return next(iter(nearest(name, self._objects, self._vector_of)), None)

    def neighbour_of(self, word: str) -> Neighbour:
        """The nearest one. Raises UserError where there is none, and where the word is no new one."""
        if word in self._objects:
            raise UserError(f"render.new_words: training shows {word!r} already; name words that it never shows")
        found = self.nearest_to(word)
        if found is None:
            raise UserError(
                f"render.new_words: there is no vector for {word!r}, or none for any object; take another word, or "
                "vectors of more words (tokenize.embeddings: another file, or more spare_words)"
            )
        return found


def put_in_place(caption: Caption, name: str, vocabulary: Vocabulary) -> Caption:
    """The caption with another name in place of its first object; `a` and `an` go by the first letter of the name."""
    words = words_of(name, vocabulary)
    article = "an" if words[0][0] in "aeiou" else "a"
    pairs = list(zip(caption.tokens, caption.slots, strict=True))
    if article in vocabulary.ids:
        pairs = [(article if slot == -1 and token in ARTICLES else token, slot) for token, slot in pairs]
    first = caption.slots.index(1)
    rest = [(token, slot) for token, slot in pairs[first:] if slot != 1]
    pairs = [*pairs[:first], *((word, 1) for word in words), *rest]
    tokens, slots = tuple(token for token, _ in pairs), tuple(slot for _, slot in pairs)
    return replace(caption, text=" ".join(tokens), tokens=tokens, token_ids=vocabulary.encode(tokens), slots=slots)
