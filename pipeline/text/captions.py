"""Chosen clips -> tokenized captions, the vocabulary they share, and why some were left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.params import TokenizeParams
from pipeline.records import Caption, Clip, Drop
from pipeline.text.tokenizer import tokenize
from pipeline.text.vocabulary import Vocabulary, build_vocabulary


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Every clip is in `captions` or in `drops`, each in the order of the clips."""

    captions: list[Caption]
    drops: list[Drop]
    vocabulary: Vocabulary


def tokenize_clips(clips: Sequence[Clip], options: TokenizeParams) -> Tokenized:
    """Tokenize all captions; the vocabulary knows the train split alone, so no held-out word can slip in.

    Raises UserError where the train split keeps no caption or no word.
    """
    words = {clip.id: tokenize(clip.caption) for clip in clips}
    drops = [drop for clip in clips if (drop := _judge(clip.id, words[clip.id], options.max_tokens))]
    dropped = {drop.id for drop in drops}
    kept = [clip for clip in clips if clip.id not in dropped]
    trained = [words[clip.id] for clip in kept if clip.split == "train"]
    if not trained:
        raise UserError(
            f"tokenize: no caption of the train split is left, {len(drops)} were dropped; see tokenize.max_tokens"
        )
    vocabulary = build_vocabulary(trained, options.min_word_count)
    captions = [Caption(clip.id, clip.caption, words[clip.id], vocabulary.encode(words[clip.id])) for clip in kept]
    return Tokenized(captions, drops, vocabulary)


def _judge(clip_id: str, tokens: Sequence[str], max_tokens: int) -> Drop | None:
    if not tokens:
        return Drop(clip_id, "no_words", "the caption holds no letter or digit")
    if len(tokens) > max_tokens:
        return Drop(clip_id, "too_many_tokens", f"{len(tokens)} tokens, tokenize.max_tokens is {max_tokens}")
    return None
