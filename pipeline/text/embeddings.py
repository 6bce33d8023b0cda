"""The word vectors of a run, unless the networks learn them: built from a source, written, read and looked up.

By them, the seen objects nearest to a word; and captions with their object replaced by an unseen word.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipeline.errors import UserError, describe_fault, first_line, name_install
from pipeline.files import atomic_write
from pipeline.params import EmbeddingParams
from pipeline.records import Caption, average_directions
from pipeline.text.tokenizer import lemmatise, tokenize
from pipeline.text.vector_files import FoundVectors, Vector, Vectors, read_vectors
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN, Vocabulary

SPECIAL = (PAD_TOKEN, UNKNOWN_TOKEN)

WINDOW = 2  # context words on each side
CONTEXTS = 2000  # the most frequent words; rarer ones are uninformative as contexts
GRAMS = (3, 4, 5)  # lengths of n-grams of words with marked ends
STEPS = 1024  # per unit, for quantised weights
SIMILARITY_POWER = 4  # exponent of the spelling similarity that weights seen words for an unseen one

Matrix = NDArray[np.float64]

Lookup = Callable[[str], Vector | None]  # the vector of a word or name [D]; None if it has none

INDEFINITE_ARTICLES = ("a", "an")


@dataclass(frozen=True)
class Embeddings:
    """Word vectors; words of the vocabulary without a vector have a row of zeros."""

    words: tuple[str, ...]  # of the vocabulary, in the order of ids
    vectors: NDArray[np.float32]  # [V,D]
    spare_words: tuple[str, ...]
    spare: NDArray[np.float16]  # [N,D]; half the size, without affecting nearest neighbours
    by_spelling: bool  # other words get a vector from their spelling
    learned: int  # number of the words that are in the train split
    warnings: list[str] = field(default_factory=list, compare=False)

    @cached_property
    def _rows(self) -> Mapping[str, Vector]:
        spare = {word: row.astype(np.float32) for word, row in zip(self.spare_words, self.spare, strict=True)}
        return spare | {word: row for word, row in zip(self.words, self.vectors, strict=True) if row.any()}

    def find(self, word: str) -> Vector | None:
        """The vector of any word [D]; None if it has none."""
        if word in self._rows or not self.by_spelling:
            return self._rows.get(word)
        vector = compute_unseen_vector(
            word, self.words[len(SPECIAL) : self.learned], self.vectors[len(SPECIAL) : self.learned]
        )
        return vector if vector.any() else None

    def list_missing(self) -> list[str]:
        """The words of the vocabulary that have no vector."""
        return [word for word in self.words if word not in SPECIAL and word not in self._rows]


ReadSource = Callable[[Sequence[str], EmbeddingParams, Path], FoundVectors]


def read_source(words: Sequence[str], options: EmbeddingParams, path: Path) -> FoundVectors:
    """The vectors of a file or model for the words, and for up to `options.spare_words` others."""
    if options.source == "file":
        file = read_vectors(path, set(words), options.spare_words)
        return FoundVectors(file.words, file.warnings())
    if options.source == "spacy":
        return FoundVectors(_read_spacy_vectors(options.package or str(path), words, options.spare_words), [])
    return FoundVectors(_compute_sentence_vectors(path, words), [])


def make_embeddings(
    vocabulary: Vocabulary,
    trained: Iterable[Sequence[str]],
    options: EmbeddingParams,
    path: Path,
    read: ReadSource = read_source,
) -> Embeddings | None:
    """The vectors for a vocabulary from the source that params name; None if they are learned with the networks.

    `trained` are the captions of the train split; `read` may replace `read_source`. Raises UserError if the source
    cannot be read, or has no vector for any word of the vocabulary.
    """
    words = vocabulary.words[len(SPECIAL) :]
    learned = len(vocabulary) - vocabulary.unlearned
    if options.source == "learned":
        return None
    if options.source == "subword":
        return _compute_from_spelling(vocabulary, trained, options.width)
    found, warnings = read(words, options, path)
    if not any(word in found for word in words):
        raise UserError(f"{options.package or path}: has no vector for any of {', '.join(words[:8])} …; see `tokenize`")
    width = len(next(iter(found.values())))
    nothing = np.zeros(width, np.float32)
    spare = [word for word in found if word not in vocabulary.ids]
    vectors = np.array([found.get(word, nothing) for word in vocabulary.words])
    others = np.array([found[word] for word in spare], np.float16).reshape(len(spare), width)
    return Embeddings(vocabulary.words, vectors, tuple(spare), others, False, learned, warnings)


def extend_vocabulary(
    words: Iterable[str], vocabulary: Vocabulary, embeddings: Embeddings
) -> tuple[Vocabulary, NDArray[np.float32]]:
    """The vocabulary extended by the words that have a vector, and their vectors [N,D] in the order of ids."""
    found = {word: vector for word in words if (vector := embeddings.find(word)) is not None}
    larger = vocabulary.with_unlearned(found)
    vectors = [found[word] for word in larger.words[len(vocabulary) :]]
    return larger, np.array(vectors, np.float32).reshape(len(vectors), embeddings.vectors.shape[1])


def write_embeddings(path: Path, embeddings: Embeddings | None) -> None:
    """Write everything but the warnings; equal vectors give equal bytes. None removes the file."""
    if embeddings is None:
        path.unlink(missing_ok=True)
        return
    about = {
        "words": embeddings.words,
        "spare_words": embeddings.spare_words,
        "by_spelling": embeddings.by_spelling,
        "learned": embeddings.learned,
    }
    # A single entry of metadata: safetensors does not guarantee the order of several.
    data = save({"vectors": embeddings.vectors, "spare": embeddings.spare}, {"about": json.dumps(about)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def read_embeddings(path: Path) -> Embeddings | None:
    """Read the file of `write_embeddings`; None if there is none: vectors are learned with the networks."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["about"])
            vectors, spare = file.get_tensor("vectors"), file.get_tensor("spare")
        words, spare_words = tuple(about["words"]), tuple(about["spare_words"])
        return Embeddings(words, vectors, spare_words, spare, bool(about["by_spelling"]), int(about["learned"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        fault = describe_fault(error)
        raise UserError(f"{path}: not a file of word vectors ({fault}); `dvc repro` recreates it") from None


def _read_spacy_vectors(model: str, wanted: Sequence[str], first: int) -> Vectors:
    """The vectors of the wanted words, and of the first `first` other words of the model.

    `model` is the name of an installed package or a folder. Raises UserError if it is neither or has no vectors.
    """
    import spacy  # takes a second, and is needed for this source only

    try:
        vocab = spacy.load(model, exclude=["tagger", "parser", "ner", "lemmatizer"]).vocab
    except (OSError, ValueError) as error:
        raise UserError(
            f"tokenize.embeddings: spaCy has no model {model!r} ({first_line(error)}); install one with vectors, "
            "as in `python -m spacy download en_core_web_md`, and name it in tokenize.embeddings.package, or give its "
            "folder as path"
        ) from None
    if not vocab.vectors_length:
        raise UserError(f"tokenize.embeddings: the spaCy model {model} has no word vectors; take an _md or _lg one")
    known, sought = (vocab.strings[key] for key in vocab.vectors if key in vocab.strings), set(wanted)
    spare = islice((word for word in known if word not in sought), first)
    found = {word: np.asarray(vocab.get_vector(word), np.float32) for word in (*wanted, *spare)}
    return {word: vector for word, vector in found.items() if vector.any()}


def _compute_sentence_vectors(folder: Path, words: Sequence[str]) -> Vectors:
    """The vectors of a sentence-transformers model for each single word.

    Whole captions are not embedded, since such models hardly distinguish "from left to right" from "from right to
    left"; word order is left to the caption encoders.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise UserError(
            f"tokenize.embeddings.source sentence needs sentence-transformers; {name_install('sentence')}"
        ) from None
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; put a sentence-transformers model there or set tokenize.embeddings.path"
        )
    try:
        model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a sentence-transformers model ({describe_fault(error)})") from None
    return {word: np.asarray(vector, np.float32) for word, vector in zip(words, model.encode(list(words)), strict=True)}


def _compute_from_spelling(vocabulary: Vocabulary, trained: Iterable[Sequence[str]], width: int) -> Embeddings:
    learned = len(vocabulary) - vocabulary.unlearned
    seen, unseen = vocabulary.words[len(SPECIAL) : learned], vocabulary.words[learned:]
    made = compute_vectors(seen, trained, width)
    special = np.zeros((len(SPECIAL), width), np.float32)
    vectors = np.vstack([special, made, *(compute_unseen_vector(word, seen, made)[None] for word in unseen)])
    return Embeddings(vocabulary.words, vectors, (), np.zeros((0, width), np.float16), True, learned)


def compute_vectors(words: Sequence[str], captions: Iterable[Sequence[str]], width: int) -> NDArray[np.float32]:
    """The vectors of `words` [N,width] from the captions only: each half has norm 1, or 0 without contexts.

    One half encodes the contexts of a word: weighted counts of the words around it (positive pointwise mutual
    information: Church & Hanks 1990), projected to the width by fixed random signs (random indexing: Kanerva et al.
    2000). The other half encodes its spelling: fixed random signs of its character n-grams (as in fastText: Bojanowski
    et al. 2017, arXiv:1607.04606). Contexts alone do not suffice: all objects of a category have the same ones. An
    unseen word gets the contexts of seen words with a similar spelling.

    The result does not depend on threads, processes or hash order: signs come from SHAKE-256, and weights are multiples
    of 1/1024, so that sums are exact in any order.
    """
    half = width // 2
    vectors: NDArray[np.float32] = np.hstack(
        [_embed_contexts(words, captions, half), embed_spelling(words, half)]
    ).astype(np.float32)
    return vectors


def compute_unseen_vector(word: str, seen: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector [D] of a word that is not in `seen`, whose vectors are [N,D]."""
    half = vectors.shape[1] // 2
    weights = np.array([[_compare_spelling(word, other) ** SIMILARITY_POWER for other in seen]])
    contexts = np.round(weights * STEPS) @ np.round(vectors[:, :half].astype(np.float64) * STEPS)
    vector: NDArray[np.float32] = np.hstack([_normalise(contexts), embed_spelling([word], half)])[0].astype(np.float32)
    return vector


def embed_spelling(words: Sequence[str], width: int) -> Matrix:
    """Unit vectors [N,width]; words that share n-grams are near."""
    sums = [
        np.sum([_draw_signs("spelling", gram, width) for gram in sorted(_list_grams(word))], axis=0) for word in words
    ]
    return _normalise(np.array(sums).reshape(len(words), width))


def _embed_contexts(words: Sequence[str], captions: Iterable[Sequence[str]], width: int) -> Matrix:
    """Unit vectors, or zeros, [N,width]; words that occur near the same words more often than by chance are near."""
    neighbours: dict[str, Counter[str]] = {word: Counter() for word in words}
    totals: Counter[str] = Counter()
    for tokens, count in Counter(map(tuple, captions)).items():
        for index, token in enumerate(tokens):
            totals[token] += count
            if token in neighbours:
                for other in tokens[max(index - WINDOW, 0) : index] + tokens[index + 1 : index + 1 + WINDOW]:
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
    """The n-grams of a word with marked ends, and the whole word."""
    marked = f"<{word}>"
    return frozenset({marked} | {marked[at : at + n] for n in GRAMS for at in range(len(marked) - n + 1)})


@lru_cache(maxsize=100_000)
def _draw_signs(kind: str, text: str, width: int) -> Matrix:
    """Pseudorandom signs, fixed for a text: [width] of -1 and 1."""
    bits = np.frombuffer(hashlib.shake_256(f"{kind} {text}".encode()).digest(-(-width // 8)), np.uint8)
    signs: Matrix = np.unpackbits(bits)[:width].astype(np.float64) * 2 - 1
    return signs


def _normalise(rows: Matrix) -> Matrix:
    """Rows with norm 1; rows of zeros stay."""
    lengths: Matrix = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(lengths > 0, lengths, 1)


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
