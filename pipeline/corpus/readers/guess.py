"""For `dataset.format: auto`: the columns of captions, videos, splits and parts, by the names that people give them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.corpus import as_text
from pipeline.corpus.contained import list_videos
from pipeline.corpus.readers import json_files, lists, sidecar, table
from pipeline.corpus.readers.cells import list_column_names, list_tables, read_cells
from pipeline.corpus.readers.containers import find_first_container, lists_downloads, read_samples
from pipeline.corpus.segments import adopt_unit, counts_frames, find_segment_columns, is_in_one, is_start
from pipeline.corpus.video_names import ANYWHERE, YOUTUBE, VideoIndex, has_video_ending, split_ending
from pipeline.errors import UserError
from pipeline.letters import CAMEL_CASE
from pipeline.params import ColumnParams, DatasetParams
from pipeline.sources.archives import ARCHIVE_ENDINGS
from pipeline.sources.tables import TABLE_ENDINGS

# Names of columns in lower case without blanks, hyphens and underscores, most likely first.
PATHS = ("path", "filepath", "videopath", "clippath", "filename", "videofilename", "videofile", "file", "video", "clip")
IDS = ("videoname", "vidname", "clipname", "videoid", "vid", "youtubeid", "ytid", "clipid", "videouid")
URLS = ("videourl", "videouri", "url", "uri")  # often of a page, next to the id of the video
WEAK_IDS = ("id", "name", "key")  # ambiguous; those of a row have precedence over those of its lists
CAPTIONS = (
    *("caption", "captions", "cap", "text", "prompt", "sentence", "sentences", "fulltitle", "description"),
    *("descriptions", "narration", "query", "desc", "title", "txt"),
)
LABELS = (
    *("classname", "labelname", "actionname", "activityname", "categoryname"),
    *("label", "cls", "class", "action", "activity", "gloss", "category"),
)
SELDOM = ("tag", "translation", "transcript", "transcription", "utterance", "instruction", "annotation")
SPLITS = ("split", "subset")
CLASS_NAMES = re.compile(r"class|label|categor", re.IGNORECASE)
CLASS_LISTS = re.compile(r"class|categor", re.IGNORECASE)  # `labels` may also be those of videos
SAMPLED_ROWS = 100
CLASS_ENDINGS = (".txt", ".csv", ".json")


def guess_columns(labels: Path, format_name: str, dataset: DatasetParams) -> tuple[DatasetParams, str]:
    """The section `dataset` with existing columns in place of missing ones, and these changes as text."""
    if format_name in ("lists", "folders"):
        return _guess_classes(labels, format_name, dataset)
    names = _list_names(labels, format_name, dataset)
    columns = dataset.columns
    found: dict[str, str] = {}
    named = format_name == "metadata" and any(map(table.FILE_NAMES.fullmatch, names))
    if format_name in ("table", "json", "metadata") and not named and not _has_path(names, columns):
        found |= _guess_path(_find_first_file(labels, format_name, dataset), names, columns)
        if format_name == "table" and not found and _are_named_after_videos(labels, dataset):
            found["path"] = f"{ANYWHERE}{{{table.FILE}}}"
    caption = columns.caption
    guessed = find_caption(names, dataset)
    if guessed not in (None, caption):
        found["caption"] = caption = str(guessed)
        if columns.category is None and _normalise(caption) in (*LABELS, "tag"):
            found["category"] = caption
    if columns.category is None and "category" not in found and "category" in names:
        found["category"] = "category"
    in_tables = format_name != "sidecar"
    if in_tables and columns.split is None and (split := find_column(names, SPLITS)):
        found["split"] = split
    if in_tables and columns.start is columns.end is columns.segment is None and isinstance(caption, str):
        parts = _guess_parts(names, caption)
        found |= {} if _are_of_source(labels, format_name, dataset, names, parts | found) else parts
    if not found:
        return dataset, ""
    detail = ", ".join(f"{key} {name}" for key, name in found.items())
    segments = adopt_unit(dataset.segments, (found[key] for key in ("start", "end") if key in found))
    return dataset.model_copy(update={"columns": columns.model_copy(update=found), "segments": segments}), detail


def evidently_labels(path: Path, dataset: DatasetParams) -> bool:
    """Whether a table or JSON file has captions and videos, by its columns; it may also be about something else."""
    names = _try_names(path, dataset)
    caption = find_caption(names, dataset)
    if lists_downloads(names):
        return False
    if len(names) < 2 or not isinstance(caption, str) or not _is_column(caption, names):
        return False
    if path.suffix.lower() == ".json" and json_files.is_plain(json_files.read_content(path)):
        return False
    if _has_path(names, dataset.columns) or find_column(names, (*PATHS, *IDS)):
        return True
    of_classes = CLASS_LISTS.search(path.stem) and _normalise(caption) in LABELS
    return bool(_guess_path(path, names, dataset.columns) or json_files.KEY in names) and not of_classes


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


def find_caption(names: Sequence[str], dataset: DatasetParams) -> str | int | None:
    """The column of captions: that of params, if it exists or is a number, else a likely one, or None."""
    named = dataset.columns.caption
    if not isinstance(named, str) or _is_column(named, names):
        return named
    known = find_column(names, (*CAPTIONS, *LABELS)) or find_column(names, CAPTIONS, by_ending=True)
    return known or find_column(names, SELDOM)


def _list_names(labels: Path, format_name: str, dataset: DatasetParams) -> list[str]:
    """The column names of the first file, as its reader sees them; empty if there are none."""
    if format_name == "sidecar":
        return list(sidecar.find_first_json(labels))
    path = _find_first_file(labels, format_name, dataset)
    if path is None:
        return []
    if format_name == "webdataset":
        return list(next(read_samples(path, dataset.videos), {}))
    return _read_names(path, dataset)


def _read_names(path: Path, dataset: DatasetParams) -> list[str]:
    """The column names of a table or JSON file. Raises UserError if it is broken."""
    if path.suffix.lower() == ".json":
        return json_files.list_names(path, json_files.read_content(path))
    return list_column_names(path, dataset.delimiter)


def _try_names(path: Path, dataset: DatasetParams) -> list[str]:
    """The column names; empty if the file is broken: it may be of something else."""
    try:
        return _read_names(path, dataset)
    except UserError:
        return []


def _find_first_file(labels: Path, format_name: str, dataset: DatasetParams) -> Path | None:
    """The first file of the labels; None if there is none."""
    if format_name in ("webdataset", "parquet"):
        return find_first_container(labels, ARCHIVE_ENDINGS if format_name == "webdataset" else TABLE_ENDINGS)
    if not labels.is_dir():
        return labels
    if format_name == "metadata":
        return next(iter(table.find_metadata(labels)), None)
    files = json_files.find_files(labels, dataset.classes) if format_name == "json" else list_tables(labels)
    # The first file may be a test set without captions.
    evident = (path for path in files if evidently_labels(path, dataset))
    captioned = (path for path in files if find_caption(_try_names(path, dataset), dataset))
    return next(chain(evident, captioned, files), None)


def _is_column(name: str, names: Sequence[str]) -> bool:
    """Whether there is a column with this name, or a column of objects that the dotted name leads into."""
    return any(name == known or name.startswith(f"{known}.") for known in names)


def _has_path(names: Sequence[str], columns: ColumnParams) -> bool:
    """Whether the files have the column of paths, or all columns that it is made of; true if params use ids."""
    fields = table.list_fields(columns.path) or [str(columns.path)]
    return not isinstance(columns.path, str) or all(field in (*names, table.FILE) for field in fields)


def _guess_path(file: Path | None, names: Sequence[str], columns: ColumnParams) -> dict[str, str]:
    """The column of paths; else a pattern with a column of file names or ids, for a video in any folder."""
    if path := find_column(names, PATHS):
        return {"path": path}
    if json_files.KEY in names and file and file.suffix.lower() == ".json":
        # With a caption column, the key is used as the path anyway.
        return {} if columns.caption in names else {"path": f"{ANYWHERE}{{{json_files.KEY}}}"}
    top = [name for name in names if "." not in name]
    name = find_column(names, IDS) or (file and _find_video_column(file, top))
    if not name and (url := find_column(names, URLS)):
        return {"path": url}
    name = name or find_column(top, WEAK_IDS) or find_column(names, WEAK_IDS)
    return {"path": f"{ANYWHERE}{{{name}}}"} if name else {}


def _are_named_after_videos(labels: Path, dataset: DatasetParams) -> bool:
    """Whether there is a table per video, `cam1.csv` for `cam1.mp4`: whether one of the first has such a name."""
    tables = list_tables(labels) if labels.is_dir() else [labels]
    index = VideoIndex(list_videos(dataset.videos))
    return any(index.list_candidates(path.stem) for path in tables[:SAMPLED_ROWS])


def _find_video_column(file: Path, names: Sequence[str]) -> str | None:
    """The only column whose first cells are names of videos, whatever it is called (`media_path`), and no URLs."""
    rows = list(islice(_read_all(file, [name for name in names if name and names.count(name) == 1]), SAMPLED_ROWS))
    texts = {name: [text for row in rows if (text := as_text(row[name]))] for name in (rows[0] if rows else ())}
    found = [name for name, cells in texts.items() if cells and all(map(_names_file, cells))]
    return found[0] if len(found) == 1 else None


def _read_all(file: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows with these columns; none if there is no column."""
    if file.suffix.lower() == ".json":
        rows = json_files.list_plain_objects(file, json_files.read_content(file))
        return ({name: row.get(name) for name in names} for row in rows)
    # The key keeps the reader from warning of columns that look like parts of videos.
    named = {f"segment {name}": name for name in names}
    named["segment"] = names[0]
    return (dict(zip(names, cells, strict=False)) for _, cells in read_cells(file, named))


def _names_file(text: str) -> bool:
    return has_video_ending(text) and "://" not in text


def _guess_parts(names: Sequence[str], caption: str) -> dict[str, str]:
    """The columns of parts next to the captions, in the same list; not in frames, whose rate is unknown."""
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == caption.rpartition(".")[0]}
    found = [name for name in find_segment_columns([*beside]) if not counts_frames(name)]
    if whole := next((name for name in found if is_in_one(name)), None):
        return {"segment": beside[whole]}
    starts, ends = ([name for name in found if is_start(name) is wanted] for wanted in (True, False))
    return {"start": beside[starts[0]], "end": beside[ends[0]]} if len(starts) == len(ends) == 1 else {}


def _are_of_source(
    labels: Path, format_name: str, dataset: DatasetParams, names: Sequence[str], found: Mapping[str, str]
) -> bool:
    """Whether guessed parts are of videos on the web, from which the files were cut: no URL is that of its file.

    `found` are the guessed columns. MSR-VTT has `video0.mp4` with times in `https://www.youtube.com/watch?v=9lZi22qLlEo`.
    """
    file = _find_first_file(labels, format_name, dataset)
    path, url = found.get("path", dataset.columns.path), find_column(names, URLS)
    fields = table.list_fields(path) or [str(path)]
    if file is None or not {"segment", "start"} & found.keys() or url is None or not set(fields) <= {*names} - {url}:
        return False
    wanted = {"caption": str(dataset.columns.caption), **found, "url": url, "path": fields[-1]}
    cells = json_files.read_cells(file, wanted) if file.suffix == ".json" else read_cells(file, wanted)
    rows = (dict(zip(wanted, row, strict=True)) for _, row in islice(cells, SAMPLED_ROWS))
    known = [(as_text(row["url"]), as_text(row["path"])) for row in rows]
    return any(address for address, _ in known) and not any(_shows_page(address, name) for address, name in known)


def _shows_page(address: str, video: str) -> bool:
    """Whether a file is the whole video at a URL, by its name: `<id>.mp4`, `v_<id>.mp4`, `Title [<id>].mp4`."""
    stem = split_ending(video.rpartition("/")[2])[0]
    ids = YOUTUBE.findall(address)
    return bool(stem) and (stem in address or any(stem.rstrip("])").endswith(name) for name in ids))


def find_column(names: Sequence[str], wanted: Sequence[str], *, by_ending: bool = False) -> str | None:
    """The column with the first of the wanted names, or last words; columns of rows precede those of their lists."""
    ordered = sorted(names, key=lambda name: name.count("."), reverse=True)
    plain = {_find_last_word(name) if by_ending else _normalise(name): name for name in ordered}
    return next((plain[name] for name in wanted if name in plain), None)


def _find_last_word(name: str) -> str:
    """`text` of `clip_text` and of `clipText`."""
    return re.split(rf"[\s_.-]|{CAMEL_CASE}", name)[-1].lower()


def _normalise(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.rpartition(".")[2]).lower()
