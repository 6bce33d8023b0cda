"""Word vectors of models that someone else has trained: spaCy's, and sentence-transformers'. Nothing is downloaded."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError, first_line

Vectors = dict[str, NDArray[np.float32]]


def spacy_vectors(model: str, wanted: Sequence[str], first: int) -> Vectors:
    """The vectors of the wanted words, and of the first words of the model besides, as many as `first`.

    `model` is the name of an installed package or a folder. Raises UserError where it is neither or has no vectors.
    """
    import spacy  # takes a second, and is needed for this source alone

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


def sentence_vectors(folder: Path, words: Sequence[str]) -> Vectors:
    """What a sentence-transformers model says of each word alone.

    Of each word, not of the caption: such models hear little difference between "from left to right" and "from right
    to left", and the order of words is what our own encoders are for.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise UserError(
            "tokenize.embeddings.source sentence needs sentence-transformers; pip install -c constraints.txt "
            "'.[sentence]'"
        ) from None
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; put a sentence-transformers model there or set tokenize.embeddings.path"
        )
    try:
        model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a sentence-transformers model ({first_line(error)})") from None
    return {word: np.asarray(vector, np.float32) for word, vector in zip(words, model.encode(list(words)), strict=True)}
