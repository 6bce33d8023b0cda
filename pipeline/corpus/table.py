"""Tables of any columns -> rows.

The labels are one table, or a folder with one per split: `train.csv`, `val.csv` and the like. Which column is which
stands in `dataset.columns`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.corpus.cells import FORMATS, read_cells
from pipeline.corpus.ids import id_of_path, number_repeats, plain_path
from pipeline.corpus.parts import KNOWN, part_of
from pipeline.corpus.rows import Part, Row, text_of
from pipeline.errors import UserError
from pipeline.params import ColumnParams

ONLY_CATEGORY = "all"  # of a table without a column of categories


@dataclass(frozen=True, slots=True)
class Table:
    """A table, where in the videos folder its paths start, and the part of the rows that name none."""

    path: Path
    folder: str = ""
    part: Part = "all"


def read_rows(labels: Path, columns: ColumnParams) -> list[Row]:
    """All rows, in the order of the files and their lines. Raises UserError where no table is found or one is bad."""
    if not labels.is_dir():
        return read_tables([Table(labels)], columns)
    tables = sorted(path for path in labels.iterdir() if path.suffix.lower() in FORMATS and path.name[0] != ".")
    parts = {path: part for path in tables if (part := part_of(path.stem))}
    if not tables or len(parts) < len(tables):
        odd = next((path.name for path in tables if path not in parts), "no table")
        raise UserError(f"{labels}: holds {odd}, but a folder of tables has one per split, named {KNOWN}")
    return read_tables([Table(path, part=part) for path, part in parts.items()], columns)


def read_tables(tables: Iterable[Table], columns: ColumnParams) -> list[Row]:
    """The rows of all tables; without a column of ids the paths name the rows."""
    rows = [row for table in tables for row in _read_table(table, columns)]
    return rows if columns.id else number_repeats(rows)


def _read_table(table: Table, columns: ColumnParams) -> Iterator[Row]:
    named = {key: name for key, name in columns.model_dump().items() if name is not None}
    for number, cells in enumerate(read_cells(table.path, named)):
        row: dict[str, Any] = dict(zip(named, cells, strict=True))
        path = text_of(row.get("path"))
        # An absolute path stays one, to be refused for it.
        video = plain_path(f"{table.folder}/{path}" if table.folder and path[:1] not in ("", "/") else path)
        yield Row(
            id=text_of(row["id"]) if columns.id else id_of_path(video),
            label=text_of(row["caption"]),
            template=text_of(row["category"]) if columns.category else ONLY_CATEGORY,
            placeholders=(),
            objects=_objects(row.get("objects")),
            part=_part(row.get("split"), table, number),
            place=(table.path.name, number),
            video=video,
        )


def _objects(cell: Any) -> tuple[str, ...]:
    """Names parted by commas, or a list of them as JSON and Parquet hold it."""
    names = cell if isinstance(cell, list) else text_of(cell).split(",")
    return tuple(text for name in names if (text := text_of(name)))


def _part(cell: Any, table: Table, number: int) -> Part:
    name = text_of(cell)
    if not name.strip():
        return table.part
    part = part_of(name)
    if part is None:
        told = f"row {number} has the split {name!r} (dataset.columns.split); known are {KNOWN}"
        raise UserError(f"{table.path}: {told}")
    return part
