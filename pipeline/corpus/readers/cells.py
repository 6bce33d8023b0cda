"""Table files (CSV, TSV, JSON lines, Parquet, Arrow, xlsx) -> cells: delimiter, columns by name, rows."""

import csv
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from pipeline.corpus.readers import spreadsheets
from pipeline.corpus.segments import find_doubtful_columns, find_segment_columns
from pipeline.corpus.text_files import open_text, refuse_encoding
from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer
from pipeline.sources.tables import ARROW, PARQUET, is_cache, is_table, read_column_names, read_columns

csv.field_size_limit(1 << 24)  # characters, process-wide; some lists of objects exceed the module's default

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "blank": " "}
SHOWN = (",", "\t", ";", "|")  # that can be detected in the header; blanks may be part of names
QUOTED = re.compile(r'"(?:[^"]|"")*"')
PART_NUMBER = re.compile(r"(?<![vV\d])\d+")
STATED = re.compile(r'"?sep=([,;\t])"?[\r\n]*', re.IGNORECASE)  # a first line written by Excel, before the header

JSON_LINES = (".jsonl", ".ndjson")
TEXT = ".txt"  # Excel's "Unicode text"; not in FORMATS, since in folders it is the extension of captions

Cells = tuple[Any, ...]
LocatedCells = tuple[str, Cells]  # position (`line 3`, `row 3`) and cells
Columns = Mapping[str, str | int]  # key of dataset.columns -> name or number of the column, from 1


def _find_delimiter(file: TextIO, path: Path, delimiter: str | None) -> str:
    """The delimiter; the file is then at the start of the header.

    Excel writes semicolons to .csv in locales with a decimal comma: they are detected if the header has no comma.
    """
    line = _read_first_line(file)
    stated = STATED.fullmatch(line)
    if not stated:
        file.seek(0)
        line = QUOTED.sub("", line)  # a delimiter within quotes is part of a name
    if delimiter:
        return DELIMITERS[delimiter]
    if stated:
        return stated[1]
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return usual if len(_split_names(line, usual)) > 1 else _find_only(line, usual)


def _read_first_line(file: TextIO) -> str:
    """The first line that is not blank; empty if there is none."""
    while (line := file.readline()) and not line.strip():
        pass
    return line


def _split_names(line: str, sign: str) -> list[str]:
    """The names of the columns in a line."""
    return [name.strip() for name in next(csv.reader([line], delimiter=sign, skipinitialspace=True), [])]


def list_column_names(path: Path, delimiter: str | None = None) -> list[str]:
    """The column names of a table; for JSON lines, those of the first row. Raises UserError as `read_cells` does."""
    if is_table(path):
        return read_column_names(path)
    if path.suffix.lower() in spreadsheets.ENDINGS:
        return next((_list_titles(cells) for _, cells in spreadsheets.read_sheet(path, tell=False)), [])
    refuse_lfs_pointer(path)
    of_json = path.suffix.lower() in JSON_LINES
    try:
        with open_text(path) as file:
            sign = "" if of_json else _find_delimiter(file, path, delimiter)
            line = next((line for line in file if line.strip()), "")
        if of_json:
            return list(_parse_line(path, 1, line)) if line else []
        return _split_names(line, sign)
    except UnicodeDecodeError as error:
        raise refuse_encoding(path, error) from None
    except csv.Error as error:
        raise UserError(f"{path}: line 1: {error}; its cells should be names of columns") from None


def read_cells(path: Path, columns: Columns, delimiter: str | None = None) -> Iterator[LocatedCells]:
    """The position of each row, and its wanted cells: text, or values of JSON and Parquet; None if missing.

    `columns` maps keys of dataset.columns to column names, and gives the order of the cells. Raises UserError if the
    file does not exist or is no table, or a column is missing or duplicate.
    """
    ending = path.suffix.lower()
    reader = _read_csv if ending == TEXT else FORMATS.get(ending)
    spreadsheets.refuse_others(path)
    if reader is None:
        raise UserError(f"{path}: a table ends in {', '.join(FORMATS)}; see dataset.labels")
    if not path.is_file():
        raise UserError(f"{path}: no such table; see dataset.labels")
    refuse_lfs_pointer(path)
    try:
        yield from reader(path, columns, delimiter)
    except UnicodeDecodeError as error:
        raise refuse_encoding(path, error) from None


def list_tables(folder: Path) -> list[Path]:
    """The tables in a folder, without hidden ones; spreadsheets only if there are no others, exported from them."""
    files = (path for path in sorted(folder.iterdir()) if not path.name.startswith((".", spreadsheets.LOCKS)))
    found = [path for path in files if path.suffix.lower() in FORMATS and not is_cache(path.name)]
    return [path for path in found if path.suffix.lower() not in spreadsheets.ENDINGS] or found


def are_parts(paths: Sequence[Path]) -> bool:
    """Whether files are numbered parts of one, `part_1.csv` and `part_2.csv`; this is printed.

    Versions, and official splits, contain the same clips: `labels_v1.csv`, `split1.csv`.
    """
    names = {PART_NUMBER.sub("", path.name) for path in paths}
    if len(paths) < 2 or len(names) > 1 or "split" in min(names).lower():
        return False
    print(f"filter: {paths[0].parent}: {len(paths)} numbered parts, from {paths[0].name} on, are read as one")
    return True


def find_columns(
    path: Path, header: Sequence[str], columns: Columns, hint: Callable[[], str] = lambda: ""
) -> list[int]:
    """The index of each wanted column. Raises UserError with similar names, and a hint, if one is missing.

    Warns of unused columns that look like parts of videos.
    """
    indices = []
    for key, name in columns.items():
        if isinstance(name, int):
            if name > len(header):
                raise UserError(f"{path}: has {len(header)} columns, but dataset.columns.{key} is {name}{hint()}")
            indices.append(name - 1)
            continue
        count = header.count(name)
        if count != 1:
            near = difflib.get_close_matches(name, header, n=1)
            found = f"{count} columns" if count else "no column"
            nearest = f"; did you mean {near[0]!r}?" if near and not count else ""
            listed = ", ".join(column[:100] for column in header) or "none"
            detail = f"has {found} {name!r} (dataset.columns.{key}){nearest}; its columns: {listed}{hint()}"
            raise UserError(f"{path}: {detail}")
        indices.append(header.index(name))
    if "segment" not in columns and not {"start", "end"} <= columns.keys():
        _warn_of_segments(path, header, {header[index] for index in indices})
    return indices


def look_up(row: Any, name: str | int) -> Any:
    """The cell with this name; a dotted name leads through nested objects, and through each object of a list.

    A number in the name is an index into a list, from 0. Of lists in lists, all objects are in one list.
    """
    if isinstance(row, dict) and name in row:
        return row[name]
    first, dot, rest = str(name).partition(".")
    if isinstance(row, list):
        if row and first.isdecimal() and not any(isinstance(item, list) for item in row):
            found = row[int(first)] if int(first) < len(row) else None
            return look_up(found, rest) if dot else found
        found = [look_up(item, name) for item in row]
        if dot and any(isinstance(item, dict) and _leads_on(item.get(first), rest) for item in row):
            return [cell for cells in found for cell in (cells if isinstance(cells, list) else [cells])]
        return found
    return look_up(row[first], rest) if dot and isinstance(row, dict) and first in row else None


def _leads_on(cell: Any, rest: str) -> bool:
    """Whether the rest of a name leads through each object of a list."""
    return isinstance(cell, list) and not rest.partition(".")[0].isdecimal()


def holds_cell(row: Mapping[str, Any], name: str | int) -> bool:
    """Whether a row has a value with this name."""
    found = look_up(row, name)
    return any(cell is not None for cell in found) if isinstance(found, list) else found is not None


def _find_inner(header: Sequence[str], columns: Columns) -> list[str]:
    """The distinct wanted names with dots that lead into columns of objects."""
    dotted = [str(name) for name in columns.values() if name not in header and "." in str(name)]
    return [name for name in dict.fromkeys(dotted) if name.partition(".")[0] in header]


def _suggest_delimiter(header: Sequence[str], sign: str) -> str:
    """A hint at another delimiter that seems to separate the columns; empty if there is none."""
    line = sign.join(header)
    for name, other in DELIMITERS.items():
        if other in SHOWN and other != sign and other in line and len(header) == 1:
            fault = f"they are separated by {other!r}, not {sign!r}: the delimiter is wrong, set dataset.delimiter: "
            return f"; {fault}{name}. A list without names of columns is read by dataset.format lists"
    return ""


def _find_only(line: str, usual: str) -> str:
    """The only other delimiter that splits a line; the usual one if there are none or several."""
    found = [sign for sign in SHOWN if sign != usual and len(_split_names(line, sign)) > 1]
    return found[0] if len(found) == 1 else usual


def _warn_of_segments(path: Path, header: Sequence[str], used: Iterable[str]) -> None:
    """Warn on stderr that whole videos are taken, if unused columns look like parts of videos."""
    likely = find_segment_columns(header)
    named = set(used)
    found = [name for name in likely or find_doubtful_columns(header) if name not in named]
    if found and (likely or len(found) > 1):  # a used start may come with an unused duration
        names = ", ".join(found)
        detail = f"the columns {names} look like parts of videos, but nothing in dataset.columns names them"
        way = "the whole video is taken for each row; set columns.start and columns.end, or columns.segment"
        print(f"warning: {path}: {detail}: {way}", file=sys.stderr)


def _read_csv(path: Path, columns: Columns, delimiter: str | None) -> Iterator[LocatedCells]:
    with open_text(path) as file:
        sign = _find_delimiter(file, path, delimiter)
        before = 1 if file.tell() else 0  # lines read, if one states the delimiter
        rows = _split_tabbed(path, list(file), before) if sign == "\t" else _parse_quoted(path, file, sign, before)
        _, names = next(((number, cells) for number, cells in rows if any(map(str.strip, cells))), (0, []))
        header = [name.strip() for name in names]
        indices = find_columns(path, header, columns, partial(_suggest_delimiter, header, sign))
        for number, cells in rows:
            if any(map(str.strip, cells[len(header) :])):  # else the line ends with delimiters
                detail = f"{len(cells)} cells under {len(header)} columns; put a cell with {sign!r} in it in quotes"
                raise UserError(f"{path}: line {number} has {detail}")
            if cells:
                yield f"line {number}", tuple(cells[index] if index < len(cells) else None for index in indices)


def _parse_quoted(path: Path, lines: Iterable[str], sign: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """The number of each row's first line, and its cells. Raises UserError for unpaired quotes.

    Strict: else an unclosed quote would silently swallow the following rows.
    """
    rows = csv.reader(lines, delimiter=sign, strict=True, skipinitialspace=True)
    first = 1 + before
    try:
        for cells in rows:
            yield first, cells
            first = rows.line_num + 1 + before
    except csv.Error as error:
        last = rows.line_num + before
        raise UserError(f"{path}: line {last}: {error}; a quote within a cell is written twice") from None


def _split_tabbed(path: Path, lines: Sequence[str], before: int) -> Iterator[tuple[int, list[str]]]:
    """As `_parse_quoted`, but quotes that do not enclose cells are part of the text.

    Many programs write tabs between cells without any quoting; then each line is a row.
    """
    cells = [line.rstrip("\r\n").split("\t") for line in lines]
    plain = [(number, [] if row == [""] else row) for number, row in enumerate(cells, 1 + before)]
    try:
        rows = list(_parse_quoted(path, lines, "\t", before))
    except UserError:
        if len({len(row) for _, row in plain if row}) > 1:
            raise
        return iter(plain)
    # Else a quote at the start of a text and one at the end of a later text would enclose whole rows.
    spans_rows = any("\t" in cell and "\n" in cell for _, row in rows for cell in row)
    return iter(plain if spans_rows else rows)


def _read_json_lines(path: Path, columns: Columns, _: str | None) -> Iterator[LocatedCells]:
    rows = {}
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                rows[f"line {number}"] = _parse_line(path, number, line)
    # Rows may omit empty cells, so the header is the union of all rows.
    header = list(dict.fromkeys(name for row in rows.values() for name in row))
    inner = _find_inner(header, columns)
    header += [name for name in inner if any(holds_cell(row, name) for row in rows.values())]
    names = [header[index] for index in find_columns(path, header, columns)]
    return ((where, tuple(look_up(row, name) for name in names)) for where, row in rows.items())


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}: line {number} is not an object with a row's cells, but {line.strip()[:80]}")
    return row


def read_table(path: Path, columns: Columns) -> Iterator[Cells]:
    """The wanted cells of each row of a Parquet or Arrow table; no rows if no columns are wanted.

    Raises UserError if a column is missing or the table broken.
    """
    header = read_column_names(path)
    inner = _find_inner(header, columns)
    names = [*header, *inner]
    wanted = [names[index] for index in find_columns(path, names, columns)]
    distinct = list(dict.fromkeys(name.partition(".")[0] if name in inner else name for name in wanted))
    found = read_columns(path, distinct, numbers=columns.get("caption")) if distinct else []
    rows = (dict(zip(distinct, cells, strict=True)) for cells in zip(*found, strict=True))
    return (tuple(look_up(row, name) for name in wanted) for row in rows)


def _read_table(path: Path, columns: Columns, _: str | None) -> Iterator[LocatedCells]:
    return ((f"row {number}", cells) for number, cells in enumerate(read_table(path, columns), 1))


def _read_sheet(path: Path, columns: Columns, _: str | None) -> Iterator[LocatedCells]:
    rows = spreadsheets.read_sheet(path)
    titles = next((_list_titles(cells) for _, cells in rows), [])
    indices = find_columns(path, titles, columns)
    for number, cells in rows:
        yield f"row {number}", tuple(cells[index] if index < len(cells) else None for index in indices)


def _list_titles(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in cells]


FORMATS: dict[str, Callable[[Path, Columns, str | None], Iterator[LocatedCells]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    **dict.fromkeys(JSON_LINES, _read_json_lines),
    **dict.fromkeys((PARQUET, ARROW), _read_table),
    **dict.fromkeys(spreadsheets.ENDINGS, _read_sheet),
}
