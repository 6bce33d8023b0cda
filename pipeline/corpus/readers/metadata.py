"""Folders with a `metadata.csv`, `.jsonl` or `.parquet` beside the videos, as on the Hugging Face Hub -> rows.

A table there names its videos in `file_name`, starting from its own folder. The labels are one such table, a folder
with one, or a folder whose sub-folders have one each. Where all videos lie in folders named as splits, those are the
splits, unless `dataset.columns.split` names a column.
"""

from pathlib import Path, PurePosixPath

from pipeline.corpus.readers.table import Table, read_tables
from pipeline.corpus.rows import LabelRow, match_split_folders
from pipeline.errors import UserError
from pipeline.params import DatasetParams

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
PATH_COLUMN = "file_name"


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, folder by folder. Raises UserError where no table is found, or more than one in a folder."""
    tables = _find_tables(labels) if labels.is_dir() else [Table(labels)]
    rows = read_tables(tables, dataset.columns.model_copy(update={"path": PATH_COLUMN}))
    if dataset.columns.split:
        return rows
    splits = match_split_folders({_top(row) for row in rows})
    return [row._replace(official_split=splits[_top(row)]) for row in rows] if splits else rows


def _find_tables(labels: Path) -> list[Table]:
    below = sorted(path for path in labels.iterdir() if path.is_dir() and path.name[0] != ".")
    tables = [Table(path, folder="") for path in _listed(labels)]
    tables += [Table(path, folder=folder.name) for folder in below for path in _listed(folder)]
    if not tables:
        raise UserError(f"{labels}: neither it nor a folder in it holds {', '.join(NAMES)}; see dataset.labels")
    folders = [table.folder for table in tables]
    if len(set(folders)) < len(folders) or (len(folders) > 1 and "" in folders):
        names = " and ".join(str(table.path) for table in tables[:2])
        raise UserError(f"{names} may list the same videos; keep one in each folder, or one above all")
    return tables


def _listed(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if (folder / name).is_file()]


def _top(row: LabelRow) -> str:
    """The first folder on the way to the video; empty where it lies in none."""
    folders = PurePosixPath(row.video).parts[:-1]
    return folders[0] if folders else ""
