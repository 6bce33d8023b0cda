"""Tables (CSV, TSV, JSON lines or Parquet) of any columns -> rows."""

import csv
import difflib
import json
import re
import string
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.corpus.readers.classes import find_name, read_named_classes
from pipeline.corpus.readers.delimiters import find_delimiter, split_names, tell_delimiter
from pipeline.corpus.readers.folders import spell_out
from pipeline.corpus.rows import (
    SPLIT_NAMES,
    LabelRow,
    OfficialSplit,
    as_text,
    find_split,
    make_id,
    make_segment_id,
    number_repeats,
    parse_split,
    path_within,
    simplify_path,
)
from pipeline.corpus.segments import find_doubtful_columns, find_segment_columns, list_parts, parse_list
from pipeline.corpus.video_names import ANYWHERE
from pipeline.directions.table import NO_WAY, WAYS, parse_way
from pipeline.errors import UserError
from pipeline.files import refuse_pointer
from pipeline.params import ColumnParams, DatasetParams
from pipeline.tables import column_names, read_columns

LONGEST_CELL = 1 << 24  # letters; the csv module's own limit is shorter than some lists of objects
Cells = tuple[Any, ...]
Columns = Mapping[str, str | int]  # key of dataset.columns -> name or place of the column

Change = Callable[[dict[str, Any]], dict[str, Any]]  # a row's cells by their keys -> the same, put right
NO_CLASSES: Mapping[str, str] = MappingProxyType({})

NUMBER = re.compile(r"-?\d+")
ONLY_CATEGORY = "all"  # of a table without a column of categories


@dataclass(frozen=True, slots=True)
class Table:
    """A table, where in the videos folder its paths start, and the official split of the rows that name none."""

    path: Path
    folder: str = ""
    split: OfficialSplit = "all"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, in the order of the files and their lines. Raises UserError where no table is found or one is bad."""
    classes = read_named_classes(labels, dataset)
    if not labels.is_dir():
        return read_tables([Table(labels)], dataset)
    named = (path for path in sorted(labels.iterdir()) if path.name[0] != "." and path.name != dataset.classes)
    tables = [path for path in named if path.suffix.lower() in FORMATS]
    splits = {path: split for path in tables if (split := find_split(path.stem))}
    if len(tables) == 1 and not splits:
        return read_tables([Table(tables[0])], dataset, classes)
    if not tables or len(splits) < len(tables):
        odd = next((path.name for path in tables if path not in splits), "no table")
        raise UserError(f"{labels}: holds {odd}, but a folder of tables has one per split, named {SPLIT_NAMES}")
    return read_tables([Table(path, split=split) for path, split in splits.items()], dataset, classes)


def read_tables(
    tables: Iterable[Table], dataset: DatasetParams, classes: Mapping[str, str] = NO_CLASSES
) -> list[LabelRow]:
    """The rows of all tables; without a column of ids the paths name the rows."""
    rows = [row for table in tables for row in read_table(table, dataset, classes)]
    refuse_numbers(rows)
    return rows if dataset.columns.id else number_repeats(rows)


def refuse_numbers(rows: Sequence[LabelRow]) -> None:
    """Raise UserError where all captions are whole numbers, which are those of classes and tell a model nothing."""
    labels = [row.label for row in rows if row.label]
    if labels and all(NUMBER.fullmatch(label) for label in labels):
        detail = "name the column of captions in dataset.columns.caption, or the file of class names in dataset.classes"
        raise UserError(f"{rows[0].place[0]}: all captions are numbers, such as {labels[0]!r}; {detail}")


def read_table(table: Table, dataset: DatasetParams, classes: Mapping[str, str] = NO_CLASSES) -> Iterator[LabelRow]:
    """The rows of one table; those of one path have one id."""
    named = list_columns(dataset.columns)
    return make_rows(table, dataset, named, read_cells(table.path, named, dataset.delimiter), classes)


def read_header(path: Path, delimiter: str | None = None) -> list[str]:
    """The names of a table's columns, of JSON lines those of the first row. Raises UserError as `read_cells` does."""
    if path.suffix.lower() == ".parquet":
        return column_names(path)
    refuse_pointer(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sign = find_delimiter(file, path, delimiter)
            line = next((line for line in file if line.strip()), "")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    if path.suffix.lower() == ".jsonl":
        return list(_parse_line(path, 1, line)) if line else []
    return split_names(line, sign)


def list_columns(columns: ColumnParams) -> dict[str, str | int]:
    """The wanted columns by their keys; of a path that is made of columns, each with a key of its own."""
    named = {key: name for key, name in columns.model_dump().items() if name is not None}
    if fields := list_fields(columns.path):
        del named["path"]
        named |= {f"path {{{field}}}": field for field in fields}
    return named


def make_rows(
    table: Table,
    dataset: DatasetParams,
    named: Columns,
    listed: Iterable[Cells],
    classes: Mapping[str, str] = NO_CLASSES,
    change: Change | None = None,
) -> Iterator[LabelRow]:
    """The rows of a table's cells; a cell with several captions or parts gives a row for each of them.

    With classes, the captions are their numbers, and their names the categories where no other column is. `change` is
    called with the cells by their keys, and with the whole path, before they are read.
    """
    fields = list_fields(dataset.columns.path)
    for number, cells in enumerate(listed):
        row: dict[str, Any] = dict(zip(named, cells, strict=True))
        whole = _fill_path(row, str(dataset.columns.path), fields, table, number) if fields else row.get("path")
        row["path"] = as_text(whole)
        yield from _label_parts(change(row) if change else row, table, number, dataset, classes)


def _label_parts(
    row: Mapping[str, Any], table: Table, number: int, dataset: DatasetParams, classes: Mapping[str, str]
) -> Iterator[LabelRow]:
    """A row for each part of a video that a row of the table labels."""
    columns, video = dataset.columns, _place_video(row["path"], table, dataset)
    objects = _parse_objects(row.get("objects"))
    split = read_split(as_text(row.get("split")), table.split, table.path, number)
    for place, part in enumerate(list_parts(row, dataset), 1):
        if columns.id:
            name = as_text(row["id"])
            name = f"{name}~{place}" if name and place > 1 else name
        else:
            name = make_segment_id(make_id(video.removeprefix(ANYWHERE)), part.segment)
        caption, category = as_text(part.caption), as_text(part.category) if columns.category else ONLY_CATEGORY
        if classes and caption.strip() and not row.get("fault"):
            known = _find_class(caption, classes, table, number)
            category = known if columns.category in (None, columns.caption) else category
            caption = spell_out(known)
        yield LabelRow(
            id=name,
            label=caption,
            template=category,
            placeholders=(),
            objects=objects,
            official_split=split,
            place=(table.path.name, number),
            video=video,
            segment=part.segment,
            segment_fault=row.get("fault") or part.fault,
            group=as_text(row.get("group")).strip(),
            moves=_parse_way(row.get("direction"), table, number),
        )


def _place_video(text: str, table: Table, dataset: DatasetParams) -> str:
    path = path_within(dataset.videos, text)
    # An absolute path that leads elsewhere stays one, to be refused for it.
    placed = table.folder and path[:1] not in ("", "/") and not path.startswith(ANYWHERE)
    return simplify_path(f"{table.folder}/{path}" if placed else path)


def _find_class(label: str, classes: Mapping[str, str], table: Table, number: int) -> str:
    name = find_name(label, classes)
    if name is None:
        detail = f"row {number} has the class {label.strip()!r}, which dataset.classes does not name"
        raise UserError(f"{table.path}: {detail}")
    return name


def read_cells(path: Path, columns: Columns, delimiter: str | None = None) -> Iterator[Cells]:
    """The wanted cells of each row: text, or what JSON and Parquet hold; None where a row has no such cell.

    `columns` maps keys of dataset.columns to the columns' names; the cells come in this order. Raises UserError where
    the file is absent or no table, and where it lacks a column or has one twice.
    """
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: a table ends in {', '.join(FORMATS)}; see dataset.labels")
    if not path.is_file():
        raise UserError(f"{path}: no such table; see dataset.labels")
    refuse_pointer(path)
    try:
        yield from reader(path, columns, delimiter)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def list_fields(path: str | int | None) -> list[str]:
    """The columns that a path is made of; empty where it is a column itself. Raises UserError for a bad pattern."""
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


def _fill_path(row: Mapping[str, Any], pattern: str, fields: Sequence[str], table: Table, number: int) -> str:
    """The path that the pattern makes of a row; empty where a cell is."""
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
            detail = (
                f"row {number} has {cells[str(field)]!r} under {field!r}, which dataset.columns.path writes as {spec!r}"
            )
            raise UserError(f"{table.path}: {detail}: {error}") from None
    return "".join(written)


def _parse_objects(cell: Any) -> tuple[str, ...]:
    """Names parted by commas, or a list of them as JSON and Parquet hold it."""
    if cell is None:
        return ()
    listed = parse_list(cell)
    names = listed if isinstance(listed, list) else as_text(cell).split(",")
    return tuple(text for name in names if (text := as_text(name)))


def read_split(name: str, other: OfficialSplit, path: Path, number: int) -> OfficialSplit:
    """The split that a row names, the other one where it names none. Raises UserError for a name of none."""
    split = parse_split(name) if name.strip() else other
    if split is None:
        detail = f"row {number} has the split {name!r} (dataset.columns.split); known are {SPLIT_NAMES}"
        raise UserError(f"{path}: {detail}")
    return split


def _parse_way(cell: Any, table: Table, number: int) -> str:
    name = parse_way(as_text(cell))
    if name is None:
        known = f"{', '.join(WAYS)} and {NO_WAY}"
        detail = f"row {number} has the direction {as_text(cell)!r} (dataset.columns.direction); known are {known}"
        raise UserError(f"{table.path}: {detail}")
    return name


def _read_csv(path: Path, columns: Columns, delimiter: str | None) -> Iterator[Cells]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        # Strict: an unclosed quote would swallow the rows after it without a word.
        sign = find_delimiter(file, path, delimiter)
        lines = csv.reader(file, delimiter=sign, strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(lines, [])]
            places = find_columns(path, header, columns, partial(tell_delimiter, header, sign))
            for cells in lines:
                if len(cells) > len(header):
                    detail = f"{len(cells)} cells under {len(header)} columns; put a cell with a comma in it in quotes"
                    raise UserError(f"{path}: line {lines.line_num} has {detail}")
                if cells:
                    yield tuple(cells[place] if place < len(cells) else None for place in places)
        except csv.Error as error:
            raise UserError(f"{path}: line {lines.line_num}: {error}; a quote within a cell is written twice") from None


def _read_json_lines(path: Path, columns: Columns, _: str | None) -> Iterator[Cells]:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                rows.append(_parse_line(path, number, line))
    # A row may leave out what is empty in it, so only all of them know the columns.
    header = list(dict.fromkeys(name for row in rows for name in row))
    names = [header[place] for place in find_columns(path, header, columns)]
    return (tuple(row.get(name) for name in names) for row in rows)


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}: line {number} is no object with a row's cells, but {line.strip()[:80]}")
    return row


def _read_parquet(path: Path, columns: Columns, _: str | None) -> Iterator[Cells]:
    names = column_names(path)
    wanted = [names[place] for place in find_columns(path, names, columns)]
    distinct = list(dict.fromkeys(wanted))
    read = dict(zip(distinct, read_columns(path, distinct), strict=True))
    return zip(*(read[name] for name in wanted), strict=True)


def find_columns(
    path: Path, header: Sequence[str], columns: Columns, hint: Callable[[], str] = lambda: ""
) -> list[int]:
    """The place of each wanted column. Raises UserError with the nearest names, and a hint, for one that is absent.

    Warns of columns that look like parts of videos and that nothing names.
    """
    places = []
    for key, name in columns.items():
        if isinstance(name, int):
            if name > len(header):
                raise UserError(f"{path}: has {len(header)} columns, but dataset.columns.{key} is {name}{hint()}")
            places.append(name - 1)
            continue
        count = header.count(name)
        if count != 1:
            near = difflib.get_close_matches(name, header, n=1)
            found = f"{count} columns" if count else "no column"
            nearest = f"; did you mean {near[0]!r}?" if near and not count else ""
            listed = ", ".join(header) or "none"
            detail = f"has {found} {name!r} (dataset.columns.{key}){nearest}; its columns: {listed}{hint()}"
            raise UserError(f"{path}: {detail}")
        places.append(header.index(name))
    warn_of_segments(path, header, {header[place] for place in places})
    return places


def warn_of_segments(path: Path, header: Sequence[str], used: Iterable[str]) -> None:
    """Say on stderr that whole videos are taken, where columns look like parts of videos and nothing names them."""
    likely = find_segment_columns(header)
    named = set(used)
    found = [name for name in likely or find_doubtful_columns(header) if name not in named]
    if found and (likely or len(found) > 1):  # a start that is named may come with a length
        names = ", ".join(found)
        detail = f"the columns {names} look like parts of videos, but nothing in dataset.columns names them"
        way = "the whole video is taken for each row; set columns.start and columns.end, or columns.segment"
        print(f"warning: {path}: {detail}: {way}", file=sys.stderr)


FORMATS: dict[str, Callable[[Path, Columns, str | None], Iterator[Cells]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
