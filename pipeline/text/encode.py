"""A free caption -> the same token ids that training saw, and the words it never saw."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.records import Caption
from pipeline.text.spans import match_slots
from pipeline.text.tokenizer import lemmatise, tokenize
from pipeline.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Encoded:
    """A caption to sample from."""

    caption: Caption
    unknown: tuple[str, ...]  # the words that the vocabulary lacks, once each, in order


def encode(text: str, vocabulary: Vocabulary, max_tokens: int) -> Encoded:
    """Encode a caption that someone typed, its objects found by the actions that training saw.

    Raises UserError if it holds no word or more than `max_tokens`.
    """
    tokens = tokenize(text, vocabulary.model)
    if not tokens:
        raise UserError(f"the caption {text!r} holds no word; say what moves and how")
    if len(tokens) > max_tokens:
        raise UserError(f"the caption has {len(tokens)} words, and tokenize.max_tokens is {max_tokens}; shorten it")
    if vocabulary.lemmas:
        (tokens,) = lemmatise([tokens], vocabulary.model)
    unknown = tuple(dict.fromkeys(token for token in tokens if token not in vocabulary.ids))
    slots = match_slots(tokens, vocabulary.actions)
    return Encoded(Caption("", text, tokens, vocabulary.encode(tokens), slots), unknown)
