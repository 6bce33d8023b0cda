"""Readers: labels on disk -> rows. One module a format; the registry is at the foot of this file."""

from pathlib import Path

from pipeline.corpus.readers import folders, metadata, something, table
from pipeline.corpus.rows import Row
from pipeline.params import DatasetParams


def read_rows(labels: Path, dataset: DatasetParams) -> list[Row]:
    """All rows, by the reader of `dataset.format`. Raises UserError where the labels are absent or not of it."""
    match dataset.format:
        case "something":
            return something.read_rows(labels)
        case "table":
            return table.read_rows(labels, dataset.columns)
        case "folders":
            return folders.read_rows(labels)
        case "metadata":
            return metadata.read_rows(labels, dataset.columns)
