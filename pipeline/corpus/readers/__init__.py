"""Readers: labels on disk -> rows. One module per format; READERS, at the end, lists the formats."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from pipeline.corpus import LabelRow
from pipeline.corpus.contained import list_videos
from pipeline.corpus.groups import compile_group_pattern
from pipeline.corpus.readers import (
    boris,
    containers,
    cvat,
    elan,
    folders,
    json_files,
    label_studio,
    lerobot,
    lists,
    relations,
    sidecar,
    something,
    subtitles,
    table,
    via,
)
from pipeline.corpus.readers.auto import detect_format
from pipeline.corpus.readers.classes import group_by_origin, label_rows
from pipeline.corpus.readers.guess import guess_columns
from pipeline.corpus.readers.known_sets import SETS
from pipeline.corpus.readers.set_reader import read_set
from pipeline.corpus.video_names import VideoIndex, place_foreign_paths, search_below
from pipeline.errors import UserError
from pipeline.extensions import Signature, resolve
from pipeline.params import DatasetParams

# A reader is called with `dataset.labels` and the section `dataset`. It returns a `LabelRow` for each clip, also for
# unusable ones: they are dropped later, with a reason. It raises UserError if the labels do not exist or have another
# format.
Reader = Callable[[Path, DatasetParams], Iterable[LabelRow]]

BY_PATH = ("lists", "ucf101", "hmdb51", "table", "json")  # formats whose labels have paths from some folder of videos

SIGNATURE = Signature("a function (labels: Path, dataset: DatasetParams) -> LabelRows", ("labels", "dataset"))


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, by the reader that `dataset.format` names. Raises UserError if it cannot read the labels."""
    detected = dataset.format == "auto"
    dataset = _settle_format(labels, dataset) if detected else dataset
    rows = resolve(dataset.format, READERS, "dataset.format", SIGNATURE)(labels, dataset)
    found = list(rows) if isinstance(rows, Iterable) else [rows]
    json_files.forget_content()
    for number, row in enumerate(found):
        if not isinstance(row, LabelRow):
            raise UserError(
                f"dataset.format: {dataset.format!r} returned {type(row).__name__} at index {number}; "
                "it must return one pipeline.corpus.LabelRow for each row"
            )
    if dataset.format != "folders":  # whose reader applies the pattern itself, with class names
        found = label_rows(found, dataset.path_pattern, {}, "dataset.path_pattern")
    found = place_foreign_paths(found, Path(dataset.videos))
    if detected and dataset.format in BY_PATH:
        found = search_below(found, Path(dataset.videos), VideoIndex(list_videos(dataset.videos)))
    if compile_group_pattern(dataset.path_pattern) is None:
        return group_by_origin(found)
    if (
        dataset.format in READERS and dataset.columns.group is None
    ):  # the pattern overrides the groups of known datasets
        found = [row._replace(group="") for row in found]
    return found


def _settle_format(labels: Path, dataset: DatasetParams) -> DatasetParams:
    """The section with the detected format and columns; they are printed with the reason."""
    name, why = detect_format(labels, dataset)
    used = ""
    if name in ("table", "json", "metadata", "webdataset", "parquet", "sidecar", "lists", "folders"):
        dataset, used = guess_columns(labels, name, dataset)
    print(f"filter: dataset.format auto reads {labels} as {name}: {why}{used and f'; columns: {used}'}")
    return dataset.model_copy(update={"format": name})


READERS: dict[str, Reader] = {  # for `auto`, one of them is chosen
    "something": something.read_rows,
    "table": table.read_rows,
    "folders": folders.read_rows,
    "metadata": table.read_metadata,
    "sidecar": sidecar.read_rows,
    "subtitles": subtitles.read_rows,
    "lists": lists.read_rows,
    "json": json_files.read_rows,
    "ucf101": lists.read_ucf101,
    "hmdb51": lists.read_hmdb51,
    "label_studio": label_studio.read_rows,
    "cvat": cvat.read_rows,
    "via": via.read_rows,
    "elan": elan.read_rows,
    "boris": boris.read_rows,
    "lerobot": lerobot.read_rows,
    "vidor": relations.read_rows,
    "webdataset": containers.read_webdataset,
    "parquet": containers.read_parquet,
    **{name: partial(read_set, name) for name in SETS},
}
