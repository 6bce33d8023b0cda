"""Folders with a `metadata.csv`, `.jsonl` or `.parquet` next to the videos, as on the Hugging Face Hub -> rows.

The tables name videos in `file_name` or `*_file_name`, or several of them in `*_file_names`, relative to their folder.
The labels are one such table, a folder with one, or a folder with folders at any depth that have one each. If all
videos are in folders named as splits, these are used, unless `dataset.columns.split` names a column.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.corpus import LabelRow, match_splits, number_repeats
from pipeline.corpus.groups import keep_together
from pipeline.corpus.readers.cells import FORMATS, LocatedCells, list_column_names, read_cells
from pipeline.corpus.readers.classes import number_names, read_named_classes
from pipeline.corpus.readers.table import Table, list_columns, make_table_rows, refuse_numbers
from pipeline.corpus.video_names import is_hidden
from pipeline.errors import UserError
from pipeline.params import DatasetParams

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
PATH_COLUMNS = ("file_name", "video_file_name", "video_file_names")
NAMING = re.compile(r"(?:.+_)?file_names?")
NULLS = {
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
}


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, folder by folder. Raises UserError if no table is found, or more than one in a folder."""
    classes = read_named_classes(labels, dataset)
    tables = _find_tables(labels) if labels.is_dir() else [Table(labels)]
    rows: list[LabelRow] = []
    for table in tables:
        columns = dataset.columns.model_copy(update={"path": _find_path_column(table.path, dataset.columns.path)})
        own = dataset.model_copy(update={"columns": columns})
        named = list_columns(columns)
        cells = _expand(read_cells(table.path, named, dataset.delimiter), list(named).index("path"))
        change = _clear_null if table.path.suffix.lower() == ".csv" else None
        numbered = classes or number_names(table.path, columns.caption)
        found = list(make_table_rows(table, own, named, cells, numbered, change))
        rows += keep_together(found, [f"{table.folder} {row.location[1]}".strip() for row in found])
    refuse_numbers(rows)
    rows = rows if dataset.columns.id else number_repeats(rows)
    if dataset.columns.split:
        return rows
    splits = match_splits([row.video for row in rows])
    return [row._replace(official_split=split) for row, split in zip(rows, splits, strict=True)]


def find_tables(folder: Path) -> list[Path]:
    """The tables in a folder, at any depth, without hidden folders; sorted by folder."""
    found = []
    for here, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not is_hidden(name))
        found += [Path(here, name) for name in NAMES if name in files]
    return found


def _find_tables(labels: Path) -> list[Table]:
    paths = find_tables(labels)
    if not paths:
        raise UserError(
            f"{labels}: neither it nor a folder in it holds {', '.join(NAMES)}, with the columns file_name and caption"
        )
    for number, path in enumerate(paths):
        for other in paths[number + 1 :]:
            if other.parent.is_relative_to(path.parent):
                names = f"{path} and {other}"
                raise UserError(f"{names} may list the same videos; keep one in each folder, or one above all")
    return [Table(path, folder=path.parent.relative_to(labels).as_posix().removeprefix(".")) for path in paths]


def _find_path_column(path: Path, wanted: str | int | None) -> str:
    """The column of file names; else the wanted one; else the first of PATH_COLUMNS, to be reported as missing."""
    if not path.is_file() or path.suffix.lower() not in FORMATS:
        return PATH_COLUMNS[0]
    header = list_column_names(path)
    names = [name for name in header if NAMING.fullmatch(name)]
    best = [name for known in PATH_COLUMNS for name in names if name == known]
    best += [name for name in names if "video" in name.lower()] or (names if len(names) == 1 else [])
    if names and not best:
        detail = f"has the columns {', '.join(names)}; call the one of the videos video_file_name"
        raise UserError(f"{path}: {detail}")
    best += [name for name in header if name == wanted]
    return best[0] if best else PATH_COLUMNS[0]


def _expand(listed: Iterable[LocatedCells], index: int) -> Iterator[LocatedCells]:
    """The rows, with one per video if a cell lists several."""
    for where, cells in listed:
        for path in cells[index] or [""] if isinstance(cells[index], list) else [cells[index]]:
            yield where, (*cells[:index], path, *cells[index + 1 :])


def _clear_null(row: dict[str, Any]) -> dict[str, Any]:
    """The row with an empty caption if it is a word that the Hub treats as missing in CSV files."""
    return {**row, "caption": "" if row["caption"] in NULLS else row["caption"]}
