"""Clips left out because their captions hold words that training knows too little, or not at all."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.records import Drop
from pipeline.text.reading import Worded


def drop_rare(worded: Sequence[Worded], min_count: int) -> list[Drop]:
    """The clips with a word that stands less than `min_count` times in the train split, in the order of the clips.

    A clip that goes takes its words with it, so the rest is counted anew until each word of each train caption stands
    often enough. The objects of `test_words` are unknown on purpose: they drop no clip.
    """
    counts = _count(worded)
    rare: dict[str, Drop] = {}
    while found := [drop for one in worded if one.clip.id not in rare and (drop := _judge(one, counts, min_count))]:
        rare |= {drop.id: drop for drop in found}
        counts = _count(one for one in worded if one.clip.id not in rare)
    return [rare[one.clip.id] for one in worded if one.clip.id in rare]


def _count(worded: Iterable[Worded]) -> Counter[str]:
    return Counter(token for one in worded if one.clip.split == "train" for token in one.tokens)


def _judge(one: Worded, counts: Counter[str], min_count: int) -> Drop | None:
    for token, slot in zip(one.tokens, one.slots, strict=True):
        held_out = slot and one.clip.split == "test_words"
        if counts[token] < min_count and not held_out:
            detail = (
                f"{token!r} stands {counts[token]} times in the train split, tokenize.min_word_count is {min_count}"
            )
            return Drop(one.clip.id, "rare_word", detail)
    return None
