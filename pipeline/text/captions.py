"""Chosen clips -> tokenized captions, the vocabulary they share, and why some were left out."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UserError
from pipeline.params import TokenizeParams
from pipeline.records import Caption, Clip, Correction, Drop
from pipeline.text.rare import drop_rare
from pipeline.text.reading import Worded, read_clips
from pipeline.text.spans import list_actions
from pipeline.text.spelling import DISTANCE, find_corrections
from pipeline.text.tokenizer import lemmatise
from pipeline.text.vocabulary import Vocabulary, build_vocabulary


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Every clip is in `captions` or in `drops`, each in the order of the clips."""

    captions: list[Caption]
    drops: list[Drop]
    corrections: list[Correction]  # by alphabet
    vocabulary: Vocabulary


def tokenize_clips(clips: Sequence[Clip], options: TokenizeParams) -> Tokenized:
    """Tokenize all captions; the vocabulary learns the train split alone, so no held-out word can slip in.

    Raises UserError where the train split keeps no caption or no word.
    """
    worded, drops = read_clips(clips, options.model, options.max_tokens)
    worded, corrections = _correct(worded, options.spelling)
    if options.lemmas:
        lemmas = lemmatise([one.tokens for one in worded], options.model)
        worded = [replace(one, tokens=tokens) for one, tokens in zip(worded, lemmas, strict=True)]
    if options.oov == "drop":
        rare = drop_rare(worded, options.min_word_count)
        worded, drops = _without(worded, rare), drops + rare
    vocabulary = _learn(worded, drops, options)
    silent = [one for one in worded if not any(token in vocabulary.ids for token in one.tokens)]
    unknown = [Drop(one.clip.id, "no_known_word", "none of its words is in the vocabulary") for one in silent]
    captions = [
        Caption(one.clip.id, one.clip.caption, one.tokens, vocabulary.encode(one.tokens), one.slots)
        for one in _without(worded, unknown)
    ]
    reasons = {drop.id: drop for drop in drops + unknown}
    return Tokenized(captions, [reasons[clip.id] for clip in clips if clip.id in reasons], corrections, vocabulary)


def _correct(worded: list[Worded], rarer_than: int | None) -> tuple[list[Worded], list[Correction]]:
    """The captions with misspelt words put right, and what was put right."""
    if rarer_than is None:
        return worded, []
    counts = Counter(token for one in worded for token in one.tokens)
    trained = Counter(token for one in worded if one.clip.split == "train" for token in one.tokens)
    held_out = {
        token
        for one in worded
        if one.clip.split == "test_words"
        for token, slot in zip(one.tokens, one.slots, strict=True)
        if slot and token not in trained
    }
    meant = find_corrections(counts, trained, rarer_than, held_out)
    corrected = [replace(one, tokens=tuple(meant.get(token, token) for token in one.tokens)) for one in worded]
    return corrected, [Correction(word, right, counts[word], DISTANCE) for word, right in meant.items()]


def _learn(worded: Sequence[Worded], drops: Sequence[Drop], options: TokenizeParams) -> Vocabulary:
    trained = [one for one in worded if one.clip.split == "train"]
    if not trained:
        reasons = Counter(drop.reason for drop in drops)
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none was there"
        raise UserError(f"tokenize: no caption of the train split is left ({counts}); see `tokenize` in params.yaml")
    vocabulary = build_vocabulary((one.tokens for one in trained), options.min_word_count)
    if options.oov == "subword":
        vocabulary = vocabulary.with_unlearned(token for one in worded for token in one.tokens)
    actions = list_actions((one.tokens, one.slots) for one in trained)
    return replace(vocabulary, actions=actions, model=options.model, lemmas=options.lemmas)


def _without(worded: Sequence[Worded], drops: Collection[Drop]) -> list[Worded]:
    dropped = {drop.id for drop in drops}
    return [one for one in worded if one.clip.id not in dropped]
