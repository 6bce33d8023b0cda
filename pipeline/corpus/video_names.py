"""Names of video files: which endings are videos', which names are alike, and why there is no video for a name."""

import difflib
import unicodedata
from bisect import bisect
from collections.abc import Sequence

from pipeline.corpus.captions import writable_text
from pipeline.records import Reason

TRIED = (".webm", ".mp4", ".mkv", ".avi", ".mov")  # behind an id, or a path without an ending, in this order
ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
ENDINGS |= {".vob", ".wmv", *TRIED}

NEIGHBOURS = 3  # names before and behind a missing one that may be what is meant


def has_video_ending(path: str) -> bool:
    """Whether a file is called like a video."""
    return f".{path.rpartition('.')[2].lower()}" in ENDINGS


def split_ending(name: str) -> tuple[str, str]:
    """A name's stem and its ending in lower case, if that is a video's; otherwise the whole name and nothing."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem and f".{ending.lower()}" in ENDINGS else (name, "")


def rank_ending(ending: str) -> int:
    """The place of an ending among those that are tried; behind all of them for another one."""
    return TRIED.index(ending) if ending in TRIED else len(TRIED)


def compose(name: str) -> str:
    """The name with its accents composed, as file systems and table programs may not have them."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_nearest(stem: str, names: Sequence[tuple[str, str]]) -> str:
    """The file, of pairs of stem and file in order, whose stem is most like this one; empty where none is like it.

    Only the neighbours are compared: every row of a large set may be missing.
    """
    place = bisect(names, (stem, ""))
    near = dict(names[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS])
    return "".join(near[key] for key in difflib.get_close_matches(stem, near, n=1))


class NoVideo(Exception):
    """Why there is no video for a name: a reason and its detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = writable_text(detail)
