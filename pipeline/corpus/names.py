"""Matches names in params to categories and objects of the dataset."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pipeline.corpus import ONLY_CATEGORY
from pipeline.corpus.captions import clean_objects
from pipeline.errors import UserError
from pipeline.letters import build_word_pattern, spell_symbols
from pipeline.records import slugify


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
    plain = re.sub(r"['’\[\]]", "", plain)  # noqa: RUF001
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
