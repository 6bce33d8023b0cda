"""Names of videos -> where they are, in whatever folders below `dataset.videos`. They are listed once."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from threading import Lock

from pipeline.corpus.video_names import compose, find_nearest, rank_ending, split_ending

ANYWHERE = "**/"  # before a path: the video may lie in any folder


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

    @property
    def _paths(self) -> dict[str, list[str]]:
        """Names without folders and endings -> paths, from the folder. The first thread that asks has them listed."""
        with self._lock:
            if self._known is None:
                self._known = defaultdict(list)
                for path in self._listed:
                    self._known[compose(split_ending(path.rpartition("/")[2])[0])].append(path)
        return self._known

    @cached_property
    def _sorted(self) -> list[tuple[str, str]]:
        return sorted((stem.casefold(), paths[0]) for stem, paths in self._paths.items())


def _lies_in(path: str, above: str) -> bool:
    folder = compose(path.rpartition("/")[0])
    return folder == above or folder.endswith(f"/{above}")


def _rank_ending(path: str) -> tuple[int, str]:
    return rank_ending(split_ending(path)[1]), path
