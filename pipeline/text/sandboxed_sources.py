"""The sources of a run's word vectors, a file or the model of another package, read in a sandbox."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.compute.sandbox import SandboxMode
from pipeline.params import EmbeddingParams
from pipeline.text.embeddings import read_source
from pipeline.text.sandboxed_vectors import find_vectors
from pipeline.text.vector_files import FoundVectors

PACKAGES = {"file": (), "spacy": ("spacy",), "sentence": ("sentence_transformers",)}


def read_sandboxed_source(
    words: Sequence[str], options: EmbeddingParams, path: Path, sandbox: SandboxMode
) -> FoundVectors:
    """What `read_source` finds; with `off` in this process."""
    if sandbox == "off":
        return read_source(words, options, path)
    opens = Path(options.package) if options.source == "spacy" and options.package else path
    others = 0 if options.source == "sentence" else options.spare_words
    needs = (PACKAGES[options.source], options.source == "sentence")  # torch makes machine code
    return find_vectors(str(opens), read_source, (words, options, path), opens, (words, others), sandbox, *needs)
