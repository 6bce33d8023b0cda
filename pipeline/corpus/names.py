"""Matches names in params with categories and objects of the dataset."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pipeline.corpus.captions import clean_objects
from pipeline.errors import UserError
from pipeline.letters import build_word_pattern, spell_symbols
from pipeline.records import slugify


def match_categories(wanted: Iterable[str], clips: Mapping[str, int], key: str = "filter.categories") -> frozenset[str]:
    """The slugs, among those that have clips, that the names stand for.

    A name is a slug, a template with or without its brackets in any case, or a glob over either with `*` and `?`;
    brackets belong to templates, so they are never part of a glob. Raises UserError for a name that stands for none;
    `key` says where in params it stands.
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
    """The glob over slugs that a glob over templates stands for: its words are joined as a slug's are."""
    plain = spell_symbols(unicodedata.normalize("NFKC", name)).lower()
    plain = re.sub(r"['’\[\]]", "", plain)  # noqa: RUF001
    spread = re.sub(rf"({build_word_pattern()}|[*?])|.", lambda found: found[1] or "-", plain)
    return re.sub("-+", "-", spread).strip("-")


def _suggest_categories(slug: str, clips: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(slug, clips, n=4, cutoff=0.5)
    shown = near or sorted(clips, key=lambda name: (-clips[name], name))[:8]
    names = ", ".join(f"{name} ({clips[name]} clips)" for name in shown) or "none, since no row has a usable template"
    every = "; * stands for all" if clips else ""
    return f"{'the nearest are' if near else 'the commonest are'}: {names}{every}"


def match_objects(wanted: Iterable[str], clips: Mapping[str, int], key: str) -> frozenset[str]:
    """The objects, among those that have clips, that the names stand for.

    A name is a whole object in any case, with or without its article, or a glob over such with `*` and `?`. Raises
    UserError for a name that stands for none: most likely it is misspelt. `key` says where in params it stands.
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
    """What to write instead of a name that matches no object."""
    near = difflib.get_close_matches(name.lower(), clips, n=4)
    shown = near or sorted(clips, key=lambda word: (-clips[word], word))[:8]
    names = ", ".join(f"{word} ({clips[word]} clips)" for word in shown) or "none, since no chosen clip names any"
    return f"{'nearest' if near else 'commonest'} objects: {names}"
