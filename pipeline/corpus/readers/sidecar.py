"""A text file next to each video, `a.mp4` and `a.txt`, or a list of videos and a list of captions -> rows.

The labels are the folder of texts, which may be that of the videos. A text is one caption, or with
`dataset.text_files: lines` one per line; in a JSON file, it is the key `dataset.columns.caption`. Texts may be in a
parallel folder: `labels/1.txt` belongs to `videos/1.mp4`. If no text has the name of a video, `caption.txt` and the
like belong to all videos in and below their folder, as in BridgeData. `videos.txt` and `prompts.txt` list a video and a
caption per line.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.corpus import (
    ONLY_CATEGORY,
    LabelRow,
    as_text,
    make_path_row,
    make_relative,
    match_splits,
    number_repeats,
)
from pipeline.corpus.groups import keep_together
from pipeline.corpus.readers.cells import look_up
from pipeline.corpus.readers.folders import WalkedFile, walk
from pipeline.corpus.readers.json_files import SIDECARS
from pipeline.corpus.text_files import read_text_lines
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.params import DatasetParams

VIDEO_LISTS = ("videos.txt", "video.txt")
CAPTION_LISTS = ("prompts.txt", "prompt.txt", "captions.txt", "caption.txt")
TEXTS = (".txt", ".caption")
OF_FOLDERS = {"caption", "captions", "prompt", "text", "description", "instruction", "lang"}  # names of texts
FACT = re.compile(r"([A-Z][\w ]{0,30}):\s+(\S.*)")
MEASURE = re.compile(r"\d+(?:\.\d+)?(?: [a-z]+)?")  # 6, 0.36 seconds
PART = re.compile(r"(?:^|\t)\s*\d+(?:[:.]\d+)*\s*[-\u2013,;\s]\s*\d+(?:[:.]\d+)*(?:[,;\s]|$)")  # two times
CONFIDENCE = re.compile(r"confidence:\s*[\d.]+\s*")  # of the annotator, in BridgeData

Texts = dict[str, PurePosixPath]  # path without extension -> file


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row per caption. Videos without a text and texts without a video are included, to be dropped with a reason."""
    if not labels.is_dir():
        raise UserError(f"{labels}: no such folder with a .txt for each video; see dataset.labels")
    lists = find_lists(labels)
    if lists:
        return number_repeats(list(_read_lists(*lists, dataset)))
    files = list(walk(labels))
    texts = find_texts(files)
    if not texts:
        raise UserError(f"{labels}: neither it nor a folder in it holds a .txt; see dataset.labels")
    videos = [file.path for file in files if file.is_video]
    beside = {name for file in videos for name in (str(file), str(file.with_suffix("")))}
    # JSON without a video may be about anything.
    without = {name for name, text in texts.items() if name not in beside and text.suffix.lower() != ".json"}
    named = sorted([*map(str, videos), *without])
    splits = match_splits(
        named, list(map(str, videos))
    )  # a text without a video, such as README.txt, may be in a parent folder
    rows = []
    for path, split in zip(named, splits, strict=True):
        text = texts.get(path) or texts.get(str(PurePosixPath(path).with_suffix("")))
        location = (str(text or path), "")
        rows += [
            make_path_row(path, caption, category, split, location)
            for caption, category in _read_captions(labels, text, dataset)
        ]
    _refuse_parts(labels, rows)
    return number_repeats(keep_together(rows, [row.location[0] for row in rows]))


def find_texts(files: Iterable[WalkedFile]) -> Texts:
    """The texts among the files, also without a video; of several with one name, the first extension is used."""
    files = list(files)
    videos = [file.path for file in files if file.is_video]
    found: Texts = {}
    for ending in reversed((*TEXTS, *SIDECARS)):
        for path in (file.path for file in files if file.path.name.lower().endswith(ending)):
            found[str(path)[: -len(ending)]] = path
    stems = {str(path.with_suffix("")) for path in videos}
    if not stems or stems & found.keys():
        return found
    moved = _bring_beside(found, stems)
    return moved if stems & moved.keys() else _spread_over_folders(found, stems)


def find_first_json(labels: Path) -> dict[str, Any]:
    """The content of the first JSON file next to a video; empty if there is none."""
    files = list(walk(labels)) if labels.is_dir() else []
    texts = find_texts(files)
    stems = (str(file.path.with_suffix("")) for file in files if file.is_video)
    first = next((text for stem in stems if (text := texts.get(stem)) and text.suffix.lower() == ".json"), None)
    return _read_object(labels / first) if first else {}


def _bring_beside(texts: Texts, stems: Iterable[str]) -> Texts:
    """The texts with the paths of their videos, if these differ only in the name of one common folder."""
    paths, videos = ([PurePosixPath(name).parts for name in names] for names in (texts, stems))
    for depth in range(min(len(parts) for parts in (*paths, *videos)) - 1):
        here, there = ({parts[depth] for parts in listed} for listed in (paths, videos))
        if len(here) == len(there) == 1 and here != there:
            return {"/".join((*parts[:depth], *there, *parts[depth + 1 :])): texts["/".join(parts)] for parts in paths}
    return texts


def _spread_over_folders(texts: Texts, stems: Iterable[str]) -> Texts:
    """The texts of folders, such as `0001/caption.txt`, with the paths of all videos in and below; others unchanged.

    Those at the top are no such texts: they may be about anything.
    """
    of_folders = {path.parent: path for path in texts.values() if path.stem.lower() in OF_FOLDERS and path.parts[1:]}
    of_folders = {folder: path for folder, path in of_folders.items() if path.suffix.lower() in TEXTS}
    above = {stem: [of_folders[up] for up in PurePosixPath(stem).parents if up in of_folders] for stem in stems}
    spread = {stem: paths[0] for stem, paths in above.items() if paths}
    used = set(spread.values())
    return {name: path for name, path in texts.items() if path not in used} | spread


def find_lists(labels: Path) -> tuple[Path, Path] | None:
    """The lists of videos and captions; None without a list of videos. Raises UserError if there is not one of each."""
    videos = [labels / name for name in VIDEO_LISTS if (labels / name).is_file()]
    captions = [labels / name for name in CAPTION_LISTS if (labels / name).is_file()]
    if not videos:
        return None
    if len(videos) > 1 or len(captions) != 1:
        names = ", ".join(path.name for path in [*videos, *captions])
        raise UserError(f"{labels}: holds {names}; keep one of {', '.join(VIDEO_LISTS)} and one list of captions")
    return videos[0], captions[0]


def _read_captions(labels: Path, text: PurePosixPath | None, dataset: DatasetParams) -> list[tuple[str, str]]:
    """The captions in a text with their category; an empty caption if there are none."""
    if text and text.suffix.lower() == ".json":
        return _read_cells(_read_object(labels / text), dataset)
    lines = read_text(labels / text) if text else []
    if dataset.text_files == "lines":
        return [(line, ONLY_CATEGORY) for line in lines if line.strip()] or [("", ONLY_CATEGORY)]
    return [("\n".join(lines), ONLY_CATEGORY)]


def read_text(path: Path) -> list[str]:
    """The lines of the caption in a text file; none if it only has facts about the video.

    LRS has `Text:  A DOG` and `Conf:  6` before a list of words, LRW has no `Text:`. Such lines count as facts if one
    of them is a measure, since captions may also be written as `Subject: a dog`.
    """
    lines = list(read_text_lines(path))
    named = [FACT.fullmatch(line.strip()) for line in takewhile(str.strip, lines)]
    facts = [found.groups() for found in named if found]
    if len(facts) == len(named) > 1 and any(MEASURE.fullmatch(value) for _, value in facts):
        return [value for name, value in facts if name.lower() in OF_FOLDERS][:1]
    return [line for line in lines if not CONFIDENCE.fullmatch(line)]


def _refuse_parts(labels: Path, rows: Sequence[LabelRow]) -> None:
    """Raise UserError if all texts list parts with their times: `12.5 14 run`, as of Audacity, Breakfast and ELAN."""
    first = next((row for row in rows if row.label.strip()), None)
    if first and all(map(PART.search, (line for row in rows for line in row.label.splitlines() if line.strip()))):
        fault = f"lines such as {first.label.splitlines()[0][:80]!r} are parts of videos, no captions"
        way = "write a table with a path, a start, an end and a caption in each row, and name it in dataset.labels"
        raise UserError(f"{labels / first.location[0]}: {fault}; {way}")


def _read_cells(content: Mapping[str, Any], dataset: DatasetParams) -> list[tuple[str, str]]:
    columns = dataset.columns
    captions = list(_list_texts(look_up(content, columns.caption)))
    category = as_text(look_up(content, columns.category)) if columns.category else ONLY_CATEGORY
    return [(caption, category) for caption in captions or [""]]


def _list_texts(cell: Any) -> Iterator[str]:
    """The texts of a cell, also in nested lists, which dotted names lead through."""
    for item in cell if isinstance(cell, list) else [cell]:
        yield from _list_texts(item) if isinstance(item, list) else [as_text(item)]


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path, "repair it or take it away")
    return content if isinstance(content, dict) else {}


def _read_lists(videos: Path, captions: Path, dataset: DatasetParams) -> Iterator[LabelRow]:
    paths, texts = ([line.strip() for line in read_text_lines(path)] for path in (videos, captions))
    if len(paths) != len(texts):
        detail = (
            f"{len(paths)} lines, but {captions.name} has {len(texts)}; each line is about the same line of the other"
        )
        raise UserError(f"{videos}: has {detail}")
    for number, (path, text) in enumerate(zip(paths, texts, strict=True), 1):
        if path or text:
            video = make_relative(dataset.videos, path)
            yield make_path_row(video, text, ONLY_CATEGORY, "all", (videos.name, f"line {number}"))
