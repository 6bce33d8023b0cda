"""A folder of videos per category, like UCF-101's or Kinetics' -> rows.

`<class>/<any>.mp4`, or `<split>/<class>/<any>.mp4` where every folder at the top is named as a split. A folder of
numbered pictures counts as a video. The folders may lie in archives, which may be named as splits, and the labels may
be one archive. The caption is the name of the class in words.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.corpus.contained import list_members
from pipeline.corpus.rows import LabelRow, OfficialSplit, make_path_row, match_split_folders, parse_split
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.sources.archives import is_archive
from pipeline.sources.pictures import is_frame

CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def read_rows(labels: Path, _: DatasetParams) -> list[LabelRow]:
    """A row per file, sorted; hidden files and folders are passed over. Raises UserError where there is no folder."""
    is_one = labels.is_file() and is_archive(labels.name)
    if not labels.is_dir() and not is_one:
        raise UserError(f"{labels}: no such folder of videos; see dataset.labels")
    places: dict[str, PurePosixPath] = {}  # path -> the same with the folders alone that say split and class
    videos: list[PurePosixPath] = []
    for file in [WalkedFile(PurePosixPath(""), is_video=False)] if is_one else walk(labels):
        members = _walk_archive(labels, file.path) if is_one or is_archive(file.path.name) else {}
        places |= members or {str(file.path): file.path}
        videos += members.values() or ([file.path] if file.is_video else [])
    above, splits = _match_splits(videos)
    return [_make_row(path, place, above, splits) for path, place in places.items()]


def _walk_archive(labels: Path, file: PurePosixPath) -> dict[str, PurePosixPath]:
    """The videos in an archive. A folder that all of them lie in, above those of the classes, says nothing."""
    members = [PurePosixPath(path) for path in list_members(labels, str(file).removeprefix("."))]
    inside = [member.relative_to(file) for member in members]
    wrapped = len({path.parts[0] for path in inside}) == 1 and all(len(path.parts) > 2 for path in inside)
    start = 1 if wrapped and not parse_split(inside[0].parts[0]) else 0
    name = file.name.partition(".")[0]
    before = file.parent / name if parse_split(name) else file.parent
    return {str(member): before.joinpath(*path.parts[start:]) for member, path in zip(members, inside, strict=True)}


class WalkedFile(NamedTuple):
    """A file, or a folder of pictures that counts as one, by its path from the top."""

    path: PurePosixPath
    is_video: bool


def walk(top: Path) -> Iterator[WalkedFile]:
    """The files below a folder. A linked folder counts as a file, so that it is refused instead of entered."""
    for folder, below, files in os.walk(top):
        here = PurePosixPath(os.path.relpath(folder, top))
        if not below and str(here) != "." and _holds_frames(files):
            yield WalkedFile(here, is_video=True)
            continue
        linked = [name for name in below if (Path(folder) / name).is_symlink()]
        below[:] = sorted(name for name in below if name[0] != "." and name not in linked)
        names = (name for name in sorted([*files, *linked]) if name[0] != ".")
        yield from (WalkedFile(here / name, has_video_ending(name)) for name in names)


def _holds_frames(names: Sequence[str]) -> bool:
    """Whether a folder is a clip: it holds pictures with numbers and no videos."""
    return any(map(is_frame, names)) and not any(map(has_video_ending, names))


def _match_splits(files: Sequence[PurePosixPath]) -> tuple[int, dict[str, OfficialSplit]]:
    """Folder -> official split, where the folders of classes lie in folders of splits; else empty.

    Before it, how many folders hold those of the splits: one on the Hugging Face Hub, `data`.
    """
    videos = [file for file in files if len(file.parts) > 1]
    for above in (0, 1):
        # Classes may be called `train` and `test`, too: then the videos are directly in them.
        if not all(len(file.parts) > above + 2 for file in videos) or len({file.parts[:above] for file in videos}) > 1:
            continue
        if splits := match_split_folders({file.parts[above] for file in videos}):
            return above, splits
    return 0, {}


def _make_row(path: str, file: PurePosixPath, above: int, splits: dict[str, OfficialSplit]) -> LabelRow:
    split = splits.get(file.parts[above], "all") if len(file.parts) > above + 1 else "all"
    folders = file.parts[above + 1 : -1] if split != "all" else file.parts[:-1]
    category = folders[0] if folders else ""
    return make_path_row(path, spell_out(category), category, split, (path, ""))


def spell_out(name: str) -> str:
    """A folder's name as a caption: `ApplyEyeMakeup` -> `apply eye makeup`, `brush_hair` -> `brush hair`."""
    words = CAMEL.sub(" ", name.replace("_", " "))
    return (words if " " in words else words.replace("-", " ")).lower()
