"""Readers: labels on disk -> rows. One module a format; the registry is at the foot of this file."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.corpus.readers import detect, folders, json_files, lists, metadata, sidecar, something, split_lists, table
from pipeline.corpus.rows import LabelRow
from pipeline.extensions import Signature, resolve
from pipeline.params import DatasetParams

# A reader is called with `dataset.labels` and the section `dataset`, of which it uses what its format needs. It returns
# a `LabelRow` for each clip, also for an unusable one: later stages list it as dropped, with the reason. It raises
# UserError where the labels are absent or not of its format.
Reader = Callable[[Path, DatasetParams], Iterable[LabelRow]]

SIGNATURE = Signature("a function (labels: Path, dataset: DatasetParams) -> LabelRows", ("labels", "dataset"))


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, by the reader that `dataset.format` names. Raises UserError where it cannot read the labels."""
    return list(resolve(dataset.format, READERS, "dataset.format", SIGNATURE)(labels, dataset))


def read_detected(labels: Path, dataset: DatasetParams) -> Iterable[LabelRow]:
    """All rows by the reader of the format that the labels look like, which is printed with the reason."""
    name, why = detect.detect_format(labels, dataset)
    print(f"filter: dataset.format auto reads {labels} as {name}: {why}")
    return READERS[name](labels, dataset)


READERS: dict[str, Reader] = {
    "something": something.read_rows,
    "table": table.read_rows,
    "folders": folders.read_rows,
    "metadata": metadata.read_rows,
    "sidecar": sidecar.read_rows,
    "lists": lists.read_rows,
    "json": json_files.read_rows,
    "ucf101": split_lists.read_ucf101,
    "hmdb51": split_lists.read_hmdb51,
    "auto": read_detected,
}
