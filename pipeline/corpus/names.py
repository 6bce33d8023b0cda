"""Names of objects in params -> objects of the dataset."""

import difflib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pipeline.corpus.objects import bare_objects
from pipeline.errors import UserError


def match_names(wanted: Iterable[str], clips: Mapping[str, int], key: str) -> frozenset[str]:
    """The objects, among those that have clips, that the names stand for.

    A name is a whole object in any case, with or without its article, or a glob over such with `*` and `?`. Raises
    UserError for a name that stands for none: most likely it is misspelt. `key` says where in params it stands.
    """
    return frozenset(word for name in wanted for word in _match(name, clips, key))


def _match(name: str, clips: Mapping[str, int], key: str) -> list[str]:
    plain = "".join(bare_objects([name]))
    if plain in clips:
        return [plain]
    pattern = name.lower().replace("[", "[[]")
    found = [word for word in clips if fnmatchcase(word, pattern)] if "*" in name or "?" in name else []
    if not found:
        raise UserError(f"{key}: no chosen clip shows {name!r}; {nearest_objects(name, clips)}")
    return found


def nearest_objects(name: str, clips: Mapping[str, int]) -> str:
    """What to write instead of a name that stands for no object."""
    near = difflib.get_close_matches(name.lower(), clips, n=4)
    shown = near or sorted(clips, key=lambda word: (-clips[word], word))[:8]
    names = ", ".join(f"{word} ({clips[word]} clips)" for word in shown) or "none, since no chosen clip names any"
    return f"{'nearest' if near else 'commonest'} objects: {names}"
