"""Parquet tables with videos as bytes in their cells, as on the Hugging Face Hub -> rows.

A column holds bytes, or structs with `bytes` and `path`. The labels are such a table, or a folder with tables at any
depth, in the folder of videos. A table may be named after its split, as `train-00000-of-00002.parquet` is.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.corpus.readers.classes import read_named_classes
from pipeline.corpus.readers.containers import find_container_split, find_containers, place_container
from pipeline.corpus.readers.table import Cells, Columns, Table, find_columns, list_columns, make_rows
from pipeline.corpus.rows import LabelRow, number_repeats
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.tables import column_names, count_group_rows, find_bytes_columns, read_columns

ENDING = ".parquet"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, table by table. Raises UserError where a table has no column of bytes, or several."""
    tables = find_containers(labels, (ENDING,))
    if not tables:
        raise UserError(f"{labels}: neither it nor a folder in it holds {ENDING}; see dataset.labels")
    classes = read_named_classes(labels, dataset)
    rows: list[LabelRow] = []
    for path in tables:
        column = _choose_column(path, dataset)
        named = {key: name for key, name in list_columns(dataset.columns).items() if key.split()[0] != "path"}
        changed = dataset.columns.model_copy(update={"path": "path"})
        cells = _read_cells(path, column, named, dataset.videos)
        table = Table(path, split=find_container_split(path))
        own = dataset.model_copy(update={"columns": changed})
        rows += make_rows(table, own, {**named, "path": "path"}, cells, classes)
    return rows if dataset.columns.id else number_repeats(rows)


def _choose_column(path: Path, dataset: DatasetParams) -> str:
    """The column of the videos: the one that `dataset.columns.path` names, or the only one of bytes."""
    found = find_bytes_columns(path)
    if dataset.columns.path in found:
        return str(dataset.columns.path)
    if len(found) != 1:
        listed = ", ".join(found) or f"none; its columns: {', '.join(column_names(path))}"
        raise UserError(f"{path}: columns of bytes are {listed}; name the one of the videos in dataset.columns.path")
    return found[0]


def _read_cells(path: Path, column: str, named: Columns, videos: str) -> Iterator[Cells]:
    """The wanted cells of each row, and then the place of its video."""
    place = place_container(path, videos)
    names = column_names(path)
    wanted = [names[at] for at in find_columns(path, names, named)]
    cells = read_columns(path, wanted) if wanted else []
    count = sum(count_group_rows(path))
    width = len(str(count))
    for number in range(count):
        yield (*(listed[number] for listed in cells), f"{place}/{column}/{number:0{width}}".lstrip("/"))
