"""Names of videos: extensions, equal and similar names, lookup by name, and the error if none is found."""

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

TRIED = (".webm", ".mp4", ".mkv", ".avi", ".mov")  # appended to an id, or to a path without an extension, in this order
VIDEO_ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
VIDEO_ENDINGS |= {".vob", ".wmv", *TRIED}

SYSTEM_FOLDERS = {"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found"}  # made by storage and archivers

NEIGHBOURS = 3  # names before and after a missing one that are compared with it

ANYWHERE = "**/"  # prefix of a path: the video may be in any folder


def has_video_ending(path: str) -> bool:
    """Whether a file has the extension of a video."""
    return f".{path.rpartition('.')[2].lower()}" in VIDEO_ENDINGS


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or a folder that systems add to those of people."""
    return name[0] == "." or name in SYSTEM_FOLDERS


def split_ending(name: str) -> tuple[str, str]:
    """Stem and extension in lower case, if it is that of a video; else the whole name and an empty text."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem and f".{ending.lower()}" in VIDEO_ENDINGS else (name, "")


def rank_ending(ending: str) -> int:
    """The index of an extension in TRIED; any other is last."""
    return TRIED.index(ending) if ending in TRIED else len(TRIED)


def normalise_name(name: str) -> str:
    """The name in NFC, with macOS' narrow spaces replaced by plain ones."""
    return name if name.isascii() else re.sub(r"\s", " ", unicodedata.normalize("NFC", name))


def differ_in_case(wanted: str, path: str) -> bool:
    """Whether a wanted name or path, apart from its extension, leads to this one only if case is ignored."""
    one, other = (normalise_name(split_ending(text)[0]).removeprefix(ANYWHERE) for text in (wanted, path))
    ends = len(min(one, other, key=len))
    return one[-ends:] != other[-ends:] and one[-ends:].casefold() == other[-ends:].casefold()


def find_nearest_name(stem: str, names: Sequence[tuple[str, str]]) -> str:
    """The file, of sorted pairs of stem and file, with the most similar stem; empty if none is similar.

    Only neighbours in the order are compared, since all videos of a large dataset may be missing.
    """
    index = bisect(names, (stem, ""))
    near = dict(names[max(index - NEIGHBOURS, 0) : index + NEIGHBOURS])
    return "".join(near[key] for key in difflib.get_close_matches(stem, near, n=1))


class NoVideo(Exception):
    """There is no usable video for a name: a reason and its detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = escape_unwritable(detail)


class VideoIndex:
    """Videos by name; `paths` is consumed lazily, at the first lookup."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._listed = paths
        self._known: dict[str, list[str]] | None = None
        self._lock = Lock()

    def list_candidates(self, name: str) -> list[str]:
        """The best matching videos with this name, with or without extension; several if it is ambiguous.

        The name may start with folders, which must then be the parents of the video; a match of the whole path takes
        precedence, then an equal extension. Of files in one folder that differ in the extension, the first in the order
        of TRIED is taken. Case is ignored if nothing matches otherwise.
        """
        stem, ending = split_ending(name.rstrip("."))
        above, _, last = normalise_name(stem).rpartition("/")
        found = [path for path in self._paths.get(last, ()) if not above or _lies_in(path, above)]
        if not found:
            alike = self._folded.get(last.casefold(), ())
            found = [path for path in alike if not above or _lies_in(path.casefold(), above.casefold())]
        found = [path for path in found if normalise_name(split_ending(path)[0]) == normalise_name(stem)] or found
        exact = [path for path in found if split_ending(path)[1] == ending]
        best: dict[str, str] = {}
        for path in sorted(exact or found, key=_rank_ending):
            best.setdefault(path.rpartition("/")[0], path)
        return sorted(best.values())

    def suggest(self, name: str) -> str:
        """The most similar existing name; empty if none is similar."""
        return find_nearest_name(normalise_name(split_ending(name.rpartition("/")[2])[0]).casefold(), self._sorted)

    def list_paths(self) -> list[str]:
        """The paths of all videos, relative to the folder."""
        return [path for paths in self._paths.values() for path in paths]

    @property
    def _paths(self) -> dict[str, list[str]]:
        """Names without folders and extensions -> paths, relative to the folder; listed at the first use."""
        with self._lock:
            if self._known is None:
                self._known = defaultdict(list)
                for path in self._listed:
                    self._known[normalise_name(split_ending(path.rpartition("/")[2])[0])].append(path)
        return self._known

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """As `_paths`, by case-folded names."""
        folded: dict[str, list[str]] = defaultdict(list)
        for stem, paths in self._paths.items():
            folded[stem.casefold()] += paths
        return folded

    @cached_property
    def _sorted(self) -> list[tuple[str, str]]:
        return sorted((stem.casefold(), paths[0]) for stem, paths in self._paths.items())


def _lies_in(path: str, above: str) -> bool:
    folder = normalise_name(path.rpartition("/")[0])
    return folder == above or folder.endswith(f"/{above}")


def _rank_ending(path: str) -> tuple[int, str]:
    return rank_ending(split_ending(path)[1]), path
