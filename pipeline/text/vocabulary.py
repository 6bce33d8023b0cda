"""Words <-> ids. 0 is padding, 1 is any word that is not in the vocabulary."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import write_json

PAD, UNKNOWN = "<pad>", "<unk>"
PAD_ID, UNKNOWN_ID = 0, 1


@dataclass(frozen=True)
class Vocabulary:
    """The words in the order of their ids; the tokenizer never yields the first two."""

    words: tuple[str, ...]

    @cached_property
    def ids(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Token ids, as long as `tokens`."""
        return tuple(self.ids.get(token, UNKNOWN_ID) for token in tokens)

    def __len__(self) -> int:
        return len(self.words)


def build_vocabulary(captions: Iterable[Sequence[str]], min_count: int) -> Vocabulary:
    """The words that stand at least `min_count` times in the captions, the commonest first, then by alphabet.

    Raises UserError if there is none: every caption would mean the same.
    """
    counts = Counter(token for tokens in captions for token in tokens)
    words = sorted(
        (word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word)
    )
    if not words:
        most = max(counts.values(), default=0)
        raise UserError(
            f"tokenize.min_word_count: no word of the train split stands {min_count} times, "
            f"so every caption would be {UNKNOWN}; the commonest stands {most} times"
        )
    return Vocabulary((PAD, UNKNOWN, *words))


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write the words as a JSON list in the order of their ids."""
    write_json(path, list(vocabulary.words))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read `write_vocabulary`'s file. Raises UserError if it is absent or not one."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such vocabulary; `dvc repro tokenize` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; `dvc repro tokenize` makes it anew") from None
    listed = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not listed or words[:2] != [PAD, UNKNOWN] or len(set(words)) != len(words):
        raise UserError(
            f"{path}: not a list of different words that begins with {PAD}, {UNKNOWN}; see `dvc repro tokenize`"
        )
    return Vocabulary(tuple(words))
