"""What fills the slots of a caption, as bare object names."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, zip_longest

from pipeline.corpus.cleaning import clean_text

SLOT = re.compile(r"\[([^\]]*)\]")
PLAIN_SLOT = re.compile(r"\b(something)\b", re.IGNORECASE)  # in a template written without brackets
NOT_AN_OBJECT = "number of"  # the slot of "Stacking [number of] [something]"
ARTICLES = re.compile(r"^(?:(?:a|an|the) )+")


def find_objects(caption: str, template: str, placeholders: Sequence[str]) -> tuple[str, ...]:
    """The objects of a cleaned caption in slot order, lower case, without article.

    Placeholders count where they fill the template to the caption. In derived files they often do not: then the
    caption is read by the template, and only where that fails, too, are the placeholders taken on trust.
    """
    literals, slots = _template_parts(template)
    text = caption.lower()
    fillers = [clean_text(word).lower() for word in placeholders]
    fits = len(fillers) == len(slots) and _join(literals, fillers) == text
    if not fits:
        fillers = _read_slots(text, literals) or fillers
    names = slots if len(fillers) == len(slots) else [""] * len(fillers)
    return _bare([word for word, name in zip(fillers, names, strict=True) if name != NOT_AN_OBJECT])


def bare_objects(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their order, cleaned, lower case and without article; empty ones are left out."""
    return _bare([clean_text(name).lower() for name in names])


@cache
def _template_parts(template: str) -> tuple[list[str], list[str]]:
    """The lower-case texts around the slots, one more than slots, and the slots' names."""
    pieces = (SLOT if SLOT.search(template) else PLAIN_SLOT).split(clean_text(template).lower())
    return pieces[::2], pieces[1::2]


def _join(literals: Sequence[str], fillers: Sequence[str]) -> str:
    return " ".join("".join(chain(*zip_longest(literals, fillers, fillvalue=""))).split())


def _read_slots(text: str, literals: Sequence[str]) -> list[str]:
    """What stands between the literals, each taken at its first place; empty where the text does not fit.

    A walk, not a pattern: hostile templates make a pattern with many slots take for ever.
    """
    first, *between, last = literals if len(literals) > 1 else (text, "")
    if not text.startswith(first) or not text.endswith(last):
        return []
    start, end, fillers = len(first), len(text) - len(last), []
    for literal in between:
        place = text.find(literal, start + 1, end)
        if place < 0:
            return []
        fillers.append(text[start:place])
        start = place + len(literal)
    return [*fillers, text[start:end]] if start < end else []


def _bare(phrases: Sequence[str]) -> tuple[str, ...]:
    """Lower-case phrases without articles and without what is not a word at their ends; empty ones are left out."""
    return tuple([word for phrase in phrases if (word := ARTICLES.sub("", phrase.strip(" .,;:!?\"'()")))])
