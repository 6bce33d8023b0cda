"""A free caption -> the same token ids that training saw, and the words it never saw."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.text.tokenizer import tokenize
from pipeline.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Encoded:
    """A caption to sample from."""

    text: str
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    unknown: tuple[str, ...]  # the words that became <unk>, once each, in order


def encode(text: str, vocabulary: Vocabulary, max_tokens: int) -> Encoded:
    """Encode a caption that someone typed. Raises UserError if it holds no word or more than `max_tokens`."""
    tokens = tokenize(text)
    if not tokens:
        raise UserError(f"the caption {text!r} holds no word; say what moves and how")
    if len(tokens) > max_tokens:
        raise UserError(f"the caption has {len(tokens)} words, and tokenize.max_tokens is {max_tokens}; shorten it")
    unknown = tuple(dict.fromkeys(token for token in tokens if token not in vocabulary.ids))
    return Encoded(text, tokens, vocabulary.encode(tokens), unknown)
