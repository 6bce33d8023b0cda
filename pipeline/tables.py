"""Records <-> Parquet files. Only this module, `shards` and `sources.tables` use Arrow."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError, describe_fault
from pipeline.files import atomic_write, write_json
from pipeline.records import Drop

Record = TypeVar("Record")
Item = TypeVar("Item")

GROUP_ROWS = 32768  # rows of a row group, which a reader loads as a whole
BATCH_ROWS = 1024


def write_table(path: Path, record: type[Record], rows: Iterable[Record]) -> None:
    """Stream dataclass instances to a Parquet file; equal rows give equal bytes."""
    schema = _build_schema(record)
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for part in split_batches(rows, GROUP_ROWS):
            columns = {name: [getattr(row, name) for row in part] for name in schema.names}
            file.write_table(pa.table(columns, schema=schema))


def read_table(path: Path, record: type[Record]) -> list[Record]:
    """Read the rows written by `write_table`. Raises UserError if the file is missing or another table."""
    return list(iterate_table(path, record))


def iterate_table(path: Path, record: type[Record]) -> Iterator[Record]:
    """The same rows one by one, without loading the whole table."""
    schema = _build_schema(record)
    listed = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_list(kind)]
    with _open_own(path, record) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
            for row in pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_pylist():
                row.update({name: tuple(row[name]) for name in listed})
                yield record(**row)


def count_rows(path: Path, record: type[Any]) -> int:
    """The number of rows, without reading them."""
    with _open_own(path, record) as file:
        return int(file.metadata.num_rows)


def split_batches(items: Iterable[Item], length: int) -> Iterator[tuple[Item, ...]]:
    """The items in tuples of `length`; the last one may be shorter."""
    rest = iter(items)
    while part := tuple(islice(rest, length)):
        yield part


class CountMismatch(AssertionError):
    """Read is not kept + dropped: a bug in the stage, never a fault of its input."""


def write_report(path: Path, *, read: int, kept: int, drops: Iterable[Drop], **counts: object) -> None:
    """Write the numbers read, kept and dropped as JSON, without times. Raises CountMismatch if the sums differ."""
    dropped = Counter(drop.reason for drop in drops)
    if read != kept + dropped.total():
        raise CountMismatch(f"{path}: read {read}, but kept {kept} and dropped {dropped.total()}")
    write_json(path, {"read": read, "kept": kept, "dropped": dict(sorted(dropped.items())), **counts})


@contextmanager
def _open_own(path: Path, record: type[Any]) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; `dvc repro` creates it") from None
    except (pa.ArrowException, KeyError, ValueError) as error:
        fault = describe_fault(error)
        raise UserError(f"{path}: not a table of {record.__name__} rows ({fault}); `dvc repro` recreates it") from None


def _build_schema(record: type[Any]) -> pa.Schema:
    hints = get_type_hints(record)
    return pa.schema([pa.field(f.name, _choose_arrow_type(hints[f.name]), nullable=False) for f in fields(record)])


def _choose_arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is tuple:
        return pa.list_(_choose_arrow_type(get_args(hint)[0]))
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(hint, pa.string())  # Literal types are strings
