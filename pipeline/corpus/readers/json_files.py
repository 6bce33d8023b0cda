"""JSON files in various structures -> rows.

Supported are a list of objects; an object of objects by id, or of captions by file, `{"a.mp4": ["a dog runs", ...]}`;
either of these nested in an object with other keys, or several under the names of splits; columns as lists; an object
per video with lists of its parts; a list of videos and a list of sentences about them, as in MSR-VTT; objects tracked
in videos, as lists of `videos`, `annotations` and `categories` (YouTube-VIS, OVIS, TAO) or `sequences` (BURST); and
JSON lines with any extension, as written by `to_json` of the library `datasets`. The labels are one file, or a folder
with `captions.json`, with files named after their splits, or with a single file.
"""

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.corpus import LabelRow, find_split, number_repeats, parse_split
from pipeline.corpus.readers.cells import Columns, LocatedCells, are_parts, find_columns, holds_cell, look_up
from pipeline.corpus.readers.classes import read_named_classes
from pipeline.corpus.readers.table import Table, list_columns, make_table_rows, refuse_numbers
from pipeline.corpus.text_files import open_text
from pipeline.corpus.video_names import has_video_ending, split_ending
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.params import DatasetParams

Row = dict[str, Any]
CAPTIONS = "captions.json"
REMEDY = "download it again or repair it"
OUTER = ("database", "data", "clips", "rows")  # keys with the rows, next to other keys
OF_DATASETS = ("dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json")  # of library `datasets`
KEY = "key"  # column name for the key of a row in an object
SPLIT = "split"  # column name for the key of a list of rows
SENTENCES = ("sentences", "annotations", "captions")  # next to "videos"

SIDECARS = (".info.json", ".json")  # of yt-dlp, of video2dataset: next to a video
LONGEST_LINE = 1 << 20  # bytes of the first JSON lines

_kept: dict[tuple[str, int, int, int], Any] = {}  # cache of the last file

# Columns of tracked objects: the folder of the video's images, and the distinct categories of its objects, which are
# missing from all rows if nothing is annotated.
TRACKED_FOLDER, TRACKED_OBJECTS = "video_folder", "object_names"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, file by file; a list of captions gives a row for each. Raises UserError if no rows are found."""
    rows: list[LabelRow] = []
    classes = read_named_classes(labels, dataset)
    for table in _find_tables(labels, dataset):
        own = _adopt_splits(dataset, read_content(table.path))
        named = list_columns(own.columns)
        rows += make_table_rows(table, own, named, read_cells(table.path, named), classes)
    refuse_numbers(rows)
    return rows if dataset.columns.id else number_repeats(rows)


def _adopt_splits(dataset: DatasetParams, content: Any) -> DatasetParams:
    """The section with the column that `_list_rows` adds to rows under the names of splits."""
    if dataset.columns.split is not None or not _find_split_parts(content):
        return dataset
    return dataset.model_copy(update={"columns": dataset.columns.model_copy(update={"split": SPLIT})})


def read_content(path: Path, remedy: str = REMEDY) -> Any:
    """The content of a JSON file, cached, since format detection and the reader both need it.

    The last file is cached as long as it does not change, until `forget_content`; callers must not modify the content.
    """
    if not path.is_file():
        return read_json(path, remedy)  # raises
    found = path.stat()
    key = str(path), found.st_ino, found.st_size, found.st_mtime_ns
    if key not in _kept:
        content: Any = _read_lines(path) or read_json(path, remedy)
        _kept.clear()
        _kept[key] = content
    return _kept[key]


def _read_lines(path: Path) -> list[Any]:
    """The objects of JSON lines with any extension; empty for any other file."""
    with path.open("rb") as file:
        starts = [file.readline(LONGEST_LINE).removeprefix(BOM_UTF8).strip() for _ in range(2)]
    if not all(line[:1] == b"{" and line[-1:] == b"}" for line in starts):
        return []
    try:
        with open_text(path) as file:
            return [json.loads(line) for line in file if line.strip()]
    except (ValueError, RecursionError):
        return []


def forget_content() -> None:
    """Clear the cache of `read_content`."""
    _kept.clear()


def _list_rows(path: Path, content: Any, named: Columns) -> list[Row]:
    """The objects with the cells of each row; the key of an object or caption is used as its path or id.

    Raises UserError if the content has no rows.
    """
    if isinstance(content, list):
        return _check_objects(path, content)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds neither a list of objects nor an object with rows, but {str(content)[:80]}")
    joined = _join_tracks(content)
    joined = _join_sentences(path, content) if joined is None else joined
    if joined is not None:
        return joined
    if _is_row(content, named):
        return [content]
    if parts := _find_split_parts(content):
        return [{SPLIT: name, **row} for name, part in parts.items() for row in _list_rows(path, part, named)]
    caption = named["caption"]
    if isinstance(content.get(caption), list):
        return _turn_columns(path, content)
    inner = {key: value for key, value in content.items() if _holds_rows(value)}
    outer = next((key for key in OUTER if key in inner), next(iter(inner)) if len(inner) == 1 else None)
    if outer is not None:
        return _list_rows(path, inner[outer], named)
    if any(isinstance(value, list) for value in inner.values()):
        raise UserError(f"{path}: holds rows under {', '.join(inner)[:200]}; write each of them to a file of its own")
    rows: list[Any] = [{str(caption): value} if isinstance(value, str | list) else value for value in content.values()]
    objects = _check_objects(path, rows)
    key = _find_key(objects, named)
    return [{key: name, **row} for name, row in zip(content, objects, strict=True)] if key else objects


def _is_row(content: Mapping[str, Any], named: Columns) -> bool:
    """Whether an object is itself a row: a cell is a caption or names a video, and keys name no videos."""
    if any(map(has_video_ending, content)) or any(map(_holds_rows, content.values())):
        return False
    return (len(content) > 1 and isinstance(content.get(str(named["caption"])), str)) or _names_video(content)


def _names_video(content: Mapping[str, Any]) -> bool:
    return any(isinstance(cell, str) and has_video_ending(cell) for cell in content.values())


def _find_split_parts(content: Any) -> dict[str, Any]:
    """The rows under each key, if there are several and each key is the name of a split; else empty."""
    parts = {key: part for key, part in content.items() if _holds_rows(part)} if isinstance(content, dict) else {}
    return parts if len(parts) > 1 and all(map(parse_split, parts)) else {}


def _find_key(rows: Sequence[Row], named: Columns) -> str | None:
    """The column that keys of rows represent: the path, a part of it, or the id; None if rows have all of these."""
    paths = [key for key in named if key.startswith("path")]
    wanted = [str(named[key]) for key in paths or ["id"] if key in named]
    missing = [name for name in wanted if not any(holds_cell(row, name) for row in rows)]
    return missing[0] if missing else None


def list_names(path: Path, content: Any) -> list[str]:
    """The names of cells in rows, and in their objects and lists of objects; empty if there are no rows.

    Keys of rows are named `KEY`.
    """
    rows = list_plain_objects(path, content)
    names = dict.fromkeys(name for row in rows for name in row)
    cells = ((name, cell[0] if isinstance(cell, list) and cell else cell) for row in rows for name, cell in row.items())
    inner = (f"{name}.{below}" for name, item in cells if isinstance(item, dict) for below in item)
    return [*names, *dict.fromkeys(inner)]


def list_plain_objects(path: Path, content: Any) -> list[Row]:
    """The objects of rows as they are, before any columns are known; empty if there are none."""
    try:
        return _list_rows(path, content, {"caption": "caption", f"path {{{KEY}}}": KEY})
    except UserError:
        return []


def is_plain(content: Any) -> bool:
    """Whether an object has texts under keys that are no videos: it may be anything, such as settings."""
    if not isinstance(content, dict) or any(map(has_video_ending, content)) or _names_video(content):
        return False
    return any(isinstance(value, str) for value in content.values())


def find_files(folder: Path, classes: str | None = None) -> list[Path]:
    """The JSON files in a folder that may be labels: not the class names, nor those that belong to a video.

    If there is a `captions.json`, it is the only one.
    """
    if (folder / CAPTIONS).is_file():
        return [folder / CAPTIONS]
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    beside = {f"{split_ending(name)[0]}{ending}" for name in names if has_video_ending(name) for ending in SIDECARS}
    left_out = {*OF_DATASETS, classes, *beside}
    return [folder / name for name in names if name.endswith(".json") and name not in left_out]


def _find_tables(labels: Path, dataset: DatasetParams) -> list[Table]:
    if not labels.is_dir():
        if not labels.is_file():
            raise UserError(f"{labels}: no such JSON file; see dataset.labels")
        return [Table(labels)]
    files = find_files(labels, dataset.classes)
    if len(files) == 1 and files[0].name == CAPTIONS:
        return [Table(files[0])]
    files = _skip_unlabelled(files, list_columns(dataset.columns))
    splits = {path: split for path in files if (split := find_split(path.stem))}
    if files and not splits and (len(files) == 1 or are_parts(files)):
        return [Table(path) for path in files]
    if not splits or len(splits) < len(files):
        names = ", ".join(path.name for path in files) or "no .json"
        raise UserError(f"{labels}: holds {names}; name the file in dataset.labels, or the files after their splits")
    return [Table(path, split=split) for path, split in splits.items()]


def _skip_unlabelled(files: list[Path], named: Columns) -> list[Path]:
    """The files with rows that have captions, or all if none has; the others are printed."""
    labelled = [path for path in files if _has_captions(path, named)] if len(files) > 1 else files
    for path in files if labelled else []:
        if path not in labelled:
            print(f"filter: {path} has no rows with {named['caption']!r} and is skipped", file=sys.stderr)
    return labelled or files


def _has_captions(path: Path, named: Columns) -> bool:
    try:
        content = read_content(path)
        return not is_plain(content) and any(
            holds_cell(row, named["caption"]) for row in _list_rows(path, content, named)
        )
    except UserError:
        return False


def read_cells(path: Path, named: Columns) -> Iterator[LocatedCells]:
    """The wanted cells of each row. Raises UserError for a file without rows, and for a column that no row has."""
    for key, name in named.items():
        if isinstance(name, int):
            raise UserError(f"dataset.columns.{key} is {name}, but the columns of {path} have names")
    yield from list_cells(path, read_content(path), named)


def list_cells(path: Path, content: Any, named: Columns) -> Iterator[LocatedCells]:
    """The wanted cells of each row of this content. Raises UserError as `read_cells`."""
    numbers, rows = _open_lists(_list_rows(path, content, named), named)
    header = list(dict.fromkeys(name for row in rows for name in row))
    inner = [str(name) for name in named.values() if name not in header and any(holds_cell(row, name) for row in rows)]
    find_columns(path, [*header, *dict.fromkeys(inner)], named)
    for number, row in zip(numbers, rows, strict=True):
        yield f"entry {number}", tuple(look_up(row, name) for name in named.values())


def _open_lists(rows: list[Row], named: Columns) -> tuple[list[int], list[Row]]:
    """The rows, and for each its number in the file, from 1.

    If the column of paths leads into a list of objects, a row becomes one row per object, as for WLASL.
    """
    paths = [str(name) for key, name in named.items() if key.startswith("path") and "." in str(name)]
    name = paths[0].partition(".")[0] if paths else ""
    if not name or any(path in row for row in rows for path in paths):
        return list(range(1, len(rows) + 1)), rows
    opened = [
        (number, {**row, name: item})
        for number, row in enumerate(rows, 1)
        for item in (row[name] if isinstance(row.get(name), list) else [row.get(name)])
    ]
    return [number for number, _ in opened], [row for _, row in opened]


def _check_objects(path: Path, rows: list[Any]) -> list[Row]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(f"{path}: entry {number} is not an object with a row's cells, but {str(row)[:80]}")
    return rows


def _holds_rows(value: Any) -> bool:
    """Whether a value is a list of objects, or an object of objects."""
    listed = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return bool(listed) and all(isinstance(row, dict) for row in listed)


def _join_sentences(path: Path, content: Mapping[str, Any]) -> list[Row] | None:
    """A row per sentence with the keys of its video, and per video without sentences; None without such lists."""
    videos = content.get("videos")
    sentences = next((content[name] for name in SENTENCES if isinstance(content.get(name), list)), None)
    if not isinstance(videos, list) or sentences is None:
        return None
    known: dict[str, tuple[Any, Row]] = {}  # by the id as text, since an invalid one may be a list
    for video in _check_objects(path, videos):
        # Times refer to the source video that these files were cut from.
        facts = {name: cell for name, cell in video.items() if name not in ("start time", "end time")}
        name = video.get("video_id", video.get("id"))
        known[str(name)] = name, facts
    rows = _check_objects(path, sentences)
    if not all("video_id" in row for row in rows):
        raise UserError(f"{path}: a sentence has no video_id, by which it belongs to one of the videos; {REMEDY}")
    said = {str(row["video_id"]) for row in rows}
    joined = [{**known.get(str(row["video_id"]), (None, {}))[1], **row} for row in rows]
    return joined + [{"video_id": name, **facts} for key, (name, facts) in known.items() if key not in said]


def _turn_columns(path: Path, content: Mapping[str, Any]) -> list[Row]:
    columns = {name: cells for name, cells in content.items() if isinstance(cells, list)}
    if len({len(cells) for cells in columns.values()}) > 1:
        counts = ", ".join(f"{name} {len(cells)}" for name, cells in columns.items())
        raise UserError(f"{path}: its columns have different lengths: {counts}; {REMEDY}")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _join_tracks(content: Mapping[str, Any]) -> list[Row] | None:
    """A row per video of tracked objects, also without objects; None if the file has no such lists.

    A category without a name is None, so that its row is dropped with a reason.
    """
    names = {str(one.get("id")): one.get("name") for one in _list_objects(content, "categories")}
    sequences = _list_objects(content, "sequences")
    videos = sequences or _list_objects(content, "videos")
    if not videos or not names or not all(isinstance(name, str) for name in names.values()):
        return None
    if sequences:
        found = [_list_tracked(video) for video in sequences]
    else:
        annotated = _find_annotated(content)
        found = [annotated.get(str(video.get("id")), []) for video in videos]
    rows = [{**video, TRACKED_FOLDER: _find_folder(video)} for video in videos]
    if any(found):
        for row, numbers in zip(rows, found, strict=True):
            row[TRACKED_OBJECTS] = [names.get(number) for number in dict.fromkeys(numbers)]
    return rows


def _list_objects(content: Mapping[str, Any], name: str) -> list[Row]:
    """The list with this key, if it consists of objects; else empty."""
    listed = content.get(name)
    return listed if isinstance(listed, list) and all(isinstance(one, dict) for one in listed) else []


def _list_tracked(video: Row) -> list[str]:
    tracked = video.get("track_category_ids")
    return [str(number) for number in tracked.values()] if isinstance(tracked, dict) else []


def _find_annotated(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Video id -> category ids; annotations of an image count for its video."""
    pictures = {str(one.get("id")): one.get("video_id") for one in _list_objects(content, "images")}
    found: dict[str, list[str]] = {}
    for one in _list_objects(content, "annotations"):
        video = one.get("video_id", pictures.get(str(one.get("image_id"))))
        found.setdefault(str(video), []).append(str(one.get("category_id")))
    return found


def _find_folder(video: Row) -> str | None:
    """The folder of a video's images: that of the first image, or the name of the video."""
    pictures = video.get("file_names")
    if isinstance(pictures, list) and pictures:
        return str(pictures[0]).replace("\\", "/").rpartition("/")[0] or None
    parts = [video.get("dataset"), video.get("seq_name", video.get("name"))]
    return "/".join(part for part in parts if isinstance(part, str)) or None
