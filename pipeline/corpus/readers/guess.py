"""Guesses, for `dataset.format: auto`, what columns that params do not mention mean, from their names."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.corpus.readers import json_files, metadata, parquet, table, webdataset
from pipeline.corpus.readers.containers import find_first_container
from pipeline.corpus.segments import find_segment_columns, is_in_one, is_start
from pipeline.corpus.video_names import ANYWHERE
from pipeline.params import ColumnParams, DatasetParams
from pipeline.sources.archives import ENDINGS as ARCHIVES

# Names without case, blanks, hyphens and underscores, the likeliest first.
PATHS = ("path", "filepath", "videopath", "clippath", "filename", "videofilename", "videofile", "file", "video", "clip")
IDS = ("videoname", "vidname", "clipname", "videoid", "vid", "youtubeid", "ytid", "clipid", "videouid", "id", "name")
CAPTIONS = (
    *("caption", "captions", "text", "prompt", "sentence", "sentences", "description", "descriptions", "narration"),
    *("query", "desc", "title", "txt"),
)
LABELS = ("classname", "label", "cls", "class", "action", "activity", "category")
SPLITS = ("split", "subset")


def guess_columns(labels: Path, form: str, dataset: DatasetParams) -> tuple[DatasetParams, str]:
    """The section with existing columns in place of missing ones, and these changes as text."""
    names = _list_names(labels, form, dataset)
    columns = dataset.columns
    found: dict[str, str] = {}
    named = form == "metadata" and any(map(metadata.NAMING.fullmatch, names))
    if form in ("table", "json", "metadata") and not named and not _has_path(names, columns):
        found |= _guess_path(names, columns)
    caption = columns.caption
    if isinstance(caption, str) and not _is_there(caption, names) and (guessed := _first(names, (*CAPTIONS, *LABELS))):
        found["caption"] = caption = guessed
        if columns.category is None and _plain(guessed) in LABELS:
            found["category"] = guessed
    if columns.category is None and "category" not in found and "category" in names:
        found["category"] = "category"
    if columns.split is None and (split := _first(names, SPLITS)):
        found["split"] = split
    if columns.start is columns.end is columns.segment is None and isinstance(caption, str):
        found |= _guess_parts(names, caption)
    if not found:
        return dataset, ""
    detail = ", ".join(f"{key} {name}" for key, name in found.items())
    return dataset.model_copy(update={"columns": columns.model_copy(update=found)}), detail


def _list_names(labels: Path, form: str, dataset: DatasetParams) -> list[str]:
    """The names of the columns of the first file there is, as its reader sees it; empty where they have none."""
    path = _find_first(labels, form)
    if path is None:
        return []
    if form == "webdataset":
        return list(next(webdataset.read_samples(path, dataset.videos), {}))
    if form == "json":
        return json_files.list_names(path, json_files.read_content(path))
    return table.read_header(path, dataset.delimiter)


def _find_first(labels: Path, form: str) -> Path | None:
    """The first file of the labels; None where there is none."""
    if form in ("webdataset", "parquet"):
        return find_first_container(labels, ARCHIVES if form == "webdataset" else (parquet.ENDING,))
    if not labels.is_dir():
        return labels
    tables = metadata.find_tables(labels) if form == "metadata" else sorted(labels.iterdir())
    endings = (".json",) if form == "json" else tuple(table.FORMATS)
    return next((path for path in tables if path.suffix.lower() in endings and path.name[0] != "."), None)


def _is_there(name: str, names: Sequence[str]) -> bool:
    """Whether there is a column with that name, or one with objects that the dotted name leads into."""
    return any(name == known or name.startswith(f"{known}.") for known in names)


def _has_path(names: Sequence[str], columns: ColumnParams) -> bool:
    """Whether the files have the column of paths, or all those that make it, or params want ids."""
    fields = table.list_fields(columns.path) or [str(columns.path)]
    return not isinstance(columns.path, str) or all(field in names for field in fields)


def _guess_path(names: Sequence[str], columns: ColumnParams) -> dict[str, str]:
    """The column of paths; else a pattern of what may be called so in any folder."""
    if path := _first(names, PATHS):
        return {"path": path}
    if json_files.KEY in names:  # the path itself where there is a caption with it
        return {} if columns.caption in names else {"path": f"{ANYWHERE}{{{json_files.KEY}}}"}
    name = _first(names, IDS)
    return {"path": f"{ANYWHERE}{{{name}}}"} if name else {}


def _guess_parts(names: Sequence[str], caption: str) -> dict[str, str]:
    """The columns of the parts that the captions are about, in the same list; not of frames, whose rate is unknown."""
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == caption.rpartition(".")[0]}
    found = [name for name in find_segment_columns([*beside]) if "frame" not in name.lower()]
    if whole := next((name for name in found if is_in_one(name)), None):
        return {"segment": beside[whole]}
    starts, ends = ([name for name in found if is_start(name) is wanted] for wanted in (True, False))
    return {"start": beside[starts[0]], "end": beside[ends[0]]} if len(starts) == len(ends) == 1 else {}


def _first(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column that is called as the first of those wanted; one of a row before one of its lists."""
    plain = {_plain(name): name for name in sorted(names, key=lambda name: -name.count("."))}
    return next((plain[name] for name in wanted if name in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.rpartition(".")[2]).lower()
