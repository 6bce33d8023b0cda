"""Names of videos in labels: extensions, equal and similar names, lookup by name, and paths of other machines and URLs.

`/home/ann/videos/run/1.mp4`, `D:\\videos\\run\\1.mp4` and `https://host/1.gif` cannot be in the videos folder as they
are. The common prefix of absolute paths is removed; of a URL, only the file name is kept, or the id of a YouTube page.
"""

import difflib
import os
import re
import unicodedata
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from urllib.parse import unquote

from pipeline.corpus import LabelRow, make_id, make_relative
from pipeline.corpus.captions import escape_unwritable
from pipeline.records import Reason

# Appended to an id, or to a path without an extension, in this order.
TRIED_ENDINGS = (".webm", ".mp4", ".mkv", ".avi", ".mov")
VIDEO_ENDINGS = {".3gp", ".asf", ".flv", ".gif", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".ogg", ".ogv", ".qt", ".ts"}
VIDEO_ENDINGS |= {".vob", ".wmv", *TRIED_ENDINGS}

SYSTEM_FOLDERS = {"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found"}  # made by storage and archivers

NEIGHBOURS = 3  # names before and after a missing one that are compared with it

ANYWHERE = "**/"  # prefix of a path: the video may be in any folder

DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+")  # one slash if the path was simplified
# Labels may omit the scheme, as those of MS-ASL.
YOUTUBE = re.compile(r"\b(?:youtube\.com/(?:watch/?\?(?:.*&)?v=|shorts/|embed/|v/)|youtu\.be/)([\w-]{11})(?![\w-])")
TESTED = 100  # paths that are tested for existence


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
    """The index of an extension in TRIED_ENDINGS; any other is last."""
    return TRIED_ENDINGS.index(ending) if ending in TRIED_ENDINGS else len(TRIED_ENDINGS)


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
        of TRIED_ENDINGS is taken. Case is ignored if nothing matches otherwise.
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


def starts_elsewhere(path: str) -> bool:
    """Whether a path is absolute on any system, or a URL."""
    return path.startswith("/") or any(sign.match(path) for sign in (DRIVE, ADDRESS))


def shorten_page(path: str) -> str:
    """The shortest URL of a page of YouTube, so that all of one video are equal; any other path unchanged."""
    page = YOUTUBE.search(path) if "youtu" in path else None
    return f"https://youtu.be/{page[1]}" if page else path


def place_foreign_paths(rows: Sequence[LabelRow], videos: Path) -> list[LabelRow]:
    """The rows with URLs, and absolute paths to elsewhere, replaced by paths in `videos`; reported on stdout.

    Absolute paths lose the shortest common prefix without which one of them exists here; if there is none, all stay
    unchanged, as do URLs whose file name is not unique.
    """
    named = {row.video: row.video.removeprefix(ANYWHERE) for row in rows}
    moved = {
        **_shorten({path: text for path, text in named.items() if text.startswith("/") or DRIVE.match(text)}, videos),
        **_take_names({path: text for path, text in named.items() if ADDRESS.match(text)}),
    }
    return [_move(row, moved[row.video]) if row.video in moved else row for row in rows] if moved else list(rows)


def search_below(rows: Sequence[LabelRow], videos: Path, index: VideoIndex) -> list[LabelRow]:
    """The rows with paths to be searched for in all folders, if no video is where its path leads; this is printed.

    mmaction2's lists name `abseiling/a.mp4`, which is in `videos_train` or `videos_val`.
    """
    paths = [row.video for row in rows if row.video and not row.video.startswith(ANYWHERE)]
    sample = list(islice(dict.fromkeys(paths), TESTED))
    if not sample or any(os.path.lexists(videos / path) for path in sample):
        return list(rows)
    found = {path: index.list_candidates(path) for path in sample}
    whole = any(split_ending(one)[0] == split_ending(path)[0] for path, listed in found.items() for one in listed)
    below = [path for path, listed in found.items() if len(listed) == 1]
    if whole or not below:
        return list(rows)
    print(f"filter: videos are searched for in all folders of {videos}: {below[0]} is {found[below[0]][0]}")
    return [
        row._replace(video=f"{ANYWHERE}{row.video}") if row.video and not row.video.startswith(ANYWHERE) else row
        for row in rows
    ]


def _move(row: LabelRow, video: str) -> LabelRow:
    """The row with another path, and with another id if its id was made from the path."""
    before, after = (make_id(path.removeprefix(ANYWHERE)) for path in (row.video, video))
    made = row.id == before or row.id.startswith((f"{before}@", f"{before}~"))  # escaped ids contain neither
    return row._replace(video=video, id=after + row.id[len(before) :] if made else row.id)


def _shorten(named: dict[str, str], videos: Path) -> dict[str, str]:
    """Path -> the path without the common prefix of all absolute paths that lead elsewhere."""
    real = os.path.realpath(videos)
    parts = {
        path: text.replace("\\", "/").strip("/").split("/")
        for path, text in named.items()
        if make_relative(real, make_relative(videos, text)).startswith("/") or DRIVE.match(text)
    }
    if not parts:
        return {}
    folders = [found[:-1] for found in parts.values()]
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))))
    for count in range(shared + 1):
        tails = {path: "/".join(found[count:]) for path, found in parts.items()}
        if _is_any_there(videos, tails.values()):
            above = "/".join(next(iter(parts.values()))[:count])
            root = "" if DRIVE.match(next(iter(named.values()))) else "/"
            message = f"{len(tails)} paths that lead elsewhere are taken from {videos} on"
            print(f"filter: {message}, without the {root}{above} that they begin with")
            return tails
    return {}


def _is_any_there(videos: Path, paths: Iterable[str]) -> bool:
    known = (path for path in islice(paths, TESTED) if ".." not in path.split("/"))
    return any(os.path.lexists(videos / path) for path in known)


def _take_names(named: dict[str, str]) -> dict[str, str]:
    """URL -> its file name, in any folder, if the name is unique; or the id of a YouTube page."""
    names: dict[str, list[str]] = defaultdict(list)
    for path, text in named.items():
        name = unquote(re.split("[?#]", text)[0].rpartition("/")[2])
        if has_video_ending(name):
            names[name].append(path)
    found = {paths[0]: f"{ANYWHERE}{name}" for name, paths in names.items() if len(paths) == 1}
    found |= {path: f"{ANYWHERE}{page[1]}" for path, text in named.items() if (page := YOUTUBE.search(text))}
    if found:
        print(f"filter: {len(found)} videos are named by addresses, and are looked for by the names of files or by ids")
    return found
