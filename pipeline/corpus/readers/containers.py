"""Containers, files with both videos and labels: WebDataset shards, Parquet and Arrow tables -> rows.

The shards of WebDataset and video2dataset are tar archives in which the files of a sample share a name: `00001.mp4`
with `00001.txt`, `00001.json` or `00001.cls`. The text is the caption, keys of the JSON are columns, and `.cls` is a
class number. Parquet tables, as on the Hugging Face Hub, and Arrow files, as written by `save_to_disk`, have a column
of bytes, or of structs with `bytes` and `path`; the path is used if the bytes are missing. The labels are such a file,
or a folder with such files at any depth, in the videos folder. A file may be named after its split, such as
`train-00000-of-00002.parquet`.
"""

import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from pipeline.corpus import LabelRow, OfficialSplit, find_split, number_repeats, parse_split
from pipeline.corpus.groups import keep_together
from pipeline.corpus.readers.cells import Cells, Columns, LocatedCells, read_table
from pipeline.corpus.readers.classes import number_names, read_named_classes
from pipeline.corpus.readers.json_files import list_cells
from pipeline.corpus.readers.table import Table, list_columns, make_table_rows, refuse_numbers
from pipeline.corpus.text_files import decode_text
from pipeline.corpus.video_names import has_video_ending, is_hidden
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.sources.archives import ARCHIVE_ENDINGS, Archive, open_archive
from pipeline.sources.common import SourceFault
from pipeline.sources.tables import (
    TABLE_ENDINGS,
    count_group_rows,
    find_bytes_columns,
    is_cache,
    list_paths_instead,
    read_column_names,
    read_columns,
)

TRIED = 100  # paths tested to find the folder that they are relative to
MAX_FOLDERS = 20  # searched for a first file

Sample = dict[str, str]  # extension without its first dot -> name of the file
CLASS = "cls"
TEXTS = ("txt", "caption", CLASS)  # extensions of files whose text is a cell
LONGEST = 1 << 24  # bytes of such a file
KEY = "__key__"
DONE = "success"  # status of a download, in the table of video2dataset next to each shard


def read_webdataset(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, shard by shard; samples without a video and failed downloads are included, to be dropped."""
    shards = _find_containers(labels, ARCHIVE_ENDINGS)
    if not shards:
        raise UserError(
            f"{labels}: neither it nor a folder in it holds {', '.join(ARCHIVE_ENDINGS)}; see dataset.labels"
        )
    classes = read_named_classes(labels, dataset)
    columns = dataset.columns.model_copy(update={"path": "path"})
    dataset = dataset.model_copy(update={"columns": columns})
    named = list_columns(columns)
    rows: list[LabelRow] = []
    for shard in shards:
        samples = [*read_samples(shard, dataset.videos), *_read_failures(shard, dataset.videos)]
        table = Table(shard, split=_find_container_split(shard))
        numbered = classes if columns.caption == CLASS else {}
        if columns.caption == CLASS and not classes:
            _refuse_numbers(shard, samples)
        rows += make_table_rows(table, dataset, named, list_cells(shard, samples, named), numbered)
    rows = keep_together(rows, [_name_sample(row.video) for row in rows])  # views of one scene
    return rows if columns.id else number_repeats(rows)


def is_shard(path: Path) -> bool:
    """Whether an archive contains a video with a text, JSON or class of the same name."""
    samples = _group(_open(path)).values()
    return any(_find_videos(sample) and {"json", *TEXTS} & sample.keys() for sample in samples)


def read_samples(shard: Path, videos: str) -> Iterator[dict[str, Any]]:
    """The cells of each video in a shard, by column name."""
    archive, address = _open(shard), _address_container(shard, videos)
    for key, sample in _group(archive).items():
        cells = _read_json(archive, sample["json"]) if "json" in sample else {}
        cells |= {ending: _read_text(archive, sample[ending]).strip() for ending in TEXTS if ending in sample}
        cells |= {"caption": cells["txt"]} if "txt" in sample else {}
        for name in _find_videos(sample) or [key]:
            yield {**cells, KEY: key, "path": f"{address}/{name}".lstrip("/")}


def read_parquet(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, table by table. Raises UserError if a table has no column of bytes, or several."""
    tables = _find_containers(labels, TABLE_ENDINGS)
    if not tables:
        raise UserError(f"{labels}: neither it nor a folder in it holds {', '.join(TABLE_ENDINGS)}; see dataset.labels")
    classes = read_named_classes(labels, dataset)
    rows: list[LabelRow] = []
    for path in tables:
        column = _choose_column(path, dataset)
        named = {key: name for key, name in list_columns(dataset.columns).items() if key.split()[0] != "path"}
        changed = dataset.columns.model_copy(update={"path": "path"})
        cells = _read_table_cells(path, column, named, dataset.videos)
        table = Table(path, split=_find_container_split(path))
        own = dataset.model_copy(update={"columns": changed})
        numbered = classes or number_names(path, dataset.columns.caption)
        rows += make_table_rows(table, own, {**named, "path": "path"}, cells, numbered)
    refuse_numbers(rows)
    return rows if dataset.columns.id else number_repeats(rows)


def find_first_container(labels: Path, endings: tuple[str, ...]) -> Path | None:
    """The file, or the first one in a folder or its first sub-folders: large datasets are not listed completely."""
    if labels.is_file():
        return labels if labels.name.lower().endswith(endings) else None
    return next((path for path in list_near_files(labels, endings) if path.is_file()), None)


def list_near_files(folder: Path, endings: tuple[str, ...], most: int = MAX_FOLDERS) -> Iterator[Path]:
    """The files with these extensions in a folder, then in its first `most` sub-folders, to detect a format."""
    below = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_hidden(entry.name))
    for here in (folder, *(folder / name for name in below[:most])):
        with os.scandir(here) as entries:
            names = (entry.name for entry in entries)
            found = sorted(name for name in names if _is_wanted(name, endings))
        yield from (here / name for name in found)


def locate_failures(shard: Path) -> Path:
    """The table next to a shard that lists failed downloads."""
    return shard.with_name(f"{shard.name.split('.')[0]}.parquet")


def lists_downloads(names: Collection[str]) -> bool:
    """Whether a table with these columns is of video2dataset: next to shards or folders, it lists their downloads."""
    return {"key", "status"} <= {*names}


def _find_containers(labels: Path, endings: tuple[str, ...]) -> list[Path]:
    """The file itself, or all files with these extensions in a folder, at any depth, without hidden ones."""
    if labels.is_file():
        return [labels] if labels.name.lower().endswith(endings) else []
    found = []
    for here, below, files in os.walk(labels):
        below[:] = sorted(name for name in below if not is_hidden(name))
        found += [Path(here, name) for name in sorted(files) if _is_wanted(name, endings)]
    return found


def _is_wanted(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings) and name[0] != "." and not is_cache(name)


def _address_container(path: Path, videos: str) -> str:
    """The path relative to the videos folder; empty if it is that. Raises UserError if it is outside."""
    here, root = _resolve(path), _resolve(Path(videos))
    if not here.is_relative_to(root):
        raise UserError(f"{path}: holds the videos, but is not in {videos}; make dataset.videos the folder it is in")
    return here.relative_to(root).as_posix().removeprefix(".")


def _resolve(path: Path) -> Path:
    """The real path of a folder; for a file, of its parent only, since it may be a link to DVC's cache."""
    return Path(os.path.realpath(path.parent), path.name) if path.is_file() else Path(os.path.realpath(path))


def _find_container_split(path: Path) -> OfficialSplit:
    """The official split in the file's name, else in the name of its folder, else `all`."""
    return find_split(path.name.split(".")[0]) or parse_split(path.parent.name) or "all"


def _refuse_numbers(shard: Path, samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        number = str(sample.get(CLASS, ""))
        if number.isdecimal():
            detail = f"{sample[KEY]} has the class {number} for a caption"
            raise UserError(f"{shard}: {detail}; name the file of class names in dataset.classes")


def _open(path: Path) -> Archive:
    try:
        return open_archive(path)
    except SourceFault as fault:
        raise UserError(f"{path}: {fault}; download it again") from None


def _group(archive: Archive) -> dict[str, Sample]:
    """The samples by name, which is the file's path up to the first dot of its name."""
    samples: dict[str, Sample] = {}
    for folder in sorted(archive.folders):
        for name in archive.list_names(folder):
            stem, _, ending = name.partition(".")
            key = f"{folder}/{stem}".lstrip("/")
            samples.setdefault(key, {})[ending.lower()] = f"{folder}/{name}".lstrip("/")
    return samples


def _name_sample(video: str) -> str:
    """The path of a video up to the first dot of its name."""
    folder, _, name = video.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _find_videos(sample: Sample) -> list[str]:
    return [name for name in sample.values() if has_video_ending(name)]


def _read_text(archive: Archive, name: str) -> str:
    entry = archive.find(name)
    if entry is None or entry.size > LONGEST:
        raise UserError(f"{archive.name}/{name}: a text of more than {LONGEST} bytes; take it out of the shard")
    try:
        content = b"".join(archive.read(name))
    except SourceFault as fault:
        raise UserError(f"{fault}; download {archive.name} again") from None
    return decode_text(Path(archive.name, name), content)


def _read_json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(archive, name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{archive.name}/{name}: not JSON ({error})") from None
    return content if isinstance(content, dict) else {"json": content}


def _read_failures(shard: Path, videos: str) -> Iterator[dict[str, Any]]:
    """The failed downloads in the table next to a shard, which are in no archive."""
    table = locate_failures(shard)
    names = read_column_names(table) if table.is_file() else []
    if not lists_downloads(names):
        return
    captions = ["caption"] if "caption" in names else []
    for key, status, *caption in zip(*read_columns(table, ["key", "status", *captions]), strict=True):
        if status != DONE:
            text = caption[0] if caption and caption[0] else f"download: {status}"
            yield {"caption": text, KEY: key, "path": f"{_address_container(shard, videos)}/{key}.mp4"}


def _choose_column(path: Path, dataset: DatasetParams) -> str:
    """The column of videos: that of `dataset.columns.path`, or the only one with bytes. Raises UserError."""
    found = find_bytes_columns(path)
    if dataset.columns.path in found:
        return str(dataset.columns.path)
    if len(found) != 1:
        listed = ", ".join(found) or f"none; its columns: {', '.join(read_column_names(path))}"
        raise UserError(f"{path}: columns of bytes are {listed}; name the one of the videos in dataset.columns.path")
    return found[0]


def _read_table_cells(path: Path, column: str, named: Columns, videos: str) -> Iterator[LocatedCells]:
    """The wanted cells of each row, then the path of its video: a cell in the table, or a file if bytes are missing."""
    count = sum(count_group_rows(path))
    cells: Iterator[Cells] = read_table(path, named) if named else repeat((), count)
    width = len(str(count))
    files = list_paths_instead(path, column)
    # Only bytes in the table require it to be in the videos folder; files named in it do not.
    address = _address_container(path, videos) if len(files) < count else ""
    root = _find_root(path, list(files.values()), videos)
    if files:
        message = f"{len(files)} of {count} cells of {column} hold the path of a video in place of its bytes"
        print(f"filter: {path}: {message}{root and f', from {root} on'}", file=sys.stderr)
    for number, row in enumerate(cells):
        inside = f"{address}/{column}/{number:0{width}}".lstrip("/")
        video = root + files[number] if number in files else inside
        yield f"row {number + 1}", (*row, video)


def _find_root(path: Path, files: Sequence[str], videos: str) -> str:
    """The folder of the table in the videos folder, if the files are relative to it; else empty."""
    here, top = _resolve(path).parent, _resolve(Path(videos))
    if here == top or not here.is_relative_to(top):
        return ""
    for name in files[:TRIED]:
        if not name.startswith("/") and ".." not in name.split("/"):
            if os.path.lexists(top / name):
                return ""
            if os.path.lexists(here / name):
                return f"{here.relative_to(top).as_posix()}/"
    return ""
