"""Names of videos: their endings, equal and similar names, looking videos up by name, and why none was found."""

import difflib
import re
import unicodedata
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from threading import Lock

from pipeline.corpus.captions import escape_unwritable
from pipeline.records import Reason

TRIED = (".webm", ".mp4", ".mkv", ".avi", ".mov")  # appended to an id, or to a path without an ending, in this order
ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
ENDINGS |= {".vob", ".wmv", *TRIED}

NEIGHBOURS = 3  # names before and after a missing one that may be what is meant

ANYWHERE = "**/"  # before a path: the video may lie in any folder


def has_video_ending(path: str) -> bool:
    """Whether a file is called like a video."""
    return f".{path.rpartition('.')[2].lower()}" in ENDINGS


def split_ending(name: str) -> tuple[str, str]:
    """A name's stem and its ending in lower case, if that is a video's; otherwise the whole name and nothing."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem and f".{ending.lower()}" in ENDINGS else (name, "")


def rank_ending(ending: str) -> int:
    """The place of an ending among those that are tried; after all of them for any other."""
    return TRIED.index(ending) if ending in TRIED else len(TRIED)


def normalise_name(name: str) -> str:
    """The name as it may be typed: its accents composed, plain blanks in place of macOS' narrow ones."""
    return name if name.isascii() else re.sub(r"\s", " ", unicodedata.normalize("NFC", name))


def find_nearest(stem: str, names: Sequence[tuple[str, str]]) -> str:
    """The file, of pairs of stem and file in order, whose stem is most like this one; empty if none is like it.

    Only the neighbours are compared: every row of a large set may be missing.
    """
    index = bisect(names, (stem, ""))
    near = dict(names[max(index - NEIGHBOURS, 0) : index + NEIGHBOURS])
    return "".join(near[key] for key in difflib.get_close_matches(stem, near, n=1))


class NoVideo(Exception):
    """Why there is no video for a name: a reason and its detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = escape_unwritable(detail)


class VideoIndex:
    """Videos by their names, from their paths, which may be listed only when they are asked for."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._listed = paths
        self._known: dict[str, list[str]] | None = None
        self._lock = Lock()

    def list_candidates(self, name: str) -> list[str]:
        """The videos with that name, with or without its ending, that fit best: several where nothing tells them apart.

        The name may begin with folders, which then are those above the video; what it says as a whole path goes first.
        An equal ending goes before another one, and copies of one name in one folder go by their endings, in the order
        in which these are tried elsewhere.
        """
        stem, ending = split_ending(name.rstrip("."))
        above, _, last = normalise_name(stem).rpartition("/")
        found = [path for path in self._paths.get(last, ()) if not above or _lies_in(path, above)]
        found = [path for path in found if normalise_name(split_ending(path)[0]) == normalise_name(stem)] or found
        exact = [path for path in found if split_ending(path)[1] == ending]
        best: dict[str, str] = {}
        for path in sorted(exact or found, key=_rank_ending):
            best.setdefault(path.rpartition("/")[0], path)
        return sorted(best.values())

    def suggest(self, name: str) -> str:
        """The nearest name there is; empty if none is near."""
        return find_nearest(normalise_name(split_ending(name.rpartition("/")[2])[0]).casefold(), self._sorted)

    def list_paths(self) -> list[str]:
        """All videos, from the folder."""
        return [path for paths in self._paths.values() for path in paths]

    @property
    def _paths(self) -> dict[str, list[str]]:
        """Names without folders and endings -> paths, from the folder. The first thread that asks has them listed."""
        with self._lock:
            if self._known is None:
                self._known = defaultdict(list)
                for path in self._listed:
                    self._known[normalise_name(split_ending(path.rpartition("/")[2])[0])].append(path)
        return self._known

    @cached_property
    def _sorted(self) -> list[tuple[str, str]]:
        return sorted((stem.casefold(), paths[0]) for stem, paths in self._paths.items())


def _lies_in(path: str, above: str) -> bool:
    folder = normalise_name(path.rpartition("/")[0])
    return folder == above or folder.endswith(f"/{above}")


def _rank_ending(path: str) -> tuple[int, str]:
    return rank_ending(split_ending(path)[1]), path
