"""Paths of other machines and URLs in labels -> paths relative to the videos folder.

`/home/ann/videos/run/1.mp4`, `D:\\videos\\run\\1.mp4` and `https://host/1.gif` cannot be in this folder as they are.
The common prefix of absolute paths is removed; of a URL, only the file name is kept, or the id of a YouTube page.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from pathlib import Path
from urllib.parse import unquote

from pipeline.corpus import LabelRow, make_id, make_relative
from pipeline.corpus.video_names import ANYWHERE, has_video_ending

DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+")  # one slash if the path was simplified
# Labels may omit the scheme, as those of MS-ASL.
YOUTUBE = re.compile(r"\b(?:youtube\.com/(?:watch/?\?(?:.*&)?v=|shorts/|embed/|v/)|youtu\.be/)([\w-]{11})(?![\w-])")
TRIED = 100  # paths that are tested for existence


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
    known = (path for path in islice(paths, TRIED) if ".." not in path.split("/"))
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
