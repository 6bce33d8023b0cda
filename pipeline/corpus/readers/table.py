"""Tables (CSV, TSV, JSON lines or Parquet) of any columns -> rows."""

import csv
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.corpus.rows import (
    SPLIT_NAMES,
    LabelRow,
    OfficialSplit,
    as_text,
    make_id,
    number_repeats,
    parse_split,
    simplify_path,
)
from pipeline.errors import UserError
from pipeline.params import ColumnParams, DatasetParams
from pipeline.tables import column_names, read_columns

LONGEST_CELL = 1 << 24  # letters; the csv module's own limit is shorter than some lists of objects
Cells = tuple[Any, ...]

ONLY_CATEGORY = "all"  # of a table without a column of categories


@dataclass(frozen=True, slots=True)
class Table:
    """A table, where in the videos folder its paths start, and the official split of the rows that name none."""

    path: Path
    folder: str = ""
    split: OfficialSplit = "all"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, in the order of the files and their lines. Raises UserError where no table is found or one is bad."""
    if not labels.is_dir():
        return read_tables([Table(labels)], dataset.columns)
    tables = sorted(path for path in labels.iterdir() if path.suffix.lower() in FORMATS and path.name[0] != ".")
    splits = {path: split for path in tables if (split := parse_split(path.stem))}
    if not tables or len(splits) < len(tables):
        odd = next((path.name for path in tables if path not in splits), "no table")
        raise UserError(f"{labels}: holds {odd}, but a folder of tables has one per split, named {SPLIT_NAMES}")
    return read_tables([Table(path, split=split) for path, split in splits.items()], dataset.columns)


def read_tables(tables: Iterable[Table], columns: ColumnParams) -> list[LabelRow]:
    """The rows of all tables; without a column of ids the paths name the rows."""
    rows = [row for table in tables for row in _read_table(table, columns)]
    return rows if columns.id else number_repeats(rows)


def read_cells(path: Path, columns: Mapping[str, str]) -> Iterator[Cells]:
    """The wanted cells of each row: text, or what JSON and Parquet hold; None where a row has no such cell.

    `columns` maps keys of dataset.columns to the columns' names; the cells come in this order. Raises UserError where
    the file is absent or no table, and where it lacks a column or has one twice.
    """
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: a table ends in {', '.join(FORMATS)}; see dataset.labels")
    if not path.is_file():
        raise UserError(f"{path}: no such table; see dataset.labels")
    try:
        yield from reader(path, columns)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def _read_table(table: Table, columns: ColumnParams) -> Iterator[LabelRow]:
    named = {key: name for key, name in columns.model_dump().items() if name is not None}
    for number, cells in enumerate(read_cells(table.path, named)):
        row: dict[str, Any] = dict(zip(named, cells, strict=True))
        path = as_text(row.get("path"))
        # An absolute path stays one, to be refused for it.
        video = simplify_path(f"{table.folder}/{path}" if table.folder and path[:1] not in ("", "/") else path)
        yield LabelRow(
            id=as_text(row["id"]) if columns.id else make_id(video),
            label=as_text(row["caption"]),
            template=as_text(row["category"]) if columns.category else ONLY_CATEGORY,
            placeholders=(),
            objects=_parse_objects(row.get("objects")),
            official_split=_parse_split(row.get("split"), table, number),
            place=(table.path.name, number),
            video=video,
        )


def _parse_objects(cell: Any) -> tuple[str, ...]:
    """Names parted by commas, or a list of them as JSON and Parquet hold it."""
    names = cell if isinstance(cell, list) else as_text(cell).split(",")
    return tuple(text for name in names if (text := as_text(name)))


def _parse_split(cell: Any, table: Table, number: int) -> OfficialSplit:
    name = as_text(cell)
    if not name.strip():
        return table.split
    split = parse_split(name)
    if split is None:
        told = f"row {number} has the split {name!r} (dataset.columns.split); known are {SPLIT_NAMES}"
        raise UserError(f"{table.path}: {told}")
    return split


def _read_csv(path: Path, columns: Mapping[str, str]) -> Iterator[Cells]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        # Strict: an unclosed quote would swallow the rows after it without a word.
        tab = path.suffix.lower() == ".tsv"
        lines = csv.reader(file, delimiter="\t" if tab else ",", strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(lines, [])]
            places = _find_columns(path, header, columns)
            for cells in lines:
                if len(cells) > len(header):
                    told = f"{len(cells)} cells under {len(header)} columns; put a cell with a comma in it in quotes"
                    raise UserError(f"{path}: line {lines.line_num} has {told}")
                if cells:
                    yield tuple(cells[place] if place < len(cells) else None for place in places)
        except csv.Error as error:
            raise UserError(f"{path}: line {lines.line_num}: {error}; a quote within a cell is written twice") from None


def _read_json_lines(path: Path, columns: Mapping[str, str]) -> Iterator[Cells]:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                rows.append(_parse_line(path, number, line))
    # A row may leave out what is empty in it, so only all of them know the columns.
    _find_columns(path, list(dict.fromkeys(name for row in rows for name in row)), columns)
    names = list(columns.values())
    return (tuple(row.get(name) for name in names) for row in rows)


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}: line {number} is no object with a row's cells, but {line.strip()[:80]}")
    return row


def _read_parquet(path: Path, columns: Mapping[str, str]) -> Iterator[Cells]:
    _find_columns(path, column_names(path), columns)
    return zip(*read_columns(path, list(columns.values())), strict=True)


def _find_columns(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> list[int]:
    """The place of each wanted column. Raises UserError with the nearest names for one that is absent."""
    for key, name in columns.items():
        count = header.count(name)
        if count != 1:
            near = difflib.get_close_matches(name, header, n=1)
            found = f"{count} columns" if count else "no column"
            nearest = f"; did you mean {near[0]!r}?" if near and not count else ""
            listed = ", ".join(header) or "none"
            raise UserError(f"{path}: has {found} {name!r} (dataset.columns.{key}){nearest}; its columns: {listed}")
    return [header.index(name) for name in columns.values()]


FORMATS: dict[str, Callable[[Path, Mapping[str, str]], Iterator[Cells]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
