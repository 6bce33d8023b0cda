"""Chosen clips -> the words of their captions and what each word is there for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from pipeline.records import Clip, Drop
from pipeline.text.spans import find_slots, split_template
from pipeline.text.tokenizer import tokenize


@dataclass(frozen=True, slots=True)
class Worded:
    """A clip whose caption has been read."""

    clip: Clip
    tokens: tuple[str, ...]
    slots: tuple[int, ...]  # as in `Caption`


def read_clips(clips: Sequence[Clip], model: str | None, max_tokens: int) -> tuple[list[Worded], list[Drop]]:
    """Every clip in one of both, in the order of the clips. `model` is a spaCy pipeline whose tokenizer is used."""
    words = cache(partial(tokenize, model=model))

    @cache
    def around(template: str) -> list[tuple[str, ...]]:
        return [words(text) for text in split_template(template)]

    worded, drops = [], []
    for clip in clips:
        tokens = words(clip.caption)
        if not tokens:
            drops.append(Drop(clip.id, "no_words", "the caption holds no letter or digit"))
        elif len(tokens) > max_tokens:
            drops.append(Drop(clip.id, "too_many_tokens", f"{len(tokens)} tokens, tokenize.max_tokens is {max_tokens}"))
        else:
            slots = find_slots(tokens, around(clip.template), [words(name) for name in clip.objects])
            worded.append(Worded(clip, tokens, slots))
    return worded, drops
