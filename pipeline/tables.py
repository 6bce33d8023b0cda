"""Records <-> Parquet files. Arrow is used here and in `shards` only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import replacing

Record = TypeVar("Record")


def write_table(path: Path, record: type[Record], rows: Sequence[Record]) -> None:
    """Write dataclass instances as one Parquet file; equal rows give equal bytes."""
    schema = _schema(record)
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def read_table(path: Path, record: type[Record]) -> list[Record]:
    """Read the rows of `write_table` back. Raises UserError if the file is absent or another table."""
    schema = _schema(record)
    try:
        table = pq.read_table(path, columns=schema.names).cast(schema)
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; `dvc repro` makes it") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of {record.__name__} rows ({error}); `dvc repro` makes it anew") from None
    listed = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_list(kind)]
    rows = table.to_pylist()
    for row in rows:
        row.update({name: tuple(row[name]) for name in listed})
    return [record(**row) for row in rows]


def column_names(path: Path) -> list[str]:
    """The names of a Parquet file's columns, whoever wrote it. Raises UserError if it is none."""
    with _foreign(path) as file:
        return list(file.schema_arrow.names)


def read_columns(path: Path, names: Sequence[str]) -> list[list[Any]]:
    """The cells of the named columns as Python values. Raises UserError if the file is broken."""
    with _foreign(path) as file:
        table = file.read(columns=list(dict.fromkeys(names)))
        return [table.column(name).to_pylist() for name in names]


@contextmanager
def _foreign(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file: {error}") from None


def _schema(record: type[Any]) -> pa.Schema:
    hints = get_type_hints(record)
    return pa.schema([pa.field(f.name, _arrow_type(hints[f.name]), nullable=False) for f in fields(record)])


def _arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(hint, pa.string())  # Literal types are strings
