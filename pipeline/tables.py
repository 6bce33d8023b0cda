"""Records <-> Parquet files. Arrow is used here and in `shards` only."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError, describe_fault
from pipeline.files import refuse_pointer, replacing, write_json
from pipeline.records import Drop

Record = TypeVar("Record")
Item = TypeVar("Item")

GROUP_ROWS = 32768  # that a reader has in memory at once
BATCH_ROWS = 1024
BUFFER_BYTES = 1 << 20  # of a column that is read cell by cell


def write_table(path: Path, record: type[Record], rows: Iterable[Record]) -> None:
    """Write dataclass instances as one Parquet file, few at a time; equal rows give equal bytes."""
    schema = _build_schema(record)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for part in split_batches(rows, GROUP_ROWS):
            columns = {name: [getattr(row, name) for row in part] for name in schema.names}
            file.write_table(pa.table(columns, schema=schema))


def read_table(path: Path, record: type[Record]) -> list[Record]:
    """Read the rows of `write_table` back. Raises UserError if the file is absent or another table."""
    return list(iterate_table(path, record))


def iterate_table(path: Path, record: type[Record]) -> Iterator[Record]:
    """The same rows one by one, without holding the table in memory."""
    schema = _build_schema(record)
    listed = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_list(kind)]
    with _open_own(path, record) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
            for row in pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_pylist():
                row.update({name: tuple(row[name]) for name in listed})
                yield record(**row)


def count_rows(path: Path, record: type[Any]) -> int:
    """How many rows there are, without reading them."""
    with _open_own(path, record) as file:
        return int(file.metadata.num_rows)


def split_batches(items: Iterable[Item], length: int) -> Iterator[tuple[Item, ...]]:
    """The items in tuples of `length`, the last one as short as it has to be."""
    rest = iter(items)
    while part := tuple(islice(rest, length)):
        yield part


def read_column_names(path: Path) -> list[str]:
    """The names of a Parquet file's columns, whoever wrote it. Raises UserError if it is none."""
    with _open_foreign(path) as file:
        return list(file.schema_arrow.names)


def read_columns(path: Path, names: Sequence[str]) -> list[list[Any]]:
    """The cells of the named columns as Python values. Raises UserError if the file is broken."""
    with _open_foreign(path) as file:
        table = file.read(columns=list(dict.fromkeys(names)))
        return [table.column(name).to_pylist() for name in names]


def find_bytes_columns(path: Path) -> list[str]:
    """The columns of bytes, or of structs with a field `bytes`, in a file of any writer. Raises UserError."""
    with _open_foreign(path) as file:
        return [field.name for field in file.schema_arrow if _holds_bytes(field.type)]


def count_group_rows(path: Path) -> list[int]:
    """How many rows each row group has. Raises UserError if the file is broken."""
    with _open_foreign(path) as file:
        return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


def list_paths_instead(path: Path, column: str) -> dict[int, str]:
    """Row, from 0 -> what stands under `path` where there are no bytes, in a column of structs. Raises UserError.

    The bytes are read only of row groups that have some cells without them.
    """
    with _open_foreign(path, BUFFER_BYTES) as file:
        leaves = {file.schema.column(place).path: place for place in range(len(file.schema))}
        if not {f"{column}.path", f"{column}.bytes"} <= leaves.keys():
            return {}
        found: dict[int, str] = {}
        start = 0
        for group in range(file.num_row_groups):
            empty = list(_find_empty_cells(file, group, column, leaves[f"{column}.bytes"]))
            if any(empty):
                cells = file.read_row_group(group, columns=[f"{column}.path"]).column(0).to_pylist()
                paths = ((cell or {}).get("path") for cell in cells)
                rows = enumerate(zip(paths, empty, strict=True), start)
                found |= {row: text for row, (text, is_empty) in rows if is_empty and isinstance(text, str) and text}
            start += len(empty)
        return found


def _find_empty_cells(file: pq.ParquetFile, group: int, column: str, leaf: int) -> Iterator[bool]:
    """Whether each cell of a row group lacks its bytes, by the counts in the file where these tell it."""
    told = file.metadata.row_group(group)
    statistics = told.column(leaf).statistics
    count = statistics.null_count if statistics is not None and statistics.has_null_count else None
    if count in (0, told.num_rows):
        yield from [count != 0] * told.num_rows
        return
    for batch in file.iter_batches(1, row_groups=[group], columns=[f"{column}.bytes"], use_threads=False):
        yield from (not (cell or {}).get("bytes") for cell in batch.column(0).to_pylist())


def iterate_cells(path: Path, column: str, group: int) -> Iterator[bytes | None]:
    """The bytes of a column, row by row of one row group, few at a time. Raises UserError as it goes."""
    with _open_foreign(path, BUFFER_BYTES) as file:
        field = file.schema_arrow.field(column) if column in file.schema_arrow.names else None
        if field is None or not _holds_bytes(field.type):
            raise UserError(f"{path}: has no column {column!r} of bytes")
        leaf = f"{column}.bytes" if pa.types.is_struct(field.type) else column
        for batch in file.iter_batches(1, row_groups=[group], columns=[leaf], use_threads=False):
            cells = batch.column(0).to_pylist()
            yield from ((cell or {}).get("bytes") for cell in cells) if leaf != column else cells


class LostItems(AssertionError):
    """Read does not equal kept + dropped: a fault of the stage, never of its input."""


def write_report(path: Path, *, read: int, kept: int, drops: Iterable[Drop], **counts: object) -> None:
    """Write what was read, kept and dropped as JSON, without a clock. Raises LostItems if the sums differ."""
    dropped = Counter(drop.reason for drop in drops)
    if read != kept + dropped.total():
        raise LostItems(f"{path}: read {read}, but kept {kept} and dropped {dropped.total()}")
    write_json(path, {"read": read, "kept": kept, "dropped": dict(sorted(dropped.items())), **counts})


@contextmanager
def _open_own(path: Path, record: type[Any]) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; `dvc repro` makes it") from None
    except (pa.ArrowException, KeyError, ValueError) as error:
        fault = describe_fault(error)
        raise UserError(f"{path}: not a table of {record.__name__} rows ({fault}); `dvc repro` makes it anew") from None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


@contextmanager
def _open_foreign(path: Path, buffer_bytes: int = 0) -> Iterator[pq.ParquetFile]:
    """A file of any writer; with a buffer its columns are not read whole."""
    refuse_pointer(path)
    try:
        with pq.ParquetFile(path, buffer_size=buffer_bytes) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a name or text that is no UTF-8
        raise UserError(f"{path}: not a whole Parquet file: {describe_fault(error)}") from None


def _build_schema(record: type[Any]) -> pa.Schema:
    hints = get_type_hints(record)
    return pa.schema([pa.field(f.name, _choose_arrow_type(hints[f.name]), nullable=False) for f in fields(record)])


def _choose_arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is tuple:
        return pa.list_(_choose_arrow_type(get_args(hint)[0]))
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(hint, pa.string())  # Literal types are strings
