"""Videos stored as bytes in the cells of Parquet tables, read row by row."""

import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.limits import SourceFault
from pipeline.tables import count_group_rows, iterate_cells

ENDING = ".parquet"


def is_table(path: Path) -> bool:
    """Whether a file is called like a table."""
    return path.name.lower().endswith(ENDING)


class CellReader:
    """One column of a table, read forwards: going back means reading a row group again from its start."""

    def __init__(self, path: Path, column: str) -> None:
        self._path, self._column = path, column
        self._groups = count_group_rows(path)
        self._next = -1  # row that `_cells` gives next
        self._end = 0  # row after the group
        self._cells: Iterator[bytes | None] = iter(())

    def read(self, row: int) -> bytes | None:
        """The bytes in a row, counted from 0; None where its cell is empty. Raises SourceFault beyond the last row."""
        if not self._next <= row < self._end:
            self._begin_group(row)
        while True:
            cell = next(self._cells)
            self._next += 1
            if self._next > row:
                return cell

    def _begin_group(self, row: int) -> None:
        start = 0
        for group, count in enumerate(self._groups):
            if start <= row < start + count:
                self._cells = iterate_cells(self._path, self._column, group)
                self._next, self._end = start, start + count
                return
            start += count
        raise SourceFault(f"{self._path.name} has no row {row}, but {start} rows")


def read_cell(path: Path, inside: str) -> bytes:
    """The bytes in `<column>/<row>` of a table. Raises SourceFault where there are none, OSError without a file."""
    column, _, row = inside.rpartition("/")
    if not column or not row.isdecimal():
        raise SourceFault(f"{path.name}/{inside} is no row of a column; write {path.name}/<column>/<row>")
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
    """A reader for a thread, as the file is now."""
    return CellReader(Path(path), column)
