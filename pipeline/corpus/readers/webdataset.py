"""Shards of WebDataset and video2dataset, tar archives in which the files of a sample share a name -> rows.

`00001.mp4` with `00001.txt`, `00001.json` or `00001.cls`: the text is the caption, what the JSON holds are columns, and
`.cls` is the number of a class. The labels are a shard, or a folder with shards at any depth, in the folder of videos.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.corpus.readers.classes import read_named_classes
from pipeline.corpus.readers.containers import find_container_split, find_containers, place_container
from pipeline.corpus.readers.json_files import list_cells
from pipeline.corpus.readers.table import Table, list_columns, make_rows
from pipeline.corpus.rows import LabelRow, number_repeats
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.sources.archives import ENDINGS, Archive, open_archive
from pipeline.sources.limits import SourceFault
from pipeline.tables import column_names, read_columns

Sample = dict[str, str]  # ending without its first dot -> name of the file
CLASS = "cls"
TEXTS = ("txt", "caption", CLASS)  # endings of files that are a cell
LONGEST = 1 << 24  # bytes of such a file
KEY = "__key__"
DONE = "success"  # of a download, in the table that video2dataset writes with each shard


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, shard by shard; samples without a video and failed downloads are rows, too, to be dropped."""
    shards = find_containers(labels, ENDINGS)
    if not shards:
        raise UserError(f"{labels}: neither it nor a folder in it holds {', '.join(ENDINGS)}; see dataset.labels")
    classes = read_named_classes(labels, dataset)
    columns = dataset.columns.model_copy(update={"path": "path"})
    dataset = dataset.model_copy(update={"columns": columns})
    named = list_columns(columns)
    rows: list[LabelRow] = []
    for shard in shards:
        samples = [*read_samples(shard, dataset.videos), *_read_failures(shard, dataset.videos)]
        table = Table(shard, split=find_container_split(shard))
        numbered = classes if columns.caption == CLASS else {}
        if columns.caption == CLASS and not classes:
            _refuse_numbers(shard, samples)
        rows += make_rows(table, dataset, named, list_cells(shard, samples, named), numbered)
    return rows if columns.id else number_repeats(rows)


def is_shard(path: Path) -> bool:
    """Whether an archive holds a video with a text, a JSON or a class of the same name."""
    samples = _group(_open(path)).values()
    return any(_find_videos(sample) and {"json", *TEXTS} & sample.keys() for sample in samples)


def read_samples(shard: Path, videos: str) -> Iterator[dict[str, Any]]:
    """The cells of each video in a shard by the names of their columns."""
    archive, place = _open(shard), place_container(shard, videos)
    for key, sample in _group(archive).items():
        cells = _read_json(archive, sample["json"]) if "json" in sample else {}
        cells |= {ending: _read_text(archive, sample[ending]).strip() for ending in TEXTS if ending in sample}
        cells |= {"caption": cells["txt"]} if "txt" in sample else {}
        for name in _find_videos(sample) or [key]:
            yield {**cells, KEY: key, "path": f"{place}/{name}".lstrip("/")}


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
    """The samples by their names, which end at the first dot of a file's name."""
    samples: dict[str, Sample] = {}
    for folder in sorted(archive.folders):
        for name in archive.list_names(folder):
            stem, _, ending = name.partition(".")
            key = f"{folder}/{stem}".lstrip("/")
            samples.setdefault(key, {})[ending.lower()] = f"{folder}/{name}".lstrip("/")
    return samples


def _find_videos(sample: Sample) -> list[str]:
    return [name for name in sample.values() if has_video_ending(name)]


def _read_text(archive: Archive, name: str) -> str:
    entry = archive.find(name)
    if entry is None or entry.size > LONGEST:
        raise UserError(f"{archive.name}/{name}: a text of more than {LONGEST} bytes; take it out of the shard")
    try:
        return b"".join(archive.read(name)).decode("utf-8-sig")
    except SourceFault as fault:
        raise UserError(f"{fault}; download {archive.name} again") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{archive.name}/{name}: not UTF-8 ({error.reason} at byte {error.start})") from None


def _read_json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(archive, name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{archive.name}/{name}: not JSON ({error})") from None
    return content if isinstance(content, dict) else {"json": content}


def _read_failures(shard: Path, videos: str) -> Iterator[dict[str, Any]]:
    """The rows of the table next to a shard whose download has failed, so that they are in no archive."""
    table = shard.with_name(f"{shard.name.split('.')[0]}.parquet")
    names = column_names(table) if table.is_file() else []
    if not {"key", "status"} <= {*names}:
        return
    captions = ["caption"] if "caption" in names else []
    for key, status, *caption in zip(*read_columns(table, ["key", "status", *captions]), strict=True):
        if status != DONE:
            text = caption[0] if caption and caption[0] else f"download: {status}"
            yield {"caption": text, KEY: key, "path": f"{place_container(shard, videos)}/{key}.mp4"}
