"""Words <-> ids, and how captions of a dataset are tokenized. Id 0 is padding, 1 is any word not in the vocabulary."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, spell_count
from pipeline.files import read_json, write_json
from pipeline.records import UNKNOWN_ID

PAD_TOKEN, UNKNOWN_TOKEN = "<pad>", "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """The words in the order of ids (the tokenizer never yields the first two), and settings to encode captions."""

    words: tuple[str, ...]
    unlearned: int = 0  # number of words at the end that are not learned: rare in the train split, or not in it
    actions: tuple[str, ...] = ()  # training captions with objects replaced by `*`, most frequent first
    model: str | None = None  # tokenize.model
    lemmas: bool = False  # tokenize.lemmas

    @cached_property
    def ids(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """The token ids, one per token."""
        return tuple(self.ids.get(token, UNKNOWN_ID) for token in tokens)

    def with_unlearned(self, tokens: Iterable[str]) -> "Vocabulary":
        """A copy with ids for all of the tokens; new ones are appended in alphabetical order."""
        new = sorted(set(tokens) - self.ids.keys())
        return replace(self, words=(*self.words, *new), unlearned=self.unlearned + len(new))

    def __len__(self) -> int:
        return len(self.words)


def build_vocabulary(captions: Iterable[Sequence[str]], min_count: int) -> Vocabulary:
    """The words that occur at least `min_count` times in the captions, most frequent first, then alphabetical.

    Raises UserError if there are none, since all captions would be equal.
    """
    counts = Counter(token for tokens in captions for token in tokens)
    words = sorted(
        (word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word)
    )
    if not words:
        most = max(counts.values(), default=0)
        raise UserError(
            f"tokenize.min_word_count: no word of the train split occurs {spell_count(min_count, 'time')}, "
            f"so every caption would be {UNKNOWN_TOKEN}; the most frequent one occurs {spell_count(most, 'time')}"
        )
    return Vocabulary((PAD_TOKEN, UNKNOWN_TOKEN, *words))


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write it as JSON."""
    write_json(path, asdict(vocabulary))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the file of `write_vocabulary`. Raises UserError if it is missing or invalid."""
    return parse_vocabulary(read_json(path, "`dvc repro tokenize` creates it"), path)


def parse_vocabulary(value: Any, source: Path) -> Vocabulary:
    """Build a vocabulary from its fields in JSON. Raises UserError that names the source if they are invalid."""
    try:
        lists = {name: tuple(value[name]) for name in ("words", "actions") if name in value}
        vocabulary = Vocabulary(**{**value, **lists})
        fits = all(isinstance(text, str) for text in (*vocabulary.words, *vocabulary.actions, vocabulary.model or ""))
    except TypeError:
        fits = False
    if not fits or type(vocabulary.unlearned) is not int or type(vocabulary.lemmas) is not bool:
        raise UserError(f"{source}: holds no vocabulary of this version; `dvc repro` recreates it")
    if vocabulary.words[:2] != (PAD_TOKEN, UNKNOWN_TOKEN) or len(vocabulary.ids) != len(vocabulary):
        raise UserError(
            f"{source}: the words of the vocabulary are not different ones that begin with {PAD_TOKEN}, "
            f"{UNKNOWN_TOKEN}; `dvc repro` recreates it"
        )
    return vocabulary
