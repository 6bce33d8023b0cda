"""Words <-> ids, and how captions of a dataset are tokenized. 0 is padding, 1 is any word outside the vocabulary."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import read_json, write_json
from pipeline.records import UNKNOWN_ID

PAD_TOKEN, UNKNOWN_TOKEN = "<pad>", "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """The words in the order of their ids (the tokenizer never yields the first two), and what else a caption needs."""

    words: tuple[str, ...]
    unlearned: int = 0  # so many words at the end are not learned: too rare in the train split, or not in it
    actions: tuple[str, ...] = ()  # trained captions with `*` for each object, the commonest first
    model: str | None = None  # tokenize.model
    lemmas: bool = False  # tokenize.lemmas

    @cached_property
    def ids(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Token ids, as long as `tokens`."""
        return tuple(self.ids.get(token, UNKNOWN_ID) for token in tokens)

    def with_unlearned(self, tokens: Iterable[str]) -> "Vocabulary":
        """The same with an id for each of the tokens; new ones come last, by alphabet."""
        new = sorted(set(tokens) - self.ids.keys())
        return replace(self, words=(*self.words, *new), unlearned=self.unlearned + len(new))

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
            f"so every caption would be {UNKNOWN_TOKEN}; the commonest stands {most} times"
        )
    return Vocabulary((PAD_TOKEN, UNKNOWN_TOKEN, *words))


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write it as JSON: `words` in the order of their ids, and the other fields."""
    write_json(path, asdict(vocabulary))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read `write_vocabulary`'s file. Raises UserError if it is absent or not one."""
    return parse_vocabulary(read_json(path, "`dvc repro tokenize` makes it"), path)


def parse_vocabulary(value: Any, source: Path) -> Vocabulary:
    """The vocabulary whose fields these are, as JSON has them. Raises UserError that names the source if not one."""
    try:
        lists = {name: tuple(value[name]) for name in ("words", "actions") if name in value}
        vocabulary = Vocabulary(**{**value, **lists})
        fits = all(isinstance(text, str) for text in (*vocabulary.words, *vocabulary.actions, vocabulary.model or ""))
    except TypeError:
        fits = False
    if not fits or type(vocabulary.unlearned) is not int or type(vocabulary.lemmas) is not bool:
        raise UserError(f"{source}: holds no vocabulary of this version; `dvc repro` makes it anew")
    if vocabulary.words[:2] != (PAD_TOKEN, UNKNOWN_TOKEN) or len(vocabulary.ids) != len(vocabulary):
        raise UserError(
            f"{source}: the words of the vocabulary are not different ones that begin with {PAD_TOKEN}, "
            f"{UNKNOWN_TOKEN}; `dvc repro` makes it anew"
        )
    return vocabulary
