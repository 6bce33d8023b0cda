"""A folder of videos per category, as of UCF-101 and Kinetics -> rows.

`<class>/<any>.mp4`, or `<split>/<class>/<any>.mp4` if every top folder is named as a split, or `<class>/<split>/` if
all folders of classes have such folders. A folder of numbered images counts as a video. The folders may be in archives,
which may be named as splits, and the labels may be a single archive. The caption is the class name in words. If
`dataset.path_pattern` finds captions or categories, or folders are no classes and all videos are named as in a known
dataset, these are taken from the names.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.corpus import (
    LabelRow,
    OfficialSplit,
    find_split_folders,
    make_path_row,
    match_split_folders,
    parse_split,
)
from pipeline.corpus.contained import list_members
from pipeline.corpus.readers.classes import find_kind, label_rows, names_labels, read_named_classes, spell_out
from pipeline.corpus.video_names import has_video_ending, is_hidden
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.sources.archives import is_archive
from pipeline.sources.pictures import is_animated, is_frame


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row per file, sorted; hidden files and folders, and the file of class names, are skipped.

    Raises UserError if the folder does not exist.
    """
    is_one = labels.is_file() and is_archive(labels.name)
    if not labels.is_dir() and not is_one:
        raise UserError(f"{labels}: no such folder of videos; see dataset.labels")
    simplified: dict[str, PurePosixPath] = {}  # path -> the path with only the folders of split and class
    videos: list[PurePosixPath] = []
    for file in [WalkedFile(PurePosixPath(""), is_video=False)] if is_one else walk(labels):
        members = _walk_archive(labels, file.path) if is_one or is_archive(file.path.name) else {}
        simplified |= members or {str(file.path): file.path}
        videos += members.values() or ([file.path] if file.is_video else [])
    simplified.pop(dataset.classes or "", None)
    above, splits = _match_splits(videos)
    if not splits and (splits := _match_inner_splits(videos, above)):
        simplified = {path: _swap_folders(file, above) for path, file in simplified.items()}
    rows = [_make_row(path, short, above, splits) for path, short in simplified.items()]
    named, key = find_naming(list(map(str, videos)), dataset)
    if not named and videos and not any(row.template for row in rows):
        fault = f"{videos[0]} and all other videos lie in no sub-folder, whose name would be their category"
        raise UserError(f"{labels}: {fault}; see docs/reference/dataset-formats.md#folders")
    if not named:
        return rows
    without = [row._replace(label="", template="") for row in rows]
    return label_rows(without, named, read_named_classes(labels, dataset), key)


def find_naming(videos: Sequence[str], dataset: DatasetParams) -> tuple[str | re.Pattern[str] | None, str]:
    """The pattern that finds categories in paths, and its name for messages; None if folders are the categories."""
    if names_labels(dataset.path_pattern):
        return dataset.path_pattern, "dataset.path_pattern"
    classes = {PurePosixPath(path).parent.name for path in videos}
    kind = find_kind(videos) if len(classes) == 1 or match_split_folders(classes) else None
    return (kind.pattern, f"the pattern of {kind.name}") if kind and names_labels(kind.pattern) else (None, "")


def _walk_archive(labels: Path, file: PurePosixPath) -> dict[str, PurePosixPath]:
    """The videos in an archive. A common folder of all, above those of the classes, is ignored."""
    members = [PurePosixPath(path) for path in list_members(labels, str(file).removeprefix("."))]
    inside = [member.relative_to(file) for member in members]
    wrapped = len({path.parts[0] for path in inside}) == 1 and all(len(path.parts) > 2 for path in inside)
    start = 1 if wrapped and not parse_split(inside[0].parts[0]) else 0
    name = file.name.partition(".")[0]
    before = file.parent / name if parse_split(name) else file.parent
    return {str(member): before.joinpath(*path.parts[start:]) for member, path in zip(members, inside, strict=True)}


class WalkedFile(NamedTuple):
    """A file, or a folder of images that counts as one, by its relative path."""

    path: PurePosixPath
    is_video: bool


def walk(top: Path) -> Iterator[WalkedFile]:
    """The files below a folder. Linked folders count as files, so that they are refused instead of entered."""
    for folder, below, files in os.walk(top):
        here = PurePosixPath(os.path.relpath(folder, top))
        below[:] = sorted(name for name in below if not is_hidden(name))
        animated = _list_animated(Path(folder), files)
        if not below and str(here) != "." and not animated and _holds_frames(files):
            yield WalkedFile(here, is_video=True)
            continue
        linked = [name for name in below if (Path(folder) / name).is_symlink()]
        below[:] = [name for name in below if name not in linked]
        names = (name for name in sorted([*files, *linked]) if name[0] != ".")
        yield from (WalkedFile(here / name, has_video_ending(name) or name in animated) for name in names)


def _list_animated(folder: Path, names: Sequence[str]) -> set[str]:
    """The files that are animated WebP; empty if the first WebP is a still: the folder may have a million frames."""
    found = sorted(name for name in names if name.lower().endswith(".webp"))
    return {name for name in found if is_animated(folder / name)} if found and is_animated(folder / found[0]) else set()


def _holds_frames(names: Sequence[str]) -> bool:
    """Whether a folder is a clip: it contains numbered images and no videos."""
    return any(map(is_frame, names)) and not any(map(has_video_ending, names))


def _match_splits(files: Sequence[PurePosixPath]) -> tuple[int, dict[str, OfficialSplit]]:
    """The depth of the folders of splits, or else of classes; and folder -> official split, or empty.

    Common folders of all videos, such as `data` on the Hugging Face Hub, are ignored.
    """
    videos = [file for file in files if len(file.parts) > 1]
    above, splits = find_split_folders(videos)
    # Classes may also be called `train` and `test`: then all videos are directly in these folders.
    if splits and any(len(file.parts) > above + 2 for file in videos):
        return above, splits
    return min([above, *(len(file.parts) - 2 for file in videos)]), {}


def _match_inner_splits(files: Sequence[PurePosixPath], above: int) -> dict[str, OfficialSplit]:
    """Folder -> official split, if every folder of a class only has folders of splits (LRW); else empty."""
    folders = {file.parts[above + 1] if len(file.parts) > above + 2 else "" for file in files if len(file.parts) > 1}
    splits = match_split_folders(folders)
    return splits if len(set(splits.values())) > 1 else {}


def _swap_folders(file: PurePosixPath, above: int) -> PurePosixPath:
    """The path with the folder of its split before that of its class."""
    parts = file.parts
    if len(parts) <= above + 2:
        return file
    return PurePosixPath(*parts[:above], parts[above + 1], parts[above], *parts[above + 2 :])


def _make_row(path: str, file: PurePosixPath, above: int, splits: dict[str, OfficialSplit]) -> LabelRow:
    split = splits.get(file.parts[above], "all") if len(file.parts) > above + 1 else "all"
    folders = file.parts[above + 1 : -1] if split != "all" else file.parts[0 if splits else above : -1]
    category = folders[0] if folders else ""
    return make_path_row(path, spell_out(category), category, split, (path, ""))
