# ruff: noqa: RUF001 - look-alike letters are what this file is about
"""Raw captions -> one line of plain text, and the objects in them; and names in params -> categories and objects."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from itertools import chain, zip_longest

from pipeline.corpus import ONLY_CATEGORY
from pipeline.errors import UserError
from pipeline.letters import JOINERS, build_word_pattern, find_words, spell_symbols
from pipeline.records import slugify, split_template

QUOTES = str.maketrans({"‘": "'", "’": "'", "`": "'", "´": "'", "“": '"', "”": '"'})
# Cyrillic and Greek letters that look like Latin ones, in the order of the Latin ones below.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһАВЕКМНОРСТУХІЈЅοανΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhABEKMHOPCTYXIJSoavABEZHIKMNOPTYX"
)
CLEAN = re.compile(r"(?:[!-\[\]-_a-~]+ )*[!-\[\]-_a-~]+")  # the common case: ASCII without \ and `
# An escaped line break; `left\\next` has none.
SPELT_BREAK = re.compile(r"\\n(?![a-z])|(?<=[\s.,:;!?])\\n")
ESCAPED_QUOTE = re.compile(r"\\+(?=[\"'])")

NOT_AN_OBJECT = "number of"  # the slot of "Stacking [number of] [something]"
LEADING_ARTICLES = re.compile(r"^(?:(?:a|an|the) )+")


def normalise_text(text: str) -> str:
    """The text on one line, without control or invisible characters, stray escapes, look-alikes and doubled spaces.

    Case and punctuation are kept. The result can always be written as UTF-8, and cleaning is idempotent.
    """
    if CLEAN.fullmatch(text):
        return text
    text = _strip_unprintable(text)
    if not text.isascii():
        text = _strip_unprintable(unicodedata.normalize("NFKC", text))
    text = text.translate(QUOTES)
    text = ESCAPED_QUOTE.sub("", SPELT_BREAK.sub(" ", text)).replace("\\", " ")
    if not text.isascii():
        text = _replace_lookalikes(text)
    return " ".join(text.split())


def escape_unwritable(text: str) -> str:
    """The text with lone surrogates, which cannot be written as UTF-8, escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def find_objects(caption: str, template: str, placeholders: Sequence[str]) -> tuple[str, ...]:
    """The objects of a cleaned caption in slot order, in lower case, without articles.

    Placeholders are used if they fill the template to give the caption. In derived files they often do not: then the
    caption is matched against the template, and if that fails, too, the placeholders are used unverified. A caption
    that equals its template, as in Something-Something-V1, names no objects.
    """
    literals, slots = _split_cleaned(template)
    text = caption.lower()
    fillers = [normalise_text(word).lower() for word in placeholders]
    fits = len(fillers) == len(slots) and _fill_template(literals, fillers) == text
    if not fits:
        fillers = _read_slots(text, literals) or fillers
    if fillers == slots:
        return ()
    names = slots if len(fillers) == len(slots) else [""] * len(fillers)
    return _strip_articles([word for word, name in zip(fillers, names, strict=True) if name != NOT_AN_OBJECT])


def clean_objects(names: Iterable[str]) -> tuple[str, ...]:
    """The names in order, cleaned, in lower case and without articles; empty ones are removed."""
    return _strip_articles([normalise_text(name).lower() for name in names])


class Phrases:
    """Finds names in captions, as consecutive whole words; case, hyphens and punctuation are ignored."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[tuple[str, ...], list[str]] = defaultdict(list)  # by their words
        self._lengths: dict[str, set[int]] = defaultdict(set)  # first word -> lengths of names, in words
        for name in names:
            words = tuple(find_words(name.lower()))
            if words:
                self._names[words].append(name)
                self._lengths[words[0]].add(len(words))

    def find(self, caption: str, objects: Iterable[str]) -> set[str]:
        """The names that the caption or an object contains."""
        found: set[str] = set()
        if self._names:
            # Texts are separated by an empty word, which no name contains.
            words = [word for text in (caption, *objects) for word in (*find_words(text.lower()), "")]
            for start, word in enumerate(words):
                for length in self._lengths.get(word, ()):
                    found.update(self._names.get(tuple(words[start : start + length]), ()))
        return found


def _strip_unprintable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(_replace_unprintable(letter) for letter in text)


def _replace_unprintable(letter: str) -> str:
    if letter.isprintable() or letter in JOINERS:
        return letter
    # Zero-width characters occur inside words, control characters and wide spaces between words.
    return "" if unicodedata.category(letter) in ("Cf", "Cs", "Co", "Cn") else " "


def _replace_lookalikes(text: str) -> str:
    """Replace look-alike letters by Latin ones, if most of the text and the rest of the word are Latin."""
    letters = [letter for letter in text if letter.isalpha()]
    if 2 * sum(letter.isascii() for letter in letters) <= len(letters):
        return text
    return " ".join(_replace_in_word(word) for word in text.split())


def _replace_in_word(word: str) -> str:
    replaced = word.translate(LOOKALIKES)
    foreign = any(letter.isalpha() and "LATIN" not in unicodedata.name(letter, "") for letter in replaced)
    return word if foreign else replaced


@cache
def _split_cleaned(template: str) -> tuple[list[str], list[str]]:
    """The cleaned template in lower case, split by `split_template`."""
    return split_template(normalise_text(template).lower())


def _fill_template(literals: Sequence[str], fillers: Sequence[str]) -> str:
    return " ".join("".join(chain(*zip_longest(literals, fillers, fillvalue=""))).split())


def _read_slots(text: str, literals: Sequence[str]) -> list[str]:
    """The texts between the literals, each found at its first occurrence; empty if the text does not match.

    Not by a regular expression: malicious templates with many slots would cause catastrophic backtracking.
    """
    first, *between, last = literals if len(literals) > 1 else (text, "")
    if not text.startswith(first) or not text.endswith(last):
        return []
    start, end, fillers = len(first), len(text) - len(last), []
    for literal in between:
        at = text.find(literal, start + 1, end)
        if at < 0:
            return []
        fillers.append(text[start:at])
        start = at + len(literal)
    return [*fillers, text[start:end]] if start < end else []


def _strip_articles(phrases: Sequence[str]) -> tuple[str, ...]:
    """Phrases in lower case without articles and without punctuation at the ends; empty ones are removed."""
    return tuple([word for phrase in phrases if (word := LEADING_ARTICLES.sub("", phrase.strip(" .,;:!?\"'()")))])


def match_categories(wanted: Iterable[str], clips: Mapping[str, int], key: str = "filter.categories") -> frozenset[str]:
    """The slugs of categories with clips that the names match.

    A name is a slug, a template with or without its brackets in any case, or a glob over either with `*` and `?`;
    brackets belong to templates, so they are never part of a glob. Raises UserError for a name without a match; `key`
    is its key in params.
    """
    return frozenset(slug for name in wanted for slug in _match_category(name, clips, key))


def _match_category(name: str, clips: Mapping[str, int], key: str) -> list[str]:
    slug = slugify(name)
    if slug in clips:
        return [slug]
    if "*" in name or "?" in name:
        pattern = _make_glob(name)
        found = [slug for slug in clips if fnmatchcase(slug, pattern)]
        if found:
            return found
    raise UserError(f"{key}: no category is called {name!r}; {_suggest_categories(slug, clips)}")


def _make_glob(name: str) -> str:
    """A glob over templates -> the glob over slugs: its words are joined as in slugs."""
    plain = spell_symbols(unicodedata.normalize("NFKC", name)).lower()
    plain = re.sub(r"['’\[\]]", "", plain)
    spread = re.sub(rf"({build_word_pattern()}|[*?])|.", lambda found: found[1] or "-", plain)
    return re.sub("-+", "-", spread).strip("-")


def _suggest_categories(slug: str, clips: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(slug, clips, n=4, cutoff=0.5)
    shown = near or sorted(clips, key=lambda name: (-clips[name], name))[:8]
    names = ", ".join(f"{name} ({clips[name]} clips)" for name in shown) or "none, since no row has a usable template"
    every = "; * stands for all" if clips else ""
    if clips.keys() == {ONLY_CATEGORY}:
        every = "; no other is known while dataset.columns.category is null, which takes the name of their column"
    return f"{'the nearest are' if near else 'the most frequent are'}: {names}{every}"


def match_objects(wanted: Iterable[str], clips: Mapping[str, int], key: str) -> frozenset[str]:
    """The objects with clips that the names match.

    A name is a whole object in any case, with or without an article, or a glob over objects with `*` and `?`. Raises
    UserError for a name without a match, which is most likely misspelt; `key` is its key in params.
    """
    return frozenset(word for name in wanted for word in _match_object(name, clips, key))


def _match_object(name: str, clips: Mapping[str, int], key: str) -> list[str]:
    plain = "".join(clean_objects([name]))
    if plain in clips:
        return [plain]
    pattern = name.lower().replace("[", "[[]")
    found = [word for word in clips if fnmatchcase(word, pattern)] if "*" in name or "?" in name else []
    if not found:
        raise UserError(f"{key}: no chosen clip shows {name!r}; {suggest_objects(name, clips)}")
    return found


def suggest_objects(name: str, clips: Mapping[str, int]) -> str:
    """A suggestion for a name that matches no object, for a message."""
    near = difflib.get_close_matches(name.lower(), clips, n=4)
    shown = near or sorted(clips, key=lambda word: (-clips[word], word))[:8]
    names = ", ".join(f"{word} ({clips[word]} clips)" for word in shown) or "none, since no chosen clip names any"
    return f"{'nearest' if near else 'most frequent'} objects: {names}"
