"""Word vectors computed from the captions alone, for seen words and for words never seen.

Half of a vector says in which contexts the word stands: weighted counts of the words around it (positive pointwise
mutual information: Church & Hanks 1990), projected to the width by fixed random signs (random indexing: Kanerva et al.
2000). The other half says how it is spelled: fixed random signs of its character n-grams (as fastText's: Bojanowski et
al. 2017, arXiv:1607.04606). A word never seen has a spelling of its own, and the contexts of the seen words that are
spelled like it. Contexts alone would not do: all objects of one category stand in the same ones.

Nothing here depends on threads, processes or the order of hashing: signs come from SHA-256, and weights are whole
multiples of 1/1024, so that their sums are exact in any order.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

WINDOW = 2  # words to either side that count as context
CONTEXTS = 2000  # the commonest words; rarer ones say little as context
GRAMS = (3, 4, 5)  # letters of an n-gram, with the word's ends marked
STEPS = 1024  # of a weight from 0 to 1
SIMILARITY_POWER = 4  # how much more the words spelled most alike count for an unseen one


def compute_vectors(words: Sequence[str], captions: Iterable[Sequence[str]], width: int) -> NDArray[np.float32]:
    """The vectors of `words` [N,width] after the captions: each half of length 1, or 0 for a word without contexts."""
    half = width // 2
    vectors: NDArray[np.float32] = np.hstack(
        [_embed_contexts(words, captions, half), embed_spelling(words, half)]
    ).astype(np.float32)
    return vectors


def compute_unseen_vector(word: str, seen: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector of a word that is not among `seen`, whose vectors are [N,D] -> [D]."""
    half = vectors.shape[1] // 2
    weights = np.array([[_compare_spelling(word, other) ** SIMILARITY_POWER for other in seen]])
    contexts = np.round(weights * STEPS) @ np.round(vectors[:, :half].astype(np.float64) * STEPS)
    vector: NDArray[np.float32] = np.hstack([_normalise(contexts), embed_spelling([word], half)])[0].astype(np.float32)
    return vector


def embed_spelling(words: Sequence[str], width: int) -> Matrix:
    """[N,width], each of length 1: words that share n-grams are near."""
    sums = [
        np.sum([_draw_signs("spelling", gram, width) for gram in sorted(_list_grams(word))], axis=0) for word in words
    ]
    return _normalise(np.array(sums).reshape(len(words), width))


def _embed_contexts(words: Sequence[str], captions: Iterable[Sequence[str]], width: int) -> Matrix:
    """[N,width], each of length 1: words that occur next to the same words more often than by chance are near."""
    neighbours: dict[str, Counter[str]] = {word: Counter() for word in words}
    totals: Counter[str] = Counter()
    for tokens, count in Counter(map(tuple, captions)).items():
        for place, token in enumerate(tokens):
            totals[token] += count
            if token in neighbours:
                for other in tokens[max(place - WINDOW, 0) : place] + tokens[place + 1 : place + 1 + WINDOW]:
                    neighbours[token][other] += count
    common = sorted(totals, key=lambda word: (-totals[word], word))[:CONTEXTS]
    chance = {word: totals[word] / totals.total() for word in common}
    contexts = np.zeros((len(words), width))
    for row, word in zip(contexts, words, strict=True):
        there = [other for other in common if other in neighbours[word]]
        expected = [chance[other] * neighbours[word].total() for other in there]
        ratios = [neighbours[word][other] / most for other, most in zip(there, expected, strict=True)]
        for other, ratio in zip(there, ratios, strict=True):
            row += round(max(math.log2(ratio), 0) * STEPS) * _draw_signs("company", other, width)
    return _normalise(contexts)


def _compare_spelling(word: str, other: str) -> float:
    """The cosine of two words' sets of n-grams, from 0 to 1."""
    one, two = _list_grams(word), _list_grams(other)
    return len(one & two) / math.sqrt(len(one) * len(two))


@lru_cache(maxsize=100_000)
def _list_grams(word: str) -> frozenset[str]:
    """The n-grams of a word with its ends marked, and the whole of it."""
    marked = f"<{word}>"
    return frozenset({marked} | {marked[at : at + n] for n in GRAMS for at in range(len(marked) - n + 1)})


@lru_cache(maxsize=100_000)
def _draw_signs(kind: str, text: str, width: int) -> Matrix:
    """Fixed signs for a text, as if thrown: [width] of -1 and 1."""
    bits = np.frombuffer(hashlib.shake_256(f"{kind} {text}".encode()).digest(-(-width // 8)), np.uint8)
    signs: Matrix = np.unpackbits(bits)[:width].astype(np.float64) * 2 - 1
    return signs


def _normalise(rows: Matrix) -> Matrix:
    """Rows of zeros stay."""
    lengths: Matrix = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(lengths > 0, lengths, 1)
