"""Files that hold both videos and their labels: how they are found, and what their names say."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpus.rows import OfficialSplit, find_split, parse_split
from pipeline.errors import UserError

MOST_FOLDERS = 20  # that are looked into for a first file


def find_containers(labels: Path, endings: tuple[str, ...]) -> list[Path]:
    """The file itself, or the files with such an ending anywhere in a folder; hidden ones are left out."""
    if labels.is_file():
        return [labels] if labels.name.lower().endswith(endings) else []
    found = []
    for here, below, files in os.walk(labels):
        below[:] = sorted(name for name in below if name[0] != ".")
        found += [Path(here, name) for name in sorted(files) if name.lower().endswith(endings) and name[0] != "."]
    return found


def find_first_container(labels: Path, endings: tuple[str, ...]) -> Path | None:
    """The file, or the first one in a folder or directly in one of those in it: not all of a large set is listed."""
    if labels.is_file():
        return labels if labels.name.lower().endswith(endings) else None
    return next((path for path in list_near_files(labels, endings) if path.is_file()), None)


def list_near_files(folder: Path, endings: tuple[str, ...], most: int = MOST_FOLDERS) -> Iterator[Path]:
    """The files with such an ending in a folder, and then those in the first `most` folders in it, to tell a format."""
    below = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    for here in (folder, *(folder / name for name in below[:most])):
        with os.scandir(here) as entries:
            names = (entry.name for entry in entries)
            found = sorted(name for name in names if name.lower().endswith(endings) and name[0] != ".")
        yield from (here / name for name in found)


def place_container(path: Path, videos: str) -> str:
    """The path of a file from the folder of videos; empty where it is that. Raises UserError where it is not in it."""
    here, root = _resolve(path), _resolve(Path(videos))
    if not here.is_relative_to(root):
        raise UserError(f"{path}: holds the videos, but is not in {videos}; make dataset.videos the folder it is in")
    return here.relative_to(root).as_posix().removeprefix(".")


def _resolve(path: Path) -> Path:
    """Where a file stands, if perhaps as a link to what DVC keeps of it, or a folder is."""
    return Path(os.path.realpath(path.parent), path.name) if path.is_file() else Path(os.path.realpath(path))


def find_container_split(path: Path) -> OfficialSplit:
    """The official split that a word of the file's name means, or else the name of its folder."""
    return find_split(path.name.split(".")[0]) or parse_split(path.parent.name) or "all"
