"""Chosen clips -> tokenized captions, their vocabulary, drops with reasons, and word vectors."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from spellchecker import SpellChecker

from pipeline.compute.sandbox import SandboxMode
from pipeline.errors import UserError, spell_count
from pipeline.params import EmbeddingParams, TokenizeParams
from pipeline.records import Caption, Clip, Correction, Drop, split_template
from pipeline.text.embeddings import read_source
from pipeline.text.sandboxed import find_vectors
from pipeline.text.tokenizer import KEPT, find_slots, lemmatise, list_actions, tokenize
from pipeline.text.vector_files import FoundVectors
from pipeline.text.vocabulary import Vocabulary, build_vocabulary

DISTANCE = 1  # edits (deletion, insertion, substitution, transposition); at 2, `headfone` is nearer to `headline`
SHORTEST = 5  # letters; in shorter words, one edit too often gives another word
COMMON = 1000  # occurrences in the list's corpus of 204 million words; `scissors` has 4,708, `scissions` 50
CLEAR = 10  # times as frequent as the next candidate, and as the misspelt word itself

SOURCE_PACKAGES = {
    "file": (),
    "spacy": ("spacy",),
    "sentence": ("sentence_transformers",),
}  # needed to read word vectors


@dataclass(frozen=True, slots=True)
class TokenizedClip:
    """A clip and the tokens of its caption, without ids."""

    clip: Clip
    tokens: tuple[str, ...]
    slots: tuple[int, ...]  # as in `Caption`


@dataclass(frozen=True, slots=True)
class TokenizedClips:
    """The results for all clips; each is in `captions` or in `drops`, in the order of the clips."""

    captions: list[Caption]
    drops: list[Drop]
    corrections: list[Correction]  # by alphabet
    vocabulary: Vocabulary
    revealed: dict[str, str]  # held-out word -> a word of the train split with the same lemma


def tokenize_clips(clips: Sequence[Clip], options: TokenizeParams) -> TokenizedClips:
    """Tokenize all captions; the vocabulary is built from the train split only, so that held-out words stay unknown.

    Raises UserError if the train split keeps no caption or no word.
    """
    tokenized, drops = _tokenize_each(clips, options.model, options.max_tokens)
    tokenized, corrections = _correct(tokenized, options.spelling)
    revealed: dict[str, str] = {}
    if options.lemmas:
        lemmas = list(lemmatise([one.tokens for one in tokenized], options.model))
        revealed = _find_revealed(tokenized, lemmas)
        tokenized = [replace(one, tokens=tokens) for one, tokens in zip(tokenized, lemmas, strict=True)]
    if options.oov == "drop":
        rare = _drop_rare(tokenized, options.min_word_count)
        tokenized, drops = _leave_out(tokenized, rare), drops + rare
    vocabulary = _learn_vocabulary(tokenized, drops, options)
    silent = [one for one in tokenized if not any(token in vocabulary.ids for token in one.tokens)]
    unknown = [Drop(one.clip.id, "no_known_word", "none of its words is in the vocabulary") for one in silent]
    captions = [
        Caption(one.clip.id, one.clip.caption, one.tokens, vocabulary.encode(one.tokens), one.slots)
        for one in _leave_out(tokenized, unknown)
    ]
    reasons = {drop.id: drop for drop in drops + unknown}
    listed = [reasons[clip.id] for clip in clips if clip.id in reasons]
    return TokenizedClips(captions, listed, corrections, vocabulary, revealed)


def _tokenize_each(clips: Sequence[Clip], model: str | None, max_tokens: int) -> tuple[list[TokenizedClip], list[Drop]]:
    """Each clip as a `TokenizedClip` or a `Drop`, in order. `model` is a spaCy pipeline, by name or path, or None."""
    words = cache(partial(tokenize, model=model))

    @cache
    def split_around(template: str) -> list[tuple[str, ...]]:
        return [words(text) for text in split_template(template)[0]]

    tokenized, drops = [], []
    for clip in clips:
        tokens = words(clip.caption)
        if not tokens:
            drops.append(Drop(clip.id, "no_words", "the caption holds no letter or digit"))
        elif len(tokens) > max_tokens:
            drops.append(Drop(clip.id, "too_many_tokens", f"{len(tokens)} tokens, tokenize.max_tokens is {max_tokens}"))
        else:
            slots = find_slots(tokens, split_around(clip.template), [words(name) for name in clip.objects])
            tokenized.append(TokenizedClip(clip, tokens, slots))
    return tokenized, drops


def find_corrections(
    words: Iterable[str], trained: Mapping[str, int], rarer_than: int, held_out: Set[str]
) -> dict[str, str]:
    """Misspelt word -> its correction, in alphabetical order; all other words are correct.

    `trained` counts the words of the train split. A word that occurs there at least `rarer_than` times is correct;
    corrections are looked up there first, then in the English list. Held-out words are neither changed nor inserted.
    """
    found = {}
    for word in sorted(set(words)):
        if trained.get(word, 0) < rarer_than and _looks_misspelt(word):
            near = _load_english().edit_distance_1(word)
            least = max(rarer_than, CLEAR * trained.get(word, 0))
            own = {other: trained[other] for other in near if trained.get(other, 0) >= least}
            known = {other: _load_english()[other] for other in near if _load_english()[other] >= COMMON}
            meant = _select_dominant(own or known)
            if meant and _could_mean(word, meant) and not {word, meant} & held_out and meant not in KEPT:
                found[word] = meant
    return found


def _find_revealed(tokenized: Sequence[TokenizedClip], lemmas: Sequence[Sequence[str]]) -> dict[str, str]:
    """Held-out word -> a word of the train split with the same lemma, which reveals it; in alphabetical order."""
    pairs = [list(zip(one.tokens, roots, strict=True)) for one, roots in zip(tokenized, lemmas, strict=True)]
    trained: dict[str, str] = {}
    for one, words in zip(tokenized, pairs, strict=True):
        if one.clip.split == "train":
            trained.update((root, token) for token, root in words)
    found = {
        token: trained[root]
        for one, words in zip(tokenized, pairs, strict=True)
        for (token, root), slot in zip(words, one.slots, strict=True)
        if one.clip.split == "test_words" and slot > 0 and root in trained
    }
    seen = {token for one in tokenized if one.clip.split == "train" for token in one.tokens}
    return {word: found[word] for word in sorted(found.keys() - seen)}


def _drop_rare(tokenized: Sequence[TokenizedClip], min_count: int) -> list[Drop]:
    """Drops for clips with a word that occurs less than `min_count` times in the train split, in the order of clips.

    Dropping clips makes their words rarer, so counting is repeated until no more clips are dropped. The objects of
    `test_words` are unknown on purpose, so they are exempt.
    """
    counts = _count_words(tokenized)
    rare: dict[str, Drop] = {}
    while found := [
        drop for one in tokenized if one.clip.id not in rare and (drop := _find_rare_word(one, counts, min_count))
    ]:
        rare |= {drop.id: drop for drop in found}
        counts = _count_words(one for one in tokenized if one.clip.id not in rare)
    return [rare[one.clip.id] for one in tokenized if one.clip.id in rare]


def _correct(tokenized: list[TokenizedClip], rarer_than: int | None) -> tuple[list[TokenizedClip], list[Correction]]:
    """The captions with misspelt words corrected, and the corrections."""
    if rarer_than is None:
        return tokenized, []
    counts = Counter(token for one in tokenized for token in one.tokens)
    trained = Counter(token for one in tokenized if one.clip.split == "train" for token in one.tokens)
    held_out = {
        token
        for one in tokenized
        for token, slot in zip(one.tokens, one.slots, strict=True)
        if _may_be_held_out(one, slot) and token not in trained
    }
    meant = find_corrections(counts, trained, rarer_than, held_out)
    corrected = [replace(one, tokens=tuple(meant.get(token, token) for token in one.tokens)) for one in tokenized]
    return corrected, [Correction(word, right, counts[word], DISTANCE) for word, right in meant.items()]


def _learn_vocabulary(tokenized: Sequence[TokenizedClip], drops: Sequence[Drop], options: TokenizeParams) -> Vocabulary:
    trained = [one for one in tokenized if one.clip.split == "train"]
    if not trained:
        reasons = Counter(drop.reason for drop in drops)
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none was there"
        raise UserError(f"tokenize: no caption of the train split is left ({counts}); see `tokenize` in params.yaml")
    vocabulary = build_vocabulary((one.tokens for one in trained), options.min_word_count)
    if options.oov == "subword":
        vocabulary = vocabulary.with_unlearned(token for one in tokenized for token in one.tokens)
    actions = list_actions((one.tokens, one.slots) for one in trained)
    return replace(vocabulary, actions=actions, model=options.model, lemmas=options.lemmas)


def _leave_out(tokenized: Sequence[TokenizedClip], drops: Collection[Drop]) -> list[TokenizedClip]:
    dropped = {drop.id for drop in drops}
    return [one for one in tokenized if one.clip.id not in dropped]


def _looks_misspelt(word: str) -> bool:
    return (
        len(word) >= SHORTEST and word.isascii() and word.isalpha() and word not in KEPT and word not in _load_english()
    )


def _could_mean(word: str, other: str) -> bool:
    """Whether a word may be a typo of the other: first letters are seldom wrong, and a plural is not a typo."""
    begins_alike = other[0] == word[0] or other[:2] == word[1::-1]
    return begins_alike and other.isalpha() and other != f"{word}s" and word != f"{other}s"


def _select_dominant(counts: Mapping[str, int]) -> str | None:
    """The word that is far more frequent than all others; None if there is none."""
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    if len(ranked) > 1 and counts[ranked[0]] < CLEAR * counts[ranked[1]]:
        return None
    return ranked[0] if ranked else None


@cache
def _load_english() -> SpellChecker:
    return SpellChecker(language="en", distance=DISTANCE)


def _count_words(tokenized: Iterable[TokenizedClip]) -> Counter[str]:
    return Counter(token for one in tokenized if one.clip.split == "train" for token in one.tokens)


def _may_be_held_out(one: TokenizedClip, slot: int) -> bool:
    """Whether a word may be held out for `test_words`: it names an object, or the caption has no known objects."""
    return one.clip.split == "test_words" and (slot != 0 or not any(one.slots))


def _find_rare_word(one: TokenizedClip, counts: Counter[str], min_count: int) -> Drop | None:
    for token, slot in zip(one.tokens, one.slots, strict=True):
        if counts[token] < min_count and not _may_be_held_out(one, slot):
            times = spell_count(counts[token], "time")
            detail = f"{token!r} occurs {times} in the train split, tokenize.min_word_count is {min_count}"
            return Drop(one.clip.id, "rare_word", detail)
    return None


def read_sandboxed_source(
    words: Sequence[str], options: EmbeddingParams, path: Path, sandbox: SandboxMode
) -> FoundVectors:
    """The word vectors of `read_source`, called in a sandbox unless `sandbox` is `off`."""
    if sandbox == "off":
        return read_source(words, options, path)
    opens = Path(options.package) if options.source == "spacy" and options.package else path
    others = 0 if options.source == "sentence" else options.spare_words
    needs = (SOURCE_PACKAGES[options.source], options.source == "sentence")  # torch makes machine code
    return find_vectors(str(opens), read_source, (words, options, path), opens, (words, others), sandbox, *needs)
