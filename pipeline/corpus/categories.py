"""Categories by name: slug <-> template, and the names in `filter.categories` -> slugs."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache

from pipeline.errors import UserError


@cache
def slug_of(template: str) -> str:
    """A template's name for params: `Pushing [something] up` -> `pushing-something-up`. A slug's slug is itself.

    Brackets, case and punctuation do not count, so both ways to write a template have one slug. Empty where the
    template holds no letter or digit.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", template).lower())
    return "-".join(re.findall(r"[^\W_]+", re.sub("['’]", "", plain)))  # noqa: RUF001


def match_categories(wanted: Iterable[str], clips: Mapping[str, int], key: str = "filter.categories") -> frozenset[str]:
    """The slugs, among those that have clips, that the names stand for.

    A name is a slug, a template with or without its brackets in any case, or a glob over either with `*` and `?`;
    brackets belong to templates, so they are never part of a glob. Raises UserError for a name that stands for none;
    `key` says where in params it stands.
    """
    return frozenset(slug for name in wanted for slug in _match(name, clips, key))


def _match(name: str, clips: Mapping[str, int], key: str) -> list[str]:
    slug = slug_of(name)
    if slug in clips:
        return [slug]
    if "*" in name or "?" in name:
        pattern = _glob(name)
        found = [slug for slug in clips if fnmatchcase(slug, pattern)]
        if found:
            return found
    raise UserError(f"{key}: no category is called {name!r}; {_nearest(slug, clips)}")


def _glob(name: str) -> str:
    """The glob over slugs that a glob over templates stands for: its words are joined as a slug's are."""
    plain = re.sub(r"['’\[\]]", "", name.lower())  # noqa: RUF001
    return re.sub(r"[^\w*?]+|_", "-", plain).strip("-")


def _nearest(slug: str, clips: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(slug, clips, n=4, cutoff=0.5)
    shown = near or sorted(clips, key=lambda name: (-clips[name], name))[:8]
    names = ", ".join(f"{name} ({clips[name]} clips)" for name in shown) or "none, since no row has a usable template"
    return f"{'the nearest are' if near else 'the commonest are'}: {names}"
