"""Videos in the folder `dataset.videos`, found by what the export of a labelling tool calls them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.corpus.contained import list_videos
from pipeline.corpus.rows import path_within, simplify_path
from pipeline.corpus.video_index import ANYWHERE, VideoIndex
from pipeline.corpus.video_names import compose, split_ending

PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # that Label Studio puts before the name of an uploaded file
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class MediaFiles:
    """The videos in a folder by their names.

    Exports hold addresses, paths of other machines and names with something before them: the file name counts, and of
    the folders as many as fit. The ending may differ, since tools play copies in other formats.
    """

    def __init__(self, videos: Path) -> None:
        self._videos = videos
        self._index = VideoIndex(list_videos(videos))
        self._found: dict[str, str] = {}

    def find(self, named: str) -> str:
        """The path of the video within the folder; a name to be looked for anywhere, in vain, where not one fits."""
        if named not in self._found:
            self._found[named] = self._search(named) if named.strip() else ""
        return self._found[named]

    def holds(self, named: str) -> bool:
        """Whether there is one video that fits the name."""
        return not self.find(named).startswith(ANYWHERE) and bool(self.find(named))

    def _search(self, named: str) -> str:
        path = simplify_path(path_within(self._videos, read_address(named)))
        parts = PurePosixPath(path).parts
        name = parts[-1] if parts else ""
        if name in ("", ".", "..", "/"):
            return ""
        if not path.startswith("/") and ".." not in parts and (self._videos / path).is_file():
            return path
        keys = dict.fromkeys((name, unquote(name), PREFIX.sub("", name)))
        for list_files in (self._index.list_candidates, self._list_uploads):
            for key in keys:
                listed = list_files(key)
                best = max((_count_tail(file, parts) for file in listed), default=0)
                fitting = [file for file in listed if _count_tail(file, parts) == best]
                if fitting:
                    return fitting[0] if len(fitting) == 1 else f"{ANYWHERE}{key}"
        return f"{ANYWHERE}{name}"

    def _list_uploads(self, name: str) -> list[str]:
        return self._uploads.get(_spell_upload(name), [])

    @cached_property
    def _uploads(self) -> dict[str, list[str]]:
        known: dict[str, list[str]] = defaultdict(list)
        for path in self._index.list_paths():
            known[_spell_upload(path.rpartition("/")[2])].append(path)
        return known


def read_address(named: str) -> str:
    """The path in what an export names: a path of any system, an address, or the `d` or `fileuri` of one."""
    text = named.strip()
    if DRIVE.match(text) or ("\\" in text and "/" not in text):
        return text.replace("\\", "/")
    parts = urlsplit(text)
    if not parts.scheme and "?" not in text:
        return text
    asked = parse_qs(parts.query)
    return unquote(asked["d"][0] if "d" in asked else parts.path)


def _count_tail(path: str, parts: Sequence[str]) -> int:
    """How many of the last folders of a path and of what an export says are the same."""
    pairs = list(zip(path.split("/")[-2::-1], parts[-2::-1], strict=False))
    return next((number for number, (one, other) in enumerate(pairs) if compose(one) != compose(other)), len(pairs))


def _spell_upload(name: str) -> str:
    """The stem as a web server spells the name of an uploaded file: no blanks, no signs, in any case."""
    return re.sub(r"[^-\w.]", "", compose(split_ending(name)[0]).strip().replace(" ", "_")).casefold()
