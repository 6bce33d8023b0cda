"""Free-form captions -> token ids; and slots, which tell which words name an object and which the action."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pipeline.errors import UserError
from pipeline.records import Caption
from pipeline.text.tokenizer import lemmatise, tokenize
from pipeline.text.vocabulary import Vocabulary

Tokens = tuple[str, ...]
Slots = tuple[int, ...]

ARTICLES = frozenset(("a", "an", "the"))
GAP = "*"  # occurs in no token
MAX_ACTIONS = 1000  # exceeds the categories of datasets, and is small enough to store with a model


@dataclass(frozen=True, slots=True)
class EncodedCaption:
    """A caption typed by a user, to sample from."""

    caption: Caption
    unknown: tuple[str, ...]  # the words that the vocabulary lacks, once each, in order


def encode(text: str, vocabulary: Vocabulary, max_tokens: int) -> EncodedCaption:
    """Encode a caption typed by a user; its objects are found by the actions of training captions.

    Raises UserError if it has no words or more than `max_tokens`.
    """
    tokens = tokenize(text, vocabulary.model)
    if not tokens:
        raise UserError(f"the caption {text!r} holds no word; write what moves and how")
    if len(tokens) > max_tokens:
        raise UserError(f"the caption has {len(tokens)} words, and tokenize.max_tokens is {max_tokens}; shorten it")
    if vocabulary.lemmas:
        (tokens,) = lemmatise([tokens], vocabulary.model)
    unknown = tuple(dict.fromkeys(token for token in tokens if token not in vocabulary.ids))
    slots = match_slots(tokens, vocabulary.actions)
    return EncodedCaption(Caption("", text, tokens, vocabulary.encode(tokens), slots), unknown)


def match_slots(tokens: Tokens, actions: Iterable[str]) -> Slots:
    """The slots of a caption without a template, by the matching action that shares the most words with it.

    Of several such actions the first is used; if none matches, the caption has no object.
    """
    fitting = filter(None, (_fill_action(tokens, action) for action in actions))
    return max(fitting, key=lambda slots: slots.count(0), default=(0,) * len(tokens))


def find_slots(tokens: Tokens, around: Sequence[Tokens], objects: Sequence[Tokens]) -> Slots:
    """The slots of a caption with known objects and the texts around the slots of its template.

    The template is used if it gives the caption when filled. Otherwise, each object is searched for after the previous
    one, then anywhere; an object that the caption lacks has no tokens.
    """
    return _fill_template(tokens, around, objects) or _search_objects(tokens, objects)


def list_actions(captions: Iterable[tuple[Tokens, Slots]]) -> tuple[str, ...]:
    """The captions with objects replaced by `*`, most frequent first, for `match_slots`."""
    counts = Counter(_write_action(tokens, slots) for tokens, slots in captions if any(slots) and 0 in slots)
    return tuple(sorted(counts, key=lambda action: (-counts[action], action))[:MAX_ACTIONS])


def _fill_action(tokens: Tokens, action: str) -> Slots | None:
    first, *texts = (tuple(text.split()) for text in action.split(GAP))
    if not _occurs(first, tokens, 0):
        return None
    slots = [0] * len(first)
    for number, text in enumerate(texts, 1):
        start, end = len(slots), len(tokens) - len(texts[-1])
        indices = range(start + 1, end) if number < len(texts) else [end]
        at = next((index for index in indices if index > start and _occurs(text, tokens, index)), None)
        if at is None:
            return None
        articles = min(_count_articles(tokens[start:at]), at - start - 1)  # an object has at least one word
        slots += [-number] * articles + [number] * (at - start - articles) + [0] * len(text)
    return tuple(slots)


def _fill_template(tokens: Tokens, around: Sequence[Tokens], objects: Sequence[Tokens]) -> Slots | None:
    if len(around) != len(objects) + 1 or not _occurs(around[0], tokens, 0):
        return None
    slots = [0] * len(around[0])
    for number, (words, after) in enumerate(zip(objects, around[1:], strict=True), 1):
        while not _occurs(words, tokens, len(slots)) and _count_articles(tokens[len(slots) :]):
            slots.append(-number)
        if not _occurs(words + after, tokens, len(slots)):
            return None
        slots += [number] * len(words) + [0] * len(after)
    return tuple(slots) if len(slots) == len(tokens) else None


def _search_objects(tokens: Tokens, objects: Sequence[Tokens]) -> Slots:
    slots, end = [0] * len(tokens), 0
    for number, words in enumerate(objects, 1):
        starts = [
            at for at in range(len(tokens)) if _occurs(words, tokens, at) and not any(slots[at : at + len(words)])
        ]
        if words and starts:
            start = next((at for at in starts if at >= end), starts[0])
            end = start + len(words)
            slots[start:end] = [number] * len(words)
            while start and not slots[start - 1] and tokens[start - 1] in ARTICLES:
                start -= 1
                slots[start] = -number
    return tuple(slots)


def _write_action(tokens: Tokens, slots: Slots) -> str:
    before = (0, *map(abs, slots))  # the slot before each token
    words = (
        GAP if slot else token
        for token, slot, last in zip(tokens, map(abs, slots), before, strict=False)
        if not slot or slot != last
    )
    return " ".join(words)


def _count_articles(tokens: Tokens) -> int:
    """The number of articles at the start."""
    return len(list(takewhile(ARTICLES.__contains__, tokens)))


def _occurs(words: Tokens, tokens: Tokens, at: int) -> bool:
    return tokens[at : at + len(words)] == words
