"""Parquet and Arrow tables of any writer: columns, and videos stored as bytes in cells, read row by row.

Arrow files (Feather, or `save_to_disk` of the library `datasets`) have the IPC stream format or the IPC file format.
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from pipeline.errors import UserError, describe_fault
from pipeline.files import refuse_lfs_pointer
from pipeline.sources.common import SourceFault

PARQUET, ARROW = ".parquet", ".arrow"
TABLE_ENDINGS = (PARQUET, ARROW)

CACHE = "cache-"  # prefix of intermediate results of `datasets`, next to a dataset
INDEXED = b"ARROW1"  # the first bytes of the IPC file format
END = b"\xff" * 4 + bytes(4)  # the last bytes of the IPC stream format
BUFFER_BYTES = 1 << 20  # for columns read cell by cell


def is_table(path: Path) -> bool:
    """Whether a file has the extension of a table."""
    return path.name.lower().endswith(TABLE_ENDINGS)


def is_cache(name: str) -> bool:
    """Whether a file is named as an intermediate result of `datasets`."""
    return name.startswith(CACHE) and name.lower().endswith(ARROW)


class _Table(Protocol):
    """An open table; its rows are in one or more groups that can be read separately."""

    schema: pa.Schema

    def count_group_rows(self) -> list[int]:
        """The number of rows of each group."""
        ...

    def read(self, names: Sequence[str]) -> pa.Table:
        """Read whole columns."""
        ...

    def read_group(self, group: int, leaf: str) -> list[Any]:
        """The cells of a column, or of a field `column.field` of a column of structs."""
        ...

    def iterate_rows(self, group: int, leaf: str) -> Iterator[pa.Array]:
        """The same row by row, with few rows in memory."""
        ...

    def find_empty(self, group: int, column: str) -> Sequence[bool]:
        """For each cell of a column of structs, whether its `bytes` are missing."""
        ...


class _ParquetTable:
    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        self.schema: pa.Schema = file.schema_arrow

    def count_group_rows(self) -> list[int]:
        return [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]

    def read(self, names: Sequence[str]) -> pa.Table:
        return self._file.read(columns=list(names))

    def read_group(self, group: int, leaf: str) -> list[Any]:
        return list(_pick(self._file.read_row_group(group, columns=[leaf]).column(0), leaf).to_pylist())

    def iterate_rows(self, group: int, leaf: str) -> Iterator[pa.Array]:
        for batch in self._file.iter_batches(1, row_groups=[group], columns=[leaf], use_threads=False):
            yield _pick(batch.column(0), leaf)

    def find_empty(self, group: int, column: str) -> Sequence[bool]:
        """Uses the null counts of the file if they suffice, so that the bytes of few groups are read."""
        leaf = f"{column}.bytes"
        row_group = self._file.metadata.row_group(group)
        columns = (row_group.column(index) for index in range(row_group.num_columns))
        statistics = next((found.statistics for found in columns if found.path_in_schema == leaf), None)
        count = statistics.null_count if statistics is not None and statistics.has_null_count else None
        if count in (0, row_group.num_rows):
            return [count != 0] * int(row_group.num_rows)
        return [not cell[0].as_py() for cell in self.iterate_rows(group, leaf)]


class _ArrowTable:
    """Memory-mapped as one group: only requested columns are read, unless they are compressed.

    Arrow trusts the offsets in a file, so every batch is validated before it is used. A stream truncated between two
    batches would read like a shorter one, so its end marker is checked.
    """

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        self._file = file
        self._indexed = file.read(len(INDEXED)) == INDEXED
        file.seek(max(file.size() - len(END), 0))
        if not self._indexed and file.read(len(END)) != END:
            raise pa.ArrowInvalid("it does not end where a stream ends")
        self.schema: pa.Schema = self._open().schema

    def count_group_rows(self) -> list[int]:
        return [sum(batch.num_rows for batch in self._iterate(self.schema.names[:1]))]

    def read(self, names: Sequence[str]) -> pa.Table:
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.Table.from_batches([batch.select(list(names)) for batch in self._iterate(names)], schema)

    def read_group(self, _: int, leaf: str) -> list[Any]:
        return [cell for column in self._iterate_columns(leaf) for cell in column.to_pylist()]

    def iterate_rows(self, _: int, leaf: str) -> Iterator[pa.Array]:
        return (column.slice(row, 1) for column in self._iterate_columns(leaf) for row in range(len(column)))

    def find_empty(self, _: int, column: str) -> Sequence[bool]:
        held = (cells.cast(pa.large_binary()) for cells in self._iterate_columns(f"{column}.bytes"))
        return [not length for cells in held for length in pc.binary_length(cells).to_pylist()]

    def _iterate_columns(self, leaf: str) -> Iterator[pa.Array]:
        column = leaf if leaf in self.schema.names else leaf.rpartition(".")[0]
        return (_pick(batch.column(0), leaf) for batch in self._iterate([column]))

    def _iterate(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        reader = self._open([self.schema.names.index(name) for name in names])
        batches = map(reader.get_batch, range(reader.num_record_batches)) if self._indexed else iter(reader)
        for batch in batches:
            batch.validate(full=True)
            yield batch

    def _open(self, indices: Sequence[int] | None = None) -> Any:
        self._file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=indices, use_threads=False)
        return (pa.ipc.open_file if self._indexed else pa.ipc.open_stream)(self._file, options=options)


def _pick(cells: Any, leaf: str) -> Any:
    """The field of an array of structs that `leaf` names; other arrays unchanged."""
    return pc.struct_field(cells, leaf.rpartition(".")[2]) if pa.types.is_struct(cells.type) else cells


def read_column_names(path: Path) -> list[str]:
    """The column names of a table. Raises UserError if the file is broken."""
    with _open(path) as table:
        return list(table.schema.names)


def read_columns(path: Path, names: Sequence[str], numbers: str | int | None = None) -> list[list[Any]]:
    """The cells of the named columns as Python values; class numbers become names, except in the column `numbers`.

    Raises UserError if the file is broken.
    """
    with _open(path) as table:
        named = _list_class_names(table.schema)
        found = table.read(list(dict.fromkeys(names)))
        cells = {name: found.column(name).to_pylist() for name in found.column_names}
    for column in cells.keys() & named.keys() - {numbers}:
        cells[column] = [named[column].get(str(number), number) for number in cells[column]]
    return [cells[name] for name in names]


def read_class_names(path: Path) -> dict[str, dict[str, str]]:
    """Column -> class number -> name, for tables in which the library `datasets` stored class names.

    -1 means no label, and has an empty name. Raises UserError if the file is broken.
    """
    with _open(path) as table:
        return _list_class_names(table.schema)


def _list_class_names(schema: pa.Schema) -> dict[str, dict[str, str]]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        listed = {column: feature.get("names") for column, feature in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {
        column: {str(number): name for number, name in enumerate(names)} | {"-1": ""}
        for column, names in listed.items()
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    }


def find_bytes_columns(path: Path) -> list[str]:
    """The columns of bytes, or of structs with a field `bytes`. Raises UserError."""
    with _open(path) as table:
        return [field.name for field in table.schema if _holds_bytes(field.type)]


def count_group_rows(path: Path) -> list[int]:
    """The number of rows of each group. Raises UserError if the file is broken."""
    with _open(path) as table:
        return table.count_group_rows()


def list_paths_instead(path: Path, column: str) -> dict[int, str]:
    """Row, from 0 -> the field `path` of the structs in a column whose `bytes` are missing. Raises UserError.

    Bytes are read only if the null counts do not tell which are missing.
    """
    with _open(path, BUFFER_BYTES) as table:
        kind = table.schema.field(column).type
        if not (pa.types.is_struct(kind) and kind.get_field_index("path") >= 0):
            return {}
        found: dict[int, str] = {}
        start = 0
        for group in range(len(table.count_group_rows())):
            empty = table.find_empty(group, column)
            if any(empty):
                paths = table.read_group(group, f"{column}.path")
                rows = enumerate(zip(paths, empty, strict=True), start)
                found |= {row: text for row, (text, is_empty) in rows if is_empty and isinstance(text, str) and text}
            start += len(empty)
        return found


def _iterate_cells(path: Path, column: str, group: int) -> Iterator[pa.Array]:
    """The cells of a column of bytes, each as an array of length 1, with few in memory. Raises UserError."""
    with _open(path, BUFFER_BYTES) as table:
        kind = table.schema.field(column).type if column in table.schema.names else None
        if kind is None or not _holds_bytes(kind):
            raise UserError(f"{path}: has no column {column!r} of bytes")
        yield from table.iterate_rows(group, f"{column}.bytes" if pa.types.is_struct(kind) else column)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


@contextmanager
def _open(path: Path, buffer_bytes: int = 0) -> Iterator[_Table]:
    """Open a table; with `buffer_bytes`, columns are read in pieces. Raises UserError if the file is broken."""
    refuse_lfs_pointer(path)
    of_arrow = path.name.lower().endswith(ARROW)
    try:
        if of_arrow:
            with pa.memory_map(str(path)) as mapped:
                yield _ArrowTable(mapped)
        else:
            with pq.ParquetFile(path, buffer_size=buffer_bytes) as file:
                yield _ParquetTable(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last for names or text that are not UTF-8
        kind = "Arrow" if of_arrow else "Parquet"
        raise UserError(f"{path}: not a whole {kind} file: {describe_fault(error)}") from None


class CellReader:
    """Reads one column of a table forwards; going back re-reads a group from its start."""

    def __init__(self, path: Path, column: str) -> None:
        self._path, self._column = path, column
        self._groups = count_group_rows(path)
        self._next = -1  # next row of `_cells`
        self._end = 0  # end of the current group, exclusive
        self._cells: Iterator[pa.Array] = iter(())

    def read(self, row: int) -> bytes | None:
        """The bytes in a row, counted from 0; None if the cell is empty. Raises SourceFault beyond the last row."""
        if not self._next <= row < self._end:
            self._begin_group(row)
        while True:
            cell = next(self._cells)
            self._next += 1
            if self._next > row:
                content: bytes | None = cell[0].as_py()
                return content

    def _begin_group(self, row: int) -> None:
        start = 0
        for group, count in enumerate(self._groups):
            if start <= row < start + count:
                self._cells = _iterate_cells(self._path, self._column, group)
                self._next, self._end = start, start + count
                return
            start += count
        raise SourceFault(f"{self._path.name} has no row {row}, but {start} rows")


def read_cell(path: Path, inside: str) -> bytes:
    """The bytes at `<column>/<row>` of a table. Raises SourceFault if they are missing, OSError if the file is."""
    column, _, row = inside.rpartition("/")
    if not column or not row.isdecimal():
        raise SourceFault(f"{path.name}/{inside} is not a row of a column; write {path.name}/<column>/<row>")
    found = path.stat()
    try:
        reader = _open_reader(threading.get_ident(), str(path), column, found.st_size, found.st_mtime_ns)
        cell = reader.read(int(row))
    except UserError as error:
        raise SourceFault(str(error)) from None
    if not cell:
        raise SourceFault(f"{path.name}/{inside} is empty")
    return cell


@lru_cache(8)
def _open_reader(_: int, path: str, column: str, *__: int) -> CellReader:
    """A reader, cached per thread and state of the file."""
    return CellReader(Path(path), column)
