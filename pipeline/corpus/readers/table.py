"""Tables (CSV, TSV, JSON lines, Parquet, Arrow or .xlsx) with any columns -> rows.

Labels of the format `metadata` are tables next to the videos, as on the Hugging Face Hub: a `metadata.csv`, `.jsonl` or
`.parquet`, a folder with one, or a folder with folders at any depth that have one each. They name videos in `file_name`
or `*_file_name`, or several of them in `*_file_names`, relative to their folder. If all videos are in folders named as
splits, these are used, unless `dataset.columns.split` names a column.
"""

import os
import re
import string
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.corpus import (
    ONLY_CATEGORY,
    SPLIT_NAMES,
    LabelRow,
    OfficialSplit,
    as_text,
    find_split,
    make_id,
    make_relative,
    make_segment_id,
    match_splits,
    number_repeats,
    parse_split,
    simplify_path,
)
from pipeline.corpus.groups import keep_together
from pipeline.corpus.readers.cells import (
    FORMATS,
    Columns,
    LocatedCells,
    are_parts,
    list_column_names,
    list_tables,
    read_cells,
)
from pipeline.corpus.readers.classes import find_name, number_names, read_named_classes, spell_out
from pipeline.corpus.segments import list_parts, parse_list
from pipeline.corpus.video_names import ANYWHERE, is_hidden, shorten_page, starts_elsewhere
from pipeline.directions import DIRECTIONS, STILL, parse_direction
from pipeline.errors import UserError
from pipeline.params import ColumnParams, DatasetParams

Change = Callable[[dict[str, Any]], dict[str, Any]]  # converts the cells of a row, by keys
NO_CLASSES: Mapping[str, str] = MappingProxyType({})

NUMBER = re.compile(r"-?\d+")
FILE = "__file__"  # field of a path that is the name of the table, without its extension

METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
PATH_COLUMNS = ("file_name", "video_file_name", "video_file_names")
FILE_NAMES = re.compile(r"(?:.+_)?file_names?")
NULL_WORDS = {
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table, the folder in the videos folder that its paths are relative to, and the default official split."""

    path: Path
    folder: str = ""
    split: OfficialSplit = "all"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, in the order of files and lines; without a column of ids, ids are made from paths.

    Raises UserError if there is no table, or one is invalid.
    """
    classes = read_named_classes(labels, dataset)
    named = list_columns(dataset.columns)
    rows: list[LabelRow] = []
    for table in _find_tables(labels, dataset):
        numbered = classes or number_names(table.path, dataset.columns.caption)
        rows += make_table_rows(table, dataset, named, read_cells(table.path, named, dataset.delimiter), numbered)
    refuse_numbers(rows)
    return rows if dataset.columns.id else number_repeats(rows)


def _find_tables(labels: Path, dataset: DatasetParams) -> list[Table]:
    """The table itself, the only one in a folder, or those named after their splits. Raises UserError."""
    if not labels.is_dir():
        return [Table(labels)]
    tables = _skip_unlabelled([path for path in list_tables(labels) if path.name != dataset.classes], dataset)
    if tables and FILE in list_fields(dataset.columns.path):
        return [Table(path) for path in tables]
    splits = {path: split for path in tables if (split := find_split(path.stem))}
    if tables and not splits and (len(tables) == 1 or are_parts(tables)):
        return [Table(path) for path in tables]
    if not tables or len(splits) < len(tables):
        odd = next((path.name for path in tables if path not in splits), "no table")
        raise UserError(f"{labels}: holds {odd}, but a folder of tables has one per split, named {SPLIT_NAMES}")
    return [Table(path, split=split) for path, split in splits.items()]


def _skip_unlabelled(tables: list[Path], dataset: DatasetParams) -> list[Path]:
    """The tables with the column of captions, or all if none has it; the others are printed.

    Test sets may lack it, and tables of something else, which may also be broken.
    """
    caption = dataset.columns.caption
    if len(tables) == 1 or isinstance(caption, int):
        return tables
    skipped: dict[Path, str] = {}
    for path in tables:
        try:
            if caption not in list_column_names(path, dataset.delimiter):
                skipped[path] = f"{path} has no column {caption!r} and is skipped"
        except UserError as error:
            skipped[path] = f"skipped: {error}"
    if len(skipped) == len(tables):
        return tables
    for why in skipped.values():
        print(f"filter: {why}", file=sys.stderr)
    return [path for path in tables if path not in skipped]


def refuse_numbers(rows: Sequence[LabelRow]) -> None:
    """Raise UserError if all captions are integers: they are class numbers, which are meaningless to a model."""
    labels = [row.label for row in rows if row.label]
    if labels and all(NUMBER.fullmatch(label) for label in labels):
        detail = "name the column of captions in dataset.columns.caption, or the file of class names in dataset.classes"
        raise UserError(f"{rows[0].location[0]}: all captions are numbers, such as {labels[0]!r}; {detail}")


def list_columns(columns: ColumnParams) -> dict[str, str | int]:
    """The wanted columns by key; each column that a path is made of has the key `path {column}`."""
    named = {key: name for key, name in columns.model_dump().items() if name is not None}
    if fields := list_fields(columns.path):
        del named["path"]
        named |= {f"path {{{field}}}": field for field in fields if field != FILE}
    return named


def make_table_rows(
    table: Table,
    dataset: DatasetParams,
    named: Columns,
    listed: Iterable[LocatedCells],
    classes: Mapping[str, str] = NO_CLASSES,
    change: Change | None = None,
) -> Iterator[LabelRow]:
    """The rows of a table's cells; a cell with several captions or parts gives a row for each.

    With `classes`, captions are class numbers, and class names are the categories unless another column is set.
    `change` is called with the cells by key, including the complete path and the name of the file, before they are
    parsed.
    """
    fields = list_fields(dataset.columns.path)
    for number, (where, cells) in enumerate(listed):
        row: dict[str, Any] = {f"path {{{FILE}}}": table.path.stem, **dict(zip(named, cells, strict=True))}
        if number == 0 and change is None:
            _refuse_objects(row.get("caption"), table, dataset, where)
        whole = _fill_path(row, str(dataset.columns.path), fields, table, where) if fields else row.get("path")
        # Samples may name their videos in lists, usually of one.
        row["path"] = as_text(whole[0] if isinstance(whole, list) and len(whole) == 1 else whole)
        if change:
            row = change(row | {"file": table.path.stem})
        yield from _label_parts(row, table, where, dataset, classes)


def _refuse_objects(cell: Any, table: Table, dataset: DatasetParams, where: str) -> None:
    """Raise UserError if captions are objects: it is ambiguous which of their texts is the caption."""
    first = cell[0] if isinstance(cell, list) and cell else cell
    if isinstance(first, dict) and first:
        name = dataset.columns.caption
        ways = " or ".join(f"{name}.{key}" for key, value in first.items() if isinstance(value, str))
        detail = f"{where} has objects with {', '.join(map(str, first))} under {name!r} for captions"
        raise UserError(f"{table.path}: {detail}; set dataset.columns.caption to {ways or f'{name}.KEY'}")


def _label_parts(
    row: Mapping[str, Any], table: Table, where: str, dataset: DatasetParams, classes: Mapping[str, str]
) -> Iterator[LabelRow]:
    """A LabelRow for each part in a row of the table. Raises UserError for an unknown class, split or direction."""
    columns, video = dataset.columns, _place_video(row["path"], table, dataset)
    objects = _parse_objects(row.get("objects"))
    split = read_split(as_text(row.get("split")), table.split, table.path, where)
    for part_number, part in enumerate(list_parts(row, dataset), 1):
        if columns.id:
            name = as_text(row["id"])
            name = f"{name}~{part_number}" if name and part_number > 1 else name
        else:
            name = make_segment_id(make_id(video.removeprefix(ANYWHERE)), part.segment)
        caption, category = as_text(part.caption), as_text(part.category) if columns.category else ONLY_CATEGORY
        if classes and caption.strip() and not row.get("fault"):
            known = _find_class(caption, classes, table, where)
            category = known if columns.category in (None, columns.caption) else category
            caption = spell_out(known)
        yield LabelRow(
            id=name,
            label=caption,
            template=category,
            placeholders=(),
            objects=objects,
            official_split=split,
            location=(table.path.name, where),
            video=video,
            segment=part.segment,
            segment_fault=row.get("fault") or part.fault,
            group=as_text(row.get("group")).strip(),
            moves=_parse_direction(row.get("direction"), table, where),
        )


def _place_video(text: str, table: Table, dataset: DatasetParams) -> str:
    path = shorten_page(make_relative(dataset.videos, text))
    placed = table.folder and path and not path.startswith(ANYWHERE) and not starts_elsewhere(path)
    return simplify_path(f"{table.folder}/{path}" if placed else path)


def _find_class(label: str, classes: Mapping[str, str], table: Table, where: str) -> str:
    name = find_name(label, classes)
    if name is None:
        detail = f"{where} has the class {label.strip()!r}, which dataset.classes does not name"
        raise UserError(f"{table.path}: {detail}")
    return name


def list_fields(path: str | int | None) -> list[str]:
    """The columns that a path is made of; empty if it is a column. Raises UserError for an invalid pattern."""
    if not isinstance(path, str) or "{" not in path:
        return []
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(path) if name is not None]
    except ValueError as error:
        raise UserError(f"dataset.columns.path {path!r}: {error}; write columns as {{name}} or {{name:06d}}") from None
    if not all(fields):
        raise UserError(f"dataset.columns.path {path!r}: a pair of braces holds the name of a column")
    return fields


@cache
def _parse_pattern(pattern: str) -> list[tuple[str, str | None, str | None, str | None]]:
    return list(string.Formatter().parse(pattern))


def _fill_path(row: Mapping[str, Any], pattern: str, fields: Sequence[str], table: Table, where: str) -> str:
    """The path made by the pattern from a row; empty if any cell is. Raises UserError for a value that does not fit."""
    cells = {field: as_text(row[f"path {{{field}}}"]) for field in fields}
    if not all(cells.values()):
        return ""
    written = []
    for text, field, spec, _ in _parse_pattern(pattern):
        cell: Any = cells[field] if field else ""
        try:
            if spec and spec[-1] in "df":
                cell = int(cell) if spec[-1] == "d" and "." not in cell else float(cell)
                cell = int(cell) if spec[-1] == "d" and cell == int(cell) else cell
            written.append(text + format(cell, spec or ""))
        except (ValueError, OverflowError) as error:
            detail = f"{where} has {cells[str(field)]!r} under {field!r}, which dataset.columns.path writes as {spec!r}"
            raise UserError(f"{table.path}: {detail}: {error}") from None
    return "".join(written)


def _parse_objects(cell: Any) -> tuple[str, ...]:
    """Names separated by commas, or a list of names from JSON or Parquet."""
    if cell is None:
        return ()
    listed = parse_list(cell)
    names = listed if isinstance(listed, list) else as_text(cell).split(",")
    return tuple(text for name in names if (text := as_text(name)))


def read_split(name: str, other: OfficialSplit, path: Path, where: str) -> OfficialSplit:
    """The split named by a row, or `other` if it names none. Raises UserError for an unknown name."""
    split = parse_split(name) if name.strip() else other
    if split is None:
        detail = f"{where} has the split {name!r} (dataset.columns.split); known are {SPLIT_NAMES}"
        raise UserError(f"{path}: {detail}")
    return split


def _parse_direction(cell: Any, table: Table, where: str) -> str:
    name = parse_direction(as_text(cell))
    if name is None:
        known = f"{', '.join(DIRECTIONS)} and {STILL}"
        detail = f"{where} has the direction {as_text(cell)!r} (dataset.columns.direction); known are {known}"
        raise UserError(f"{table.path}: {detail}")
    return name


def read_metadata(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, folder by folder. Raises UserError if no table is found, or more than one in a folder."""
    classes = read_named_classes(labels, dataset)
    tables = _list_metadata(labels) if labels.is_dir() else [Table(labels)]
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


def find_metadata(folder: Path) -> list[Path]:
    """The tables in a folder, at any depth, without hidden folders; sorted by folder."""
    found = []
    for here, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not is_hidden(name))
        found += [Path(here, name) for name in METADATA_NAMES if name in files]
    return found


def _list_metadata(labels: Path) -> list[Table]:
    paths = find_metadata(labels)
    if not paths:
        names = ", ".join(METADATA_NAMES)
        raise UserError(
            f"{labels}: neither it nor a folder in it holds {names}, with the columns file_name and caption"
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
    names = [name for name in header if FILE_NAMES.fullmatch(name)]
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
    return {**row, "caption": "" if row["caption"] in NULL_WORDS else row["caption"]}
