"""Readers: labels on disk -> rows. One module per format; the registry is at the end, after format detection."""

import csv
import re
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.corpus.groups import group_by_origin
from pipeline.corpus.readers import (
    boris,
    cvat,
    elan,
    folders,
    json_files,
    label_studio,
    lerobot,
    lists,
    metadata,
    parquet,
    sidecar,
    something,
    table,
    via,
    webdataset,
)
from pipeline.corpus.readers.containers import find_first_container, list_near_files
from pipeline.corpus.readers.folders import walk
from pipeline.corpus.readers.guess import guess_columns
from pipeline.corpus.readers.known_sets import SETS
from pipeline.corpus.readers.set_reader import read_set, recognize_set
from pipeline.corpus.rows import LabelRow
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.extensions import Signature, resolve
from pipeline.files import read_text_lines, refuse_pointer
from pipeline.params import DatasetParams
from pipeline.sources.archives import ENDINGS as ARCHIVES
from pipeline.sources.archives import is_archive
from pipeline.tables import find_bytes_columns

# A reader is called with `dataset.labels` and the section `dataset`, of which it uses what its format needs. It returns
# a `LabelRow` for each clip, also for an unusable one: later stages list it as dropped, with the reason. It raises
# UserError where the labels are absent or not of its format.
Reader = Callable[[Path, DatasetParams], Iterable[LabelRow]]

SIGNATURE = Signature("a function (labels: Path, dataset: DatasetParams) -> LabelRows", ("labels", "dataset"))


TOOLS_OF_BYTES = {"elan": elan, "cvat": cvat}
TOOLS_OF_CONTENT = {"label_studio": label_studio, "via": via, "boris": boris}  # of JSON, or of a table's first lines
EXPORTS = {ending for tool in (*TOOLS_OF_BYTES.values(), *TOOLS_OF_CONTENT.values()) for ending in tool.ENDINGS}
LOOKED_AT = 100  # lines of a table
LONGEST = 1 << 16  # bytes of them
MOST_FOLDERS = 16  # that are looked into for a tool's export

MOST_SEEN = 10_000  # files looked at to find the layout of a folder of videos
Found = tuple[str, str] | None  # the format, and why it is that one


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, by the reader that `dataset.format` names. Raises UserError where it cannot read the labels."""
    rows = resolve(dataset.format, READERS, "dataset.format", SIGNATURE)(labels, dataset)
    found = list(rows) if isinstance(rows, Iterable) else [rows]
    json_files.forget_content()
    for number, row in enumerate(found):
        if not isinstance(row, LabelRow):
            raise UserError(
                f"dataset.format: {dataset.format!r} returned {type(row).__name__} at place {number}; "
                "it must return one pipeline.corpus.rows.LabelRow for each row"
            )
    return found if dataset.group_pattern else group_by_origin(found)


def read_detected(labels: Path, dataset: DatasetParams) -> Iterable[LabelRow]:
    """All rows by the reader of the format that the labels look like, which is printed with the reason."""
    name, why = detect_format(labels, dataset)
    used = ""
    if name in ("table", "json", "metadata", "webdataset", "parquet"):
        dataset, used = guess_columns(labels, name, dataset)
    print(f"filter: dataset.format auto reads {labels} as {name}: {why}{used and f'; columns: {used}'}")
    return READERS[name](labels, dataset)


def detect_format(labels: Path, dataset: DatasetParams) -> tuple[str, str]:
    """The format of the labels, and what tells it. Raises UserError where nothing does."""
    if not labels.exists():
        raise UserError(f"{labels}: no such labels; see dataset.labels")
    if labels.is_file():
        refuse_pointer(labels)
    found = _look_into(labels) if labels.is_dir() else _look_at(labels, dataset)
    if not found:
        raise UserError(
            f"{labels}: dataset.format auto knows no format that looks like this; name it in dataset.format"
        )
    return found


def _look_into(folder: Path) -> Found:
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    if lists.UCF_CLASSES in names:
        return "ucf101", f"there is a {lists.UCF_CLASSES}"
    if hmdb := next((name for name in names if re.search(r"_test_split[123]\.txt\Z", name)), None):
        return "hmdb51", f"there is a {hmdb}"
    if meta := lerobot.find_meta(folder):
        return (
            "lerobot",
            f"{meta.relative_to(folder) / lerobot.INFO} tells the version and the features of a LeRobot set",
        )
    official = next((name for pair in something.NAMES.values() for name in pair if name in names), None)
    if official and _look_at_json(folder / official)[0] == "something":
        return "something", f"rows of {official} have an id, a label and a template"
    if known := _recognize_tool_in(folder) or recognize_set(folder):
        return known
    if held := _look_at_containers(folder):
        return held
    if tables := metadata.find_tables(folder):
        return "metadata", f"there is a {tables[0].relative_to(folder)}"
    if any(name.endswith(".json") for name in names) and not any(has_video_ending(name) for name in names):
        return "json", "there are JSON files"
    if json_files.CAPTIONS in names:
        return "json", f"there is a {json_files.CAPTIONS}"
    return _look_at_lists(folder) or _look_at_videos(folder)


def _recognize_tool_in(folder: Path) -> Found:
    """The labelling tool of the first export in a folder, or in one of those in it; None where there is none."""
    first: dict[str, Path] = {}  # with each ending: a folder may hold a million files
    for path in list_near_files(folder, tuple(EXPORTS), MOST_FOLDERS):
        if path.name[0] != "~":
            first.setdefault(path.suffix.lower(), path)
    return next((known for path in first.values() if (known := _recognize_tool(path))), None)


def _recognize_tool(path: Path) -> Found:
    """The labelling tool that wrote a file; None where none is known to have."""
    ending = path.suffix.lower()
    if ending not in EXPORTS or not path.is_file():
        return None
    for name, tool in TOOLS_OF_BYTES.items():
        if ending in tool.ENDINGS and (why := tool.recognize(path, _read_start(path))):
            return name, why
    content = _read_content(path, ending)
    for name, of_content in TOOLS_OF_CONTENT.items():
        if ending in of_content.ENDINGS and (why := of_content.recognize(path, content)):
            return name, why
    return None


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST)


def _read_content(path: Path, ending: str) -> Any:
    """What is in a file of JSON, or the first lines of a table; None for JSON that cannot be read."""
    if ending in (".json", ".boris"):
        try:
            return json_files.read_content(path)
        except UserError:
            return None
    lines = _read_start(path).decode("utf-8-sig", "replace").splitlines()[:LOOKED_AT]
    header = next(csv.reader(lines[:1], delimiter="\t" if ending == ".tsv" else ","), [])
    return list(chain(header, lines))


def _look_at_containers(labels: Path) -> Found:
    """The format of files that hold videos and their labels; None where the first one does not."""
    shard = find_first_container(labels, ARCHIVES)
    if shard and webdataset.is_shard(shard):
        return "webdataset", f"{shard.name} holds videos with texts, JSON or classes of the same names"
    path = find_first_container(labels, (parquet.ENDING,))
    if path and (columns := find_bytes_columns(path)):
        return "parquet", f"{path.name} has bytes in the column {columns[0]}"
    return None


def _look_at_lists(folder: Path) -> Found:
    found = lists.find_lists(folder)
    for path in found:
        if _has_header(path):
            return "table", f"the first line of {path.name} names columns"
        return "lists", f"{path.name} has no names of columns"
    if any(path.suffix.lower() in table.FORMATS for path in folder.iterdir()):
        return "table", "there are tables"
    return None


def _look_at_videos(folder: Path) -> Found:
    if listed := sidecar.find_lists(folder):
        return "sidecar", f"{listed[0].name} and {listed[1].name} go line by line"
    files = list(islice(walk(folder), MOST_SEEN))
    texts = {path.with_suffix("") for path, _ in files if path.suffix.lower() == ".txt"}
    videos = [file.path for file in files if file.is_video]
    if beside := next((file for file in videos if file.with_suffix("") in texts), None):
        return "sidecar", f"{beside} has a .txt beside it"
    stems = {path.stem for path in texts}
    if apart := next((file for file in videos if file.stem in stems), None):
        detail = f"texts lie in another folder than the videos that they name, such as {apart}"
        raise UserError(f"{folder}: {detail}; make dataset.labels the folder of texts, dataset.videos that of videos")
    if videos and all(len(file.parts) > 1 for file in videos):
        return "folders", f"{videos[0]} and all other videos are in folders"
    if not videos and not texts and (archive := next((path for path, _ in files if is_archive(path.name)), None)):
        return "folders", f"there are archives, such as {archive}"
    return ("sidecar", "there are .txt files") if texts and not videos else None


def _look_at(path: Path, dataset: DatasetParams) -> Found:
    ending = path.suffix.lower()
    if known := _recognize_tool(path) or recognize_set(path):
        return known
    if ending == ".json":
        return _look_at_json(path)
    if held := _look_at_containers(path):
        return held
    if is_archive(path.name):
        return "folders", "it is an archive"
    if ending in table.FORMATS:
        header = table.read_header(path, dataset.delimiter)
        named = next(filter(metadata.NAMING.fullmatch, header), None)
        if named and dataset.columns.path not in header:
            return "metadata", f"it has a column {named}"
        if ending in (".jsonl", ".parquet") or _has_header(path) or dataset.columns.caption in header:
            return "table", f"its columns are {', '.join(header)[:80]}"
    return ("lists", "it has no names of columns") if ending in lists.ENDINGS else None


def _look_at_json(path: Path) -> tuple[str, str]:
    content = json_files.read_content(path)
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and set(something.FIELDS) <= first.keys():
        return "something", "its rows have an id, a label and a template"
    return "json", "it is JSON"


def _has_header(path: Path) -> bool:
    """Whether the first line of a list names columns: no cell of it is a number, a path or a video."""
    if path.suffix.lower() not in table.FORMATS:
        return False
    line = next((line for line in read_text_lines(path) if line.strip()), "")
    cells = [cell.strip() for cell in line.split(lists.guess_delimiter(line))]
    return not any(re.search(r"\d", cell) or "/" in cell or has_video_ending(cell) for cell in cells[:2])


READERS: dict[str, Reader] = {
    "something": something.read_rows,
    "table": table.read_rows,
    "folders": folders.read_rows,
    "metadata": metadata.read_rows,
    "sidecar": sidecar.read_rows,
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
    "webdataset": webdataset.read_rows,
    "parquet": parquet.read_rows,
    "auto": read_detected,
    **{name: partial(read_set, name) for name in SETS},
}
