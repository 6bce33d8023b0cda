"""A folder of videos per category, like UCF-101's or Kinetics' -> rows.

`<class>/<any>.mp4`, or `<split>/<class>/<any>.mp4` where every folder at the top is named as a split. The caption is
the name of the class in words.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipeline.corpus.rows import Part, Row, id_of_path, parts_of_folders
from pipeline.corpus.video_files import has_ending
from pipeline.errors import UserError

CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def read_rows(labels: Path) -> list[Row]:
    """A row per file, sorted; hidden files and folders are passed over. Raises UserError where there is no folder."""
    if not labels.is_dir():
        raise UserError(f"{labels}: no such folder of videos; see dataset.labels")
    files = list(_walk(labels))
    parts = _parts_of(files)
    return [_row(file, parts, number) for number, file in enumerate(files)]


def _walk(top: Path) -> Iterator[PurePosixPath]:
    """The files below a folder, by path. A linked folder counts as a file, so that it is refused and not entered."""
    for folder, below, files in os.walk(top):
        linked = [name for name in below if (Path(folder) / name).is_symlink()]
        below[:] = sorted(name for name in below if name[0] != "." and name not in linked)
        here = PurePosixPath(folder).relative_to(top)
        yield from (here / name for name in sorted([*files, *linked]) if name[0] != ".")


def _parts_of(files: Sequence[PurePosixPath]) -> dict[str, Part]:
    """Folder -> part, where the folders of classes lie in folders of splits; else empty."""
    videos = [file for file in files if has_ending(str(file)) and len(file.parts) > 1]
    # Classes may be called `train` and `test`, too: then the videos lie directly in them.
    return parts_of_folders({file.parts[0] for file in videos}) if all(len(file.parts) > 2 for file in videos) else {}


def _row(file: PurePosixPath, parts: dict[str, Part], number: int) -> Row:
    part = parts.get(file.parts[0], "all") if len(file.parts) > 1 else "all"
    folders = file.parts[1:-1] if part != "all" else file.parts[:-1]
    category = folders[0] if folders else ""
    return Row(
        id=id_of_path(str(file)),
        label=words_of(category),
        template=category,
        placeholders=(),
        objects=(),
        part=part,
        place=(str(file), number),
        video=str(file),
    )


def words_of(name: str) -> str:
    """A folder's name as a caption: `ApplyEyeMakeup` -> `apply eye makeup`, `brush_hair` -> `brush hair`."""
    words = CAMEL.sub(" ", name.replace("_", " "))
    return (words if " " in words else words.replace("-", " ")).lower()
