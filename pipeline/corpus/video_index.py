"""Names of videos -> where they are, in whatever folders below `dataset.videos`. They are listed once."""

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from pipeline.corpus.video_names import compose, find_nearest, rank_ending, split_ending

ANYWHERE = "**/"  # before a path: the video may lie in any folder


class VideoIndex:
    """The videos below a folder; hidden ones are passed over and linked folders are not entered."""

    def __init__(self, videos: Path) -> None:
        self._videos = videos

    def list_candidates(self, name: str) -> list[str]:
        """The videos with that name, with or without its ending, that fit best: several where nothing tells them apart.

        The name may begin with folders, which then are those above the video; what it says as a whole path goes first.
        An equal ending goes before another one, and copies of one name in one folder go by their endings, in the order
        in which these are tried elsewhere.
        """
        stem, ending = split_ending(name.rstrip("."))
        above, _, last = compose(stem).rpartition("/")
        found = [path for path in self._paths.get(last, ()) if not above or _lies_in(path, above)]
        found = [path for path in found if compose(split_ending(path)[0]) == compose(stem)] or found
        exact = [path for path in found if split_ending(path)[1] == ending]
        best: dict[str, str] = {}
        for path in sorted(exact or found, key=_rank_ending):
            best.setdefault(path.rpartition("/")[0], path)
        return sorted(best.values())

    def suggest(self, name: str) -> str:
        """The nearest name there is; empty where none is near."""
        return find_nearest(compose(split_ending(name.rpartition("/")[2])[0]).casefold(), self._sorted)

    def list_paths(self) -> list[str]:
        """All videos, from the folder."""
        return [path for paths in self._paths.values() for path in paths]

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        """Names without folders and endings -> paths, from the folder."""
        listed: dict[str, list[str]] = defaultdict(list)
        top = os.fspath(self._videos)
        for folder, below, files in os.walk(top):
            below[:] = sorted(name for name in below if name[0] != ".")
            here = os.path.relpath(folder, top)
            for name in files:
                stem, ending = split_ending(name)
                if ending and name[0] != ".":
                    listed[compose(stem)].append(name if here == "." else f"{here}/{name}")
        return listed

    @cached_property
    def _sorted(self) -> list[tuple[str, str]]:
        return sorted((stem.casefold(), paths[0]) for stem, paths in self._paths.items())


def _lies_in(path: str, above: str) -> bool:
    folder = compose(path.rpartition("/")[0])
    return folder == above or folder.endswith(f"/{above}")


def _rank_ending(path: str) -> tuple[int, str]:
    return rank_ending(split_ending(path)[1]), path
