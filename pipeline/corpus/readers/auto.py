"""For `dataset.format: auto`: detects the format of labels, and the columns that params do not set."""

import csv
import re
import sys
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.corpus import match_split_folders
from pipeline.corpus.contained import list_videos
from pipeline.corpus.readers import (
    boris,
    cvat,
    elan,
    json_files,
    label_studio,
    lerobot,
    lists,
    relations,
    sidecar,
    something,
    spreadsheets,
    subtitles,
    via,
)
from pipeline.corpus.readers.cells import FORMATS, TEXT, list_column_names, list_tables
from pipeline.corpus.readers.containers import find_first_container, is_shard, list_near_files
from pipeline.corpus.readers.exports import refuse_unread
from pipeline.corpus.readers.folders import find_naming, walk
from pipeline.corpus.readers.guess import IDS, PATHS, evidently_labels, find_caption, find_column
from pipeline.corpus.readers.set_reader import detect_set
from pipeline.corpus.readers.table import FILE_NAMES, find_metadata
from pipeline.corpus.text_files import read_start, read_text_lines
from pipeline.corpus.video_names import VideoIndex, has_video_ending
from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer
from pipeline.params import DatasetParams
from pipeline.sources.archives import ARCHIVE_ENDINGS, is_archive
from pipeline.sources.tables import TABLE_ENDINGS, find_bytes_columns

TOOLS_BY_BYTES = {"elan": elan, "cvat": cvat}
TOOLS_BY_CONTENT = {"label_studio": label_studio, "via": via, "boris": boris}  # JSON, or the first lines of a table
EXPORTS = {ending for tool in (*TOOLS_BY_BYTES.values(), *TOOLS_BY_CONTENT.values()) for ending in tool.ENDINGS}
SAMPLED_LINES, SAMPLED_BYTES = 100, 1 << 16  # of a table, to detect its tool
MAX_FOLDERS = 16  # searched for a tool's export
MAX_FILES = 10_000  # examined to detect the layout of a folder of videos
MAX_LABELS = 100  # tables, and JSON files, examined in a folder
MAX_NAMES = 8  # of files in a message

Detected = tuple[str, str] | None  # the format, and the reason

BINARY = {".mat": "MATLAB", ".h5": "HDF5", ".hdf5": "HDF5", ".npy": "NumPy", ".npz": "NumPy"}
BINARY |= dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), "Python, which can run code,")
OFFICIAL_LISTS = re.compile(rf"\A{re.escape(lists.UCF_CLASSES)}\Z|_test_split[123]\.txt\Z")  # of UCF-101, HMDB-51
FRAME_FOLDERS = {"jpegimages", "annotations", "masks", "rawframes", "frames"}  # contain folders of images


def detect_format(labels: Path, dataset: DatasetParams) -> tuple[str, str]:
    """The format of the labels, and the reason. Raises UserError if it cannot be detected."""
    if not labels.exists():
        raise UserError(f"{labels}: no such labels; see dataset.labels")
    if labels.is_file():
        refuse_lfs_pointer(labels)
    found = _detect_in_folder(labels, dataset) if labels.is_dir() else _detect_file(labels, dataset)
    if not found:
        _refuse_binary(labels)
        ways = "name it in dataset.format, or write a table (CSV) with a path and a caption in each row"
        raise UserError(f"{labels}: dataset.format auto knows no format that looks like this; {ways}")
    return found


def _detect_in_folder(folder: Path, dataset: DatasetParams) -> Detected:
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    if official := next(filter(OFFICIAL_LISTS.search, names), None):
        return "ucf101" if official == lists.UCF_CLASSES else "hmdb51", f"there is a {official}"
    if meta := lerobot.find_meta(folder):
        return (
            "lerobot",
            f"{meta.relative_to(folder) / lerobot.INFO} tells the version and the features of a LeRobot set",
        )
    own = next((name for pair in something.FILES.values() for name in pair if name in names), None)
    if own and _detect_json(folder / own)[0] == "something":
        return "something", f"rows of {own} have an id, a label and a template"
    if why := relations.detect(folder):
        return "vidor", why
    if known := _detect_tool_in_folder(folder) or detect_set(folder):
        return known
    if held := _detect_container(folder):
        return held
    if tables := find_metadata(folder):
        return "metadata", f"there is a {tables[0].relative_to(folder)}"
    return _detect_list(folder) or _detect_by_evidence(folder, dataset)


def _detect_by_evidence(folder: Path, dataset: DatasetParams) -> Detected:
    """The format of files that evidently are labels; else what is beside videos; else that of any table or JSON.

    Tables and JSON may also be about something else, such as statistics or settings: these are printed.
    """
    found: dict[str, list[Path]] = {"table": list_tables(folder), "json": json_files.find_files(folder)}
    for name, files in found.items():
        if path := next((path for path in files[:MAX_LABELS] if evidently_labels(path, dataset)), None):
            return name, f"{path.name} has captions and videos"
    doubtful = next((name for name, files in found.items() if files), None)
    try:
        beside = _detect_beside_videos(folder, dataset)
    except UserError:
        if not doubtful:
            raise
        beside = None
    if beside and doubtful:
        skipped = [path.name for files in found.values() for path in files]
        more = f" and {len(skipped) - MAX_NAMES} more" if len(skipped) > MAX_NAMES else ""
        names = ", ".join(skipped[:MAX_NAMES]) + more
        why = "no known columns of captions and videos; to read one, name it in dataset.labels"
        print(f"filter: {folder}: skipped {names}: {why}", file=sys.stderr)
    return beside or ((doubtful, f"there is {found[doubtful][0].name}") if doubtful else None)


def _detect_tool_in_folder(folder: Path) -> Detected:
    """The labelling tool of the first export in a folder or its first sub-folders; None if there is none."""
    first: dict[str, Path] = {}  # per extension: a folder may contain a million files
    for path in list_near_files(folder, tuple(EXPORTS), MAX_FOLDERS):
        if path.name[0] != "~":
            first.setdefault(path.suffix.lower(), path)
    return next((known for path in first.values() if (known := _detect_tool(path))), None)


def _detect_tool(path: Path) -> Detected:
    """The labelling tool that wrote a file; None if it is not recognised."""
    ending = path.suffix.lower()
    if ending not in EXPORTS or not path.is_file():
        return None
    for name, tool in TOOLS_BY_BYTES.items():
        if ending in tool.ENDINGS and (why := tool.detect(path, _read_start(path))):
            return name, why
    content = _read_content(path, ending)
    for name, of_content in TOOLS_BY_CONTENT.items():
        if ending in of_content.ENDINGS and (why := of_content.detect(path, content)):
            return name, why
    refuse_unread(path, content)
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
    shard = find_first_container(labels, ARCHIVE_ENDINGS)
    if shard and is_shard(shard):
        return "webdataset", f"{shard.name} holds videos with texts, JSON or classes of the same names"
    path = find_first_container(labels, TABLE_ENDINGS)
    if path and (columns := find_bytes_columns(path)):
        return "parquet", f"{path.name} has bytes in the column {columns[0]}"
    return None


def _detect_list(folder: Path) -> Detected:
    """The format of the first file that is named after a split, and is no text beside a video."""
    stems = {path.stem for path in folder.iterdir() if has_video_ending(path.name)}
    path = next((path for path in lists.find_lists(folder) if path.stem not in stems), None)
    if path is None:
        return None
    if _has_header(path):
        return "table", f"the first line of {path.name} names columns"
    return "lists", f"{path.name} has no names of columns"


def _detect_beside_videos(folder: Path, dataset: DatasetParams) -> Detected:
    if listed := sidecar.find_lists(folder):
        return "sidecar", f"{listed[0].name} and {listed[1].name} go line by line"
    files = list(islice(walk(folder), MAX_FILES))
    _refuse_official(folder, [path for path, _ in files])
    videos = [file.path for file in files if file.is_video]
    if videos and (naming := find_naming(list(map(str, videos)), dataset))[0]:
        return "folders", f"{naming[1]} finds categories in names such as {videos[0].name}"
    texts = sidecar.find_texts(files)
    if found := _find_captioned(folder, videos, texts, dataset):
        video, text = found
        return "sidecar", f"{video} has {text if text.parent != video.parent else text.name} beside it"
    if why := subtitles.detect([path for path, _ in files], videos):
        return "subtitles", why
    beside = {str(video.with_suffix("")) for video in videos}
    _refuse_deeper(folder, [path for path, _ in files if str(path.with_suffix("")) not in beside], dataset)
    written = [path for name, path in texts.items() if path.suffix.lower() != ".json" and name not in beside]
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
        _refuse_unlabelled(folder, f"{videos[0]} has no text next to it")
    if not written or videos:
        return None
    index = VideoIndex(list_videos(dataset.videos))
    if not any(index.list_candidates(text.stem) for text in written):
        _refuse_unlabelled(folder, f"{written[0]} has the name of no video in {dataset.videos}")
    return "sidecar", f"there are texts such as {written[0]}"


def _find_captioned(
    folder: Path, videos: Sequence[PurePosixPath], texts: sidecar.Texts, dataset: DatasetParams
) -> tuple[PurePosixPath, PurePosixPath] | None:
    """The first video with a caption in the text or JSON beside it, and that file; others have facts only."""
    has_json = any(path.suffix.lower() == ".json" for path in texts.values())
    json_tells = has_json and find_caption(list(sidecar.find_first_json(folder)), dataset)
    for video in videos:
        text = texts.get(str(video.with_suffix("")))
        if text and (json_tells if text.suffix.lower() == ".json" else sidecar.read_text(folder / text)):
            return video, text
    return None


def _refuse_deeper(folder: Path, files: Sequence[PurePosixPath], dataset: DatasetParams) -> None:
    """Raise UserError if labels are in a sub-folder, such as `annotations/train.csv`: folders would be captions."""
    known = (*FORMATS, ".json")
    tables = (path for path in files if len(path.parts) > 1 and path.suffix.lower() in known)
    if table := next((path for path in islice(tables, MAX_LABELS) if evidently_labels(folder / path, dataset)), None):
        way = f"make dataset.labels {folder / table} or its folder, and keep dataset.videos"
        ways = f"{way}; if folders are the categories, set dataset.format: folders"
        raise UserError(f"{folder}: {table} has captions and videos; {ways}")


def _refuse_official(folder: Path, files: Sequence[PurePosixPath]) -> None:
    """Raise UserError if official split lists are in a sub-folder: the videos alone would lose these splits."""
    if found := next((path for path in files if len(path.parts) > 1 and OFFICIAL_LISTS.search(path.name)), None):
        ways = f"make dataset.labels {folder / found.parent}, and keep dataset.videos"
        more = "if you want other splits, set dataset.format: folders and keep the lists elsewhere"
        raise UserError(f"{folder}: {found} is of official split lists; {ways}; {more}")


def _refuse_one_folder(folder: Path, videos: Sequence[PurePosixPath]) -> None:
    """Raise UserError if the folders are no classes: there is only one, or they are splits or folders of frames."""
    names = {file.parts[-2] for file in videos}
    pictures = (file for file in videos if not has_video_ending(file.name))
    if clip := next((clip for clip in pictures if FRAME_FOLDERS & {part.lower() for part in clip.parts[:-1]}), None):
        _refuse_unlabelled(folder, f"{clip} is in a folder for frames or masks, which names no class")
    of_splits = match_split_folders(names) and len({file.parts[:-2] for file in videos}) == 1
    if of_splits or len({file.parent for file in videos}) == 1:
        _refuse_unlabelled(folder, f"all videos are in {', '.join(sorted(names))}, which names no classes")


def _refuse_binary(labels: Path) -> None:
    """Raise UserError if there are labels in files that only programs read, as the .mat files of Penn Action."""
    files = (path for path, _ in islice(walk(labels), MAX_FILES)) if labels.is_dir() else [PurePosixPath(labels)]
    if found := next((path for path in files if path.suffix.lower() in BINARY), None):
        what = BINARY[found.suffix.lower()]
        way = "write what they say into a table (CSV) with a path and a caption in each row, and name it"
        raise UserError(f"{labels / found}: files of {what} are not read; {way} in dataset.labels")


def _refuse_unlabelled(folder: Path, detail: str) -> None:
    _refuse_binary(folder)
    ways = (
        "name a table with a path and a caption in each row in dataset.labels, or put a .txt with the caption beside "
        "each video; if the name of a folder is the caption of its videos, set dataset.format: folders"
    )
    raise UserError(f"{folder}: no captions found: {detail}; {ways}")


def _detect_file(path: Path, dataset: DatasetParams) -> Detected:
    ending = path.suffix.lower()
    if known := _detect_tool(path) or detect_set(path):
        return known
    if why := relations.detect(path):
        return "vidor", why
    if ending == ".json":
        return _detect_json(path)
    if held := _detect_container(path):
        return held
    if is_archive(path.name):
        return "folders", "it is an archive"
    if ending in subtitles.ENDINGS:
        return "subtitles", f"it ends in {ending}"
    if ending in FORMATS or (ending == TEXT and evidently_labels(path, dataset)):
        header = list_column_names(path, dataset.delimiter)
        refuse_unread(path, dict.fromkeys(header))
        named = next(filter(FILE_NAMES.fullmatch, header), None)
        if named and dataset.columns.path not in header:
            return "metadata", f"it has a column {named}"
        if ending not in (".csv", ".tsv") or _has_header(path) or dataset.columns.caption in header:
            return "table", f"its columns are {', '.join(header)[:80]}"
    spreadsheets.refuse_others(path)
    return ("lists", "it has no names of columns") if ending in lists.ENDINGS else None


def _detect_json(path: Path) -> tuple[str, str]:
    content = json_files.read_content(path)
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and set(something.FIELDS) <= first.keys():
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
    digits = r"\A\d" if find_column(rows[0], (*PATHS, *IDS)) and not alike else r"\d"
    return not any(re.search(digits, cell) or "/" in cell or has_video_ending(cell) for cell in rows[0])


def _blank_digits(cell: str) -> str:
    return re.sub(r"\d+", "0", cell)
