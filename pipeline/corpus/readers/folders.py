"""A folder of videos per category, like UCF-101's or Kinetics' -> rows.

`<class>/<any>.mp4`, or `<split>/<class>/<any>.mp4` where every folder at the top is named as a split. The caption is
the name of the class in words.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipeline.corpus.rows import LabelRow, OfficialSplit, make_path_row, match_split_folders
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams

CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def read_rows(labels: Path, _: DatasetParams) -> list[LabelRow]:
    """A row per file, sorted; hidden files and folders are passed over. Raises UserError where there is no folder."""
    if not labels.is_dir():
        raise UserError(f"{labels}: no such folder of videos; see dataset.labels")
    files = list(walk(labels))
    splits = _match_splits(files)
    return [_row(file, splits, number) for number, file in enumerate(files)]


def walk(top: Path) -> Iterator[PurePosixPath]:
    """The files below a folder, by path. A linked folder counts as a file, so that it is refused and not entered."""
    for folder, below, files in os.walk(top):
        linked = [name for name in below if (Path(folder) / name).is_symlink()]
        below[:] = sorted(name for name in below if name[0] != "." and name not in linked)
        here = PurePosixPath(folder).relative_to(top)
        yield from (here / name for name in sorted([*files, *linked]) if name[0] != ".")


def _match_splits(files: Sequence[PurePosixPath]) -> dict[str, OfficialSplit]:
    """Folder -> official split, where the folders of classes lie in folders of splits; else empty."""
    videos = [file for file in files if has_video_ending(str(file)) and len(file.parts) > 1]
    # Classes may be called `train` and `test`, too: then the videos lie directly in them.
    return (
        match_split_folders({file.parts[0] for file in videos}) if all(len(file.parts) > 2 for file in videos) else {}
    )


def _row(file: PurePosixPath, splits: dict[str, OfficialSplit], number: int) -> LabelRow:
    split = splits.get(file.parts[0], "all") if len(file.parts) > 1 else "all"
    folders = file.parts[1:-1] if split != "all" else file.parts[:-1]
    category = folders[0] if folders else ""
    return make_path_row(str(file), spell_out(category), category, split, (str(file), number))


def spell_out(name: str) -> str:
    """A folder's name as a caption: `ApplyEyeMakeup` -> `apply eye makeup`, `brush_hair` -> `brush hair`."""
    words = CAMEL.sub(" ", name.replace("_", " "))
    return (words if " " in words else words.replace("-", " ")).lower()
