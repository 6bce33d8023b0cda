"""For `dataset.format: auto`: detects the format of labels, and the columns that params do not set."""

import csv
import re
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.corpus import match_split_folders
from pipeline.corpus.readers import (
    boris,
    cvat,
    elan,
    json_files,
    label_studio,
    lerobot,
    lists,
    metadata,
    relations,
    sidecar,
    spreadsheets,
    table,
    via,
)
from pipeline.corpus.readers.cells import FORMATS, TEXT, list_tables, read_header
from pipeline.corpus.readers.containers import find_first_container, is_shard, list_near_files, read_samples
from pipeline.corpus.readers.folders import find_naming, walk
from pipeline.corpus.readers.set_reader import recognize_set
from pipeline.corpus.segments import adopt_unit, counts_frames, find_segment_columns, is_in_one, is_start
from pipeline.corpus.text_files import read_start, read_text_lines
from pipeline.corpus.video_names import ANYWHERE, has_video_ending
from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer
from pipeline.params import ColumnParams, DatasetParams
from pipeline.sources.archives import ENDINGS as ARCHIVES
from pipeline.sources.archives import is_archive
from pipeline.sources.tables import ENDINGS as TABLES
from pipeline.sources.tables import find_bytes_columns

TOOLS_BY_BYTES = {"elan": elan, "cvat": cvat}
TOOLS_BY_CONTENT = {"label_studio": label_studio, "via": via, "boris": boris}  # JSON, or the first lines of a table
EXPORTS = {ending for tool in (*TOOLS_BY_BYTES.values(), *TOOLS_BY_CONTENT.values()) for ending in tool.ENDINGS}
SAMPLED_LINES, SAMPLED_BYTES = 100, 1 << 16  # of a table, to detect its tool
MAX_FOLDERS = 16  # searched for a tool's export
MAX_FILES = 10_000  # examined to detect the layout of a folder of videos

Detected = tuple[str, str] | None  # the format, and the reason

# Names of columns in lower case without blanks, hyphens and underscores, most likely first.
PATHS = ("path", "filepath", "videopath", "clippath", "filename", "videofilename", "videofile", "file", "video", "clip")
IDS = ("videoname", "vidname", "clipname", "videoid", "vid", "youtubeid", "ytid", "clipid", "videouid")
WEAK_IDS = ("id", "name")  # ambiguous; those of a row have precedence over those of its lists
CAPTIONS = (
    *("caption", "captions", "cap", "text", "prompt", "sentence", "sentences", "fulltitle", "description"),
    *("descriptions", "narration", "query", "desc", "title", "txt"),
)
LABELS = ("classname", "label", "cls", "class", "action", "activity", "gloss", "category")
SPLITS = ("split", "subset")
CLASS_NAMES = re.compile(r"class|label|categor", re.IGNORECASE)
FRAME_FOLDERS = {"jpegimages", "annotations", "masks", "rawframes", "frames"}  # contain folders of images
OF_DATASETS = ("dataset_dict.json", "dataset_info.json", "state.json")  # next to the tables of `save_to_disk`
CLASS_ENDINGS = (".txt", ".csv", ".json")


def detect_format(labels: Path, dataset: DatasetParams) -> tuple[str, str]:
    """The format of the labels, and the reason. Raises UserError if it cannot be detected."""
    if not labels.exists():
        raise UserError(f"{labels}: no such labels; see dataset.labels")
    if labels.is_file():
        refuse_lfs_pointer(labels)
    found = _detect_in_folder(labels, dataset) if labels.is_dir() else _detect_file(labels, dataset)
    if not found:
        raise UserError(
            f"{labels}: dataset.format auto knows no format that looks like this; name it in dataset.format"
        )
    return found


def guess_columns(labels: Path, format_name: str, dataset: DatasetParams) -> tuple[DatasetParams, str]:
    """The section `dataset` with existing columns in place of missing ones, and these changes as text."""
    if format_name in ("lists", "folders"):
        return _guess_classes(labels, format_name, dataset)
    names = _list_names(labels, format_name, dataset)
    columns = dataset.columns
    found: dict[str, str] = {}
    named = format_name == "metadata" and any(map(metadata.NAMING.fullmatch, names))
    if format_name in ("table", "json", "metadata") and not named and not _has_path(names, columns):
        found |= _guess_path(names, columns)
    caption = columns.caption
    guessed = _find_caption(names, dataset)
    if guessed not in (None, caption):
        found["caption"] = caption = str(guessed)
        if columns.category is None and _normalise(caption) in LABELS:
            found["category"] = caption
    if columns.category is None and "category" not in found and "category" in names:
        found["category"] = "category"
    in_tables = format_name != "sidecar"
    if in_tables and columns.split is None and (split := _find_column(names, SPLITS)):
        found["split"] = split
    if in_tables and columns.start is columns.end is columns.segment is None and isinstance(caption, str):
        found |= _guess_parts(names, caption)
    if not found:
        return dataset, ""
    detail = ", ".join(f"{key} {name}" for key, name in found.items())
    segments = adopt_unit(dataset.segments, (found[key] for key in ("start", "end") if key in found))
    return dataset.model_copy(update={"columns": columns.model_copy(update=found), "segments": segments}), detail


def _detect_in_folder(folder: Path, dataset: DatasetParams) -> Detected:
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
    official = next((name for pair in json_files.SOMETHING_FILES.values() for name in pair if name in names), None)
    if official and _detect_json(folder / official)[0] == "something":
        return "something", f"rows of {official} have an id, a label and a template"
    if why := relations.recognize(folder):
        return "vidor", why
    if known := _recognize_tool_in_folder(folder) or recognize_set(folder):
        return known
    if held := _detect_container(folder):
        return held
    if tables := metadata.find_tables(folder):
        return "metadata", f"there is a {tables[0].relative_to(folder)}"
    told = [name for name in names if name.endswith(".json") and name not in OF_DATASETS]
    if told and not any(has_video_ending(name) for name in names):
        return "json", "there are JSON files"
    if json_files.CAPTIONS in names:
        return "json", f"there is a {json_files.CAPTIONS}"
    return _detect_table_or_list(folder) or _detect_beside_videos(folder, dataset)


def _recognize_tool_in_folder(folder: Path) -> Detected:
    """The labelling tool of the first export in a folder or its first sub-folders; None if there is none."""
    first: dict[str, Path] = {}  # per extension: a folder may contain a million files
    for path in list_near_files(folder, tuple(EXPORTS), MAX_FOLDERS):
        if path.name[0] != "~":
            first.setdefault(path.suffix.lower(), path)
    return next((known for path in first.values() if (known := _recognize_tool(path))), None)


def _recognize_tool(path: Path) -> Detected:
    """The labelling tool that wrote a file; None if it is not recognised."""
    ending = path.suffix.lower()
    if ending not in EXPORTS or not path.is_file():
        return None
    for name, tool in TOOLS_BY_BYTES.items():
        if ending in tool.ENDINGS and (why := tool.recognize(path, _read_start(path))):
            return name, why
    content = _read_content(path, ending)
    for name, of_content in TOOLS_BY_CONTENT.items():
        if ending in of_content.ENDINGS and (why := of_content.recognize(path, content)):
            return name, why
    return None


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SAMPLED_BYTES)


def _read_content(path: Path, ending: str) -> Any:
    """The content of a JSON file, or the header and first lines of a table; None for JSON that cannot be read."""
    if ending in (".json", ".boris"):
        try:
            return json_files.read_content(path)
        except UserError:
            return None
    lines = read_start(path, SAMPLED_BYTES).splitlines()[:SAMPLED_LINES]
    header = next(csv.reader(lines[:1], delimiter="\t" if ending == ".tsv" else ","), [])
    return list(chain(header, lines))


def _detect_container(labels: Path) -> Detected:
    """The format of files that contain videos and labels; None if the first one does not."""
    shard = find_first_container(labels, ARCHIVES)
    if shard and is_shard(shard):
        return "webdataset", f"{shard.name} holds videos with texts, JSON or classes of the same names"
    path = find_first_container(labels, TABLES)
    if path and (columns := find_bytes_columns(path)):
        return "parquet", f"{path.name} has bytes in the column {columns[0]}"
    return None


def _detect_table_or_list(folder: Path) -> Detected:
    found = lists.find_lists(folder)
    for path in found:
        if _has_header(path):
            return "table", f"the first line of {path.name} names columns"
        return "lists", f"{path.name} has no names of columns"
    return ("table", "there are tables") if list_tables(folder) else None


def _detect_beside_videos(folder: Path, dataset: DatasetParams) -> Detected:
    if listed := sidecar.find_lists(folder):
        return "sidecar", f"{listed[0].name} and {listed[1].name} go line by line"
    files = list(islice(walk(folder), MAX_FILES))
    videos = [file.path for file in files if file.is_video]
    if videos and (naming := find_naming(list(map(str, videos)), dataset))[0]:
        return "folders", f"{naming[1]} finds categories in names such as {videos[0].name}"
    texts = sidecar.find_texts(files)
    has_json = any(path.suffix.lower() == ".json" for path in texts.values())
    json_tells = has_json and _find_caption(list(sidecar.find_first_json(folder)), dataset)
    for file in videos:
        text = texts.get(str(file.with_suffix("")))
        if text and (text.suffix.lower() != ".json" or json_tells):
            return "sidecar", f"{file} has {text if text.parent != file.parent else text.name} beside it"
    written = [path for path in texts.values() if path.suffix.lower() != ".json"]
    stems = {path.stem for path in written}
    if apart := next((file for file in videos if file.stem in stems), None):
        detail = f"texts lie in another folder than the videos that they name, such as {apart}"
        raise UserError(f"{folder}: {detail}; make dataset.labels the folder of texts, dataset.videos that of videos")
    if videos and all(len(file.parts) > 1 for file in videos):
        _refuse_one_folder(folder, videos)
        return "folders", f"{videos[0]} and all other videos are in folders"
    if not videos and not written and (archive := next((path for path, _ in files if is_archive(path.name)), None)):
        return "folders", f"there are archives, such as {archive}"
    if videos and not written:
        _refuse_unlabelled(folder, f"{videos[0]} has no text beside it")
    return ("sidecar", "there are .txt files") if written and not videos else None


def _refuse_one_folder(folder: Path, videos: Sequence[PurePosixPath]) -> None:
    """Raise UserError if the folders are no classes: there is only one, or they are splits or folders of frames."""
    names = {file.parts[-2] for file in videos}
    pictures = (file for file in videos if not has_video_ending(file.name))
    if clip := next((clip for clip in pictures if FRAME_FOLDERS & {part.lower() for part in clip.parts[:-1]}), None):
        _refuse_unlabelled(folder, f"{clip} is in a folder for frames or masks, which names no class")
    if len({file.parent for file in videos}) == 1 or match_split_folders(names):
        _refuse_unlabelled(folder, f"all videos are in {', '.join(sorted(names))}, which names no classes")


def _refuse_unlabelled(folder: Path, detail: str) -> None:
    ways = (
        "name a table with a path and a caption in each row in dataset.labels, or put a .txt with the caption beside "
        "each video; if the name of a folder is the caption of its videos, set dataset.format: folders"
    )
    raise UserError(f"{folder}: no captions found: {detail}; {ways}")


def _detect_file(path: Path, dataset: DatasetParams) -> Detected:
    ending = path.suffix.lower()
    if known := _recognize_tool(path) or recognize_set(path):
        return known
    if why := relations.recognize(path):
        return "vidor", why
    if ending == ".json":
        return _detect_json(path)
    if held := _detect_container(path):
        return held
    if is_archive(path.name):
        return "folders", "it is an archive"
    if ending in FORMATS or (ending == TEXT and _is_table(path, dataset)):
        header = read_header(path, dataset.delimiter)
        named = next(filter(metadata.NAMING.fullmatch, header), None)
        if named and dataset.columns.path not in header:
            return "metadata", f"it has a column {named}"
        if ending not in (".csv", ".tsv") or _has_header(path) or dataset.columns.caption in header:
            return "table", f"its columns are {', '.join(header)[:80]}"
    spreadsheets.refuse_others(path)
    return ("lists", "it has no names of columns") if ending in lists.ENDINGS else None


def _detect_json(path: Path) -> tuple[str, str]:
    content = json_files.read_content(path)
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and set(json_files.SOMETHING_FIELDS) <= first.keys():
        return "something", "its rows have an id, a label and a template"
    return "json", "it is JSON"


def _has_header(path: Path) -> bool:
    """Whether the first line of a list is a header: none of its cells is a number, a path or a video.

    Names may contain digits (`caption_1`) only if another one is a column of videos, and the next line has no cell that
    differs from one only in digits.
    """
    if path.suffix.lower() not in FORMATS:
        return False
    lines = list(islice((line for line in read_text_lines(path) if line.strip()), 2)) or [""]
    rows = [[cell.strip() for cell in line.split(lists.guess_delimiter(lines[0]))][:2] for line in lines]
    alike = len(rows) == 2 and {*map(_blank_digits, rows[0])} & {*map(_blank_digits, rows[1])}
    digits = r"\A\d" if _find_column(rows[0], (*PATHS, *IDS)) and not alike else r"\d"
    return not any(re.search(digits, cell) or "/" in cell or has_video_ending(cell) for cell in rows[0])


def _blank_digits(cell: str) -> str:
    return re.sub(r"\d+", "0", cell)


def _is_table(path: Path, dataset: DatasetParams) -> bool:
    """Whether the first line of a text file names a column of captions and one of videos."""
    header = read_header(path, dataset.delimiter)
    named = _has_path(header, dataset.columns) or _guess_path(header, dataset.columns)
    return bool(named and len(header) > 1 and _find_caption(header, dataset) in header)


def _guess_classes(labels: Path, format_name: str, dataset: DatasetParams) -> tuple[DatasetParams, str]:
    """The section with the file of class names, if there is exactly one and (for lists) lines end with classes."""
    if dataset.classes or not labels.is_dir():
        return dataset, ""
    found = lists.find_lists(labels)
    files = sorted(path for path in labels.iterdir() if path.suffix.lower() in CLASS_ENDINGS and path not in found)
    names = [path.name for path in files if CLASS_NAMES.search(path.stem)]
    if len(names) != 1 or (format_name == "lists" and not lists.end_with_classes(found, labels / names[0])):
        return dataset, ""
    return dataset.model_copy(update={"classes": names[0]}), f"classes {names[0]}"


def _find_caption(names: Sequence[str], dataset: DatasetParams) -> str | int | None:
    """The column of captions: that of params, if it exists or is a number, else a likely one, or None."""
    named = dataset.columns.caption
    if not isinstance(named, str) or _is_column(named, names):
        return named
    return _find_column(names, (*CAPTIONS, *LABELS)) or _find_column(names, CAPTIONS, by_ending=True)


def _list_names(labels: Path, format_name: str, dataset: DatasetParams) -> list[str]:
    """The column names of the first file, as its reader sees them; empty if there are none."""
    if format_name == "sidecar":
        return list(sidecar.find_first_json(labels))
    path = _find_first_file(labels, format_name, dataset)
    if path is None:
        return []
    if format_name == "webdataset":
        return list(next(read_samples(path, dataset.videos), {}))
    if format_name == "json":
        return json_files.list_names(path, json_files.read_content(path))
    return read_header(path, dataset.delimiter)


def _find_first_file(labels: Path, format_name: str, dataset: DatasetParams) -> Path | None:
    """The first file of the labels; None if there is none."""
    if format_name in ("webdataset", "parquet"):
        return find_first_container(labels, ARCHIVES if format_name == "webdataset" else TABLES)
    if not labels.is_dir():
        return labels
    if format_name == "json":
        files = sorted(path for path in labels.glob("*.json") if path.name[0] != ".")
    else:
        files = metadata.find_tables(labels) if format_name == "metadata" else list_tables(labels)
    if format_name == "table":  # the first table may be a test set without captions
        files = [path for path in files if _find_caption(read_header(path, dataset.delimiter), dataset)] or files
    return next(iter(files), None)


def _is_column(name: str, names: Sequence[str]) -> bool:
    """Whether there is a column with this name, or a column of objects that the dotted name leads into."""
    return any(name == known or name.startswith(f"{known}.") for known in names)


def _has_path(names: Sequence[str], columns: ColumnParams) -> bool:
    """Whether the files have the column of paths, or all columns that it is made of; true if params use ids."""
    fields = table.list_fields(columns.path) or [str(columns.path)]
    return not isinstance(columns.path, str) or all(field in names for field in fields)


def _guess_path(names: Sequence[str], columns: ColumnParams) -> dict[str, str]:
    """The column of paths; else a pattern with an id, for a video in any folder."""
    if path := _find_column(names, PATHS):
        return {"path": path}
    if json_files.KEY in names:  # with a caption column, the key is used as the path anyway
        return {} if columns.caption in names else {"path": f"{ANYWHERE}{{{json_files.KEY}}}"}
    top = [name for name in names if "." not in name]
    name = _find_column(names, IDS) or _find_column(top, WEAK_IDS) or _find_column(names, WEAK_IDS)
    return {"path": f"{ANYWHERE}{{{name}}}"} if name else {}


def _guess_parts(names: Sequence[str], caption: str) -> dict[str, str]:
    """The columns of parts next to the captions, in the same list; not in frames, whose rate is unknown."""
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == caption.rpartition(".")[0]}
    found = [name for name in find_segment_columns([*beside]) if not counts_frames(name)]
    if whole := next((name for name in found if is_in_one(name)), None):
        return {"segment": beside[whole]}
    starts, ends = ([name for name in found if is_start(name) is wanted] for wanted in (True, False))
    return {"start": beside[starts[0]], "end": beside[ends[0]]} if len(starts) == len(ends) == 1 else {}


def _find_column(names: Sequence[str], wanted: Sequence[str], *, by_ending: bool = False) -> str | None:
    """The column with the first of the wanted names, or last words; columns of rows precede those of their lists."""
    ordered = sorted(names, key=lambda name: name.count("."), reverse=True)
    plain = {_find_last_word(name) if by_ending else _normalise(name): name for name in ordered}
    return next((plain[name] for name in wanted if name in plain), None)


def _find_last_word(name: str) -> str:
    """`text` of `clip_text` and of `clipText`."""
    return re.split(r"[\s_.-]|(?<=[a-z])(?=[A-Z])", name)[-1].lower()


def _normalise(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.rpartition(".")[2]).lower()
