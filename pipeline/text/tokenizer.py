"""A caption -> lower-case word tokens, their ids, and slots, which tell the words of objects from those of the action.

Tokens may be replaced by their lemmas; spaCy is used here only. Punctuation is removed: it is not visible in a video,
and should not change the condition. Hyphens and slashes split words, so `t-shirt` shares the token `shirt`; `n't`
becomes `not`. Chinese and Japanese, which have no spaces between words, are split by spaCy's rules for them.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

from pipeline.errors import UserError, first_line, name_install
from pipeline.letters import JOINERS, build_word_pattern
from pipeline.records import Caption
from pipeline.text.vocabulary import Vocabulary

QUOTES = str.maketrans("‘’`´", "''''")  # noqa: RUF001 - used as apostrophes
UNBROKEN = re.compile(r"(\S{80})(?=\S)")  # spaCy's time is quadratic in the length of such a run
# A fast path for English letters and plain punctuation: spaCy splits no such word but `cannot`. Loading spaCy takes
# more than a second, and the rules of all scripts a tenth of one.
PLAIN_WORD = re.compile("[a-z]+")
PLAIN = re.compile(r"(?!.*\bcannot\b)[a-z .,;:!?()\"-]*")
KANA = re.compile(r"[\u3041-\u30ff]")
UNSPACED = re.compile(r"[\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
SPLITTERS: dict[str, tuple[str, str, dict[str, Any]]] = {  # language, packages that spaCy needs for it, config
    "ja": ("Japanese", "sudachipy sudachidict_core", {}),
    "zh": ("Chinese", "jieba", {"nlp": {"tokenizer": {"segmenter": "jieba"}}}),
}
LEMMATIZERS = {"lemmatizer", "trainable_lemmatizer"}

# Words whose lemma would change or lose the direction or manner: spaCy's table maps `left` to `leave`, `lower` to
# `low`, `falling` to `fall`, and `does` to `doe`.
KEEP = """
left right up down top bottom front back behind forward forwards backward backwards sideways upward upwards downward
downwards inward inwards outward outwards upright over under above below beneath onto on off in out into inside
outside to toward towards from away across along around through between against apart together near nearer nearest
close closer closest far farther farthest further high higher highest low lower lowest clockwise counterclockwise
anticlockwise falling rising rolling sliding turning opening closing raising lowering lifting dropping
is are was were be been does do did has have had not
"""
KEPT = frozenset(KEEP.split())

Tokens = tuple[str, ...]
Slots = tuple[int, ...]

ARTICLES = frozenset(("a", "an", "the"))
GAP = "*"  # occurs in no token
MAX_ACTIONS = 1000  # exceeds the categories of datasets, and is small enough to store with a model


def tokenize(text: str, model: str | None = None) -> tuple[str, ...]:
    """The words of a caption in order, lower case; empty if it has no letter or digit.

    `model` is the name or path of a spaCy pipeline whose tokenizer replaces that of blank English.
    """
    plain = unicodedata.normalize("NFKC", text).translate(QUOTES).lower()
    plain = "".join(letter if letter.isprintable() or letter in JOINERS else " " for letter in plain)
    plain = UNBROKEN.sub(r"\1 ", plain)
    if model is None and PLAIN.fullmatch(plain):
        return tuple(PLAIN_WORD.findall(plain))
    pieces = tuple(
        piece for token in _load_language(model).make_doc(plain) for piece in _compile_piece().findall(token.norm_)
    )
    if model or not UNSPACED.search(plain):
        return pieces
    # Kana identify Japanese; without them, the same characters are treated as Chinese.
    language = _load_unspaced("ja" if KANA.search(plain) else "zh")
    return tuple(word for piece in pieces for word in _split_unspaced(piece, language))


def lemmatise(captions: Iterable[Sequence[str]], model: str | None = None) -> Iterator[tuple[str, ...]]:
    """The tokens of each caption, replaced one by one by their lemmas except for words about directions.

    Without a model, the lemmas are those of spaCy's lookup table. Raises UserError if the lemmatizer is missing.
    """
    from spacy.tokens import Doc

    nlp = _load_lemmatizer(model)
    docs = (Doc(nlp.vocab, words=list(tokens)) for tokens in captions)
    for doc in nlp.pipe(docs):
        yield tuple(_choose_lemma(token.text, token.lemma_.lower()) for token in doc)


@cache
def _compile_piece() -> re.Pattern[str]:
    """Matches `2.5`, `'s` and `o'clock`; dots and underscores split words."""
    word = build_word_pattern()
    return re.compile(rf"\d+(?:[.,]\d+)+|'?{word}(?:'{word})*")


def _choose_lemma(word: str, lemma: str) -> str:
    return word if word in KEPT or not _compile_piece().fullmatch(lemma) else lemma


def _split_unspaced(piece: str, language: Any | None) -> list[str]:
    """The words of a piece; the piece itself if its script has spaces or `language` is None."""
    if language is None or not UNSPACED.search(piece):
        return [piece]
    return [word for token in language.make_doc(piece) for word in _compile_piece().findall(token.text)]


@cache
def _load_unspaced(code: str) -> Any | None:
    """spaCy's rules for Japanese (`ja`) or Chinese (`zh`); None, with a message, if their package is missing."""
    import spacy

    name, packages, config = SPLITTERS[code]
    try:
        return spacy.blank(code, config=config)
    except ImportError:
        detail = (
            f"{name} captions are split at spaces and punctuation only; `pip install {packages}` to split their words"
        )
        print(f"tokenize: {detail}, then run the stage again", file=sys.stderr)
        return None


@cache
def _load_language(model: str | None) -> Any:
    import spacy

    nlp: Any = _load_pipeline(model) if model else spacy.blank("en")
    if hasattr(nlp.tokenizer, "rules"):  # tokenizers of scripts without spaces have no rules
        # Keeps the exceptions with an apostrophe (doesn't -> does not) and `cannot`; the others split words wrongly:
        # id -> i d.
        nlp.tokenizer.rules = {
            word: parts for word, parts in nlp.tokenizer.rules.items() if "'" in word or word == "cannot"
        }
    return nlp


@cache
def _load_lemmatizer(model: str | None) -> Any:
    import spacy

    # Not _load_language(None), whose tokenizer exceptions would change the words.
    nlp: Any = _load_language(model) if model else spacy.blank("en")
    if model and not LEMMATIZERS & set(nlp.pipe_names):
        raise UserError(f"tokenize.lemmas: the spaCy model {model} makes no lemmas; take another or say false")
    if not model:
        try:
            nlp.add_pipe("lemmatizer", config={"mode": "lookup"}).initialize()
        except ValueError:
            raise UserError(
                f"tokenize.lemmas: spaCy's table of lemmas is not installed; {name_install('lemmas')}, or say false"
            ) from None
    return nlp


def _load_pipeline(model: str) -> Any:
    """Load an installed spaCy pipeline by name, or a folder by path. Raises UserError if it cannot be loaded."""
    import spacy

    try:
        return spacy.load(model, exclude=["ner", "parser"])
    except (OSError, ImportError, ValueError) as error:
        raise UserError(
            f"tokenize.model: spaCy cannot load {model!r} ({first_line(error)}); give the path of a pipeline's "
            f"folder or the name of an installed one (`python -m spacy download {model}`), or null"
        ) from None


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
