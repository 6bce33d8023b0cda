"""LeRobot datasets, v2.1 and v3.0 -> rows: an episode seen by one camera is a clip, its task is the caption.

The labels are the folder of the dataset, or its `meta`; `dataset.videos` is the folder of the dataset. Of several
cameras, the first is read, or those that `dataset.columns.path` names: one, or a pattern such as
`observation.images.*`. All views of an episode are one recording, so one group, although a file may contain several
episodes. Depth cameras are skipped.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import (
    ONLY_CATEGORY,
    WHOLE,
    LabelRow,
    OfficialSplit,
    Segment,
    SourceLocation,
    as_text,
    make_id,
    parse_split,
)
from pipeline.corpus.readers.cells import list_column_names, read_cells
from pipeline.corpus.video_names import ANYWHERE
from pipeline.errors import UserError, describe_fault
from pipeline.files import read_json, refuse_lfs_pointer
from pipeline.params import DatasetParams

INFO = "info.json"
REMEDY = "download the set again"
TASK_COLUMNS = ("task", "__index_level_0__")  # the latter is pandas' name for an unnamed index
VIDEO_COLUMNS = ("chunk_index", "file_index", "from_timestamp")
SPLIT = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")


class Info(NamedTuple):
    """The content of info.json."""

    path: Path
    template: str  # of video paths
    rate: float  # frames per second
    chunk: int  # v2: episodes per folder
    cameras: list[str]  # selected ones
    splits: dict[str, tuple[int, int]]  # name -> range of episodes, end exclusive
    packed: bool  # v3: files contain several episodes


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row per episode, camera and task. Raises UserError if the folder is no LeRobot dataset, or has no videos."""
    meta = find_meta(labels)
    if meta is None:
        raise UserError(f"{labels}: holds no meta/{INFO} of a LeRobot set; see dataset.labels")
    info = _read_info(meta / INFO, dataset)
    tasks = _read_tasks(meta)
    rows: list[LabelRow] = []
    for table in _find_episodes(meta):
        for where, episode in _read_episodes(table, info):
            rows += _make_rows(episode, info, tasks, dataset, (table.relative_to(meta).as_posix(), where))
    return rows


def find_meta(labels: Path) -> Path | None:
    """The folder `meta` of a dataset, or in which it is; None if it is no LeRobot dataset."""
    for meta in (labels / "meta", labels):
        path = meta / INFO
        if path.is_file() and {"codebase_version", "features"} <= _read_object(path).keys():
            return meta
    return None


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty for other content. Raises UserError for a pointer of Git LFS."""
    refuse_lfs_pointer(path)
    try:
        content = read_json(path, REMEDY)
    except UserError:  # another format, for other readers
        return {}
    return content if isinstance(content, dict) else {}


def _read_info(path: Path, dataset: DatasetParams) -> Info:
    content = _read_object(path)
    features, template, rate = (content.get(key) for key in ("features", "video_path", "fps"))
    if not isinstance(features, dict) or not isinstance(rate, int | float) or not rate > 0:
        raise UserError(f"{path}: lacks features or fps; {REMEDY}")
    cameras = _choose_cameras(path, features, dataset)
    if not isinstance(template, str):
        raise UserError(f"{path}: has cameras, but no video_path; {REMEDY}")
    chunk = content.get("chunks_size")
    return Info(
        path=path,
        template=template,
        rate=float(rate),
        chunk=chunk if isinstance(chunk, int) and chunk > 0 else 1000,
        cameras=cameras,
        splits=_parse_splits(path, content.get("splits")),
        packed="file_index" in template,
    )


def _choose_cameras(path: Path, features: Mapping[str, Any], dataset: DatasetParams) -> list[str]:
    """The cameras that params select, else the first; if others are skipped, that is printed. Raises UserError."""
    kinds = {key: facts.get("dtype") for key, facts in features.items() if isinstance(facts, dict)}
    depth = [key for key, kind in kinds.items() if kind == "video" and _shows_depth(key, features[key])]
    cameras = [key for key, kind in kinds.items() if kind == "video" and key not in depth]
    if not cameras:
        pictures = [key for key, kind in kinds.items() if kind == "image"]
        fault = (
            f"its cameras are pictures within data/*.parquet: {', '.join(pictures)}" if pictures else "has no camera"
        )
        raise UserError(f"{path}: {fault}; only sets with videos are read")
    wanted = str(dataset.columns.path)
    chosen = [camera for camera in cameras if fnmatchcase(camera, wanted)]
    if not chosen and wanted != "path" and dataset.columns.path is not None:
        raise UserError(f"{path}: has no camera {wanted!r} (dataset.columns.path); it has {', '.join(cameras)}")
    chosen = chosen or cameras[:1]
    if len(chosen) < len(cameras) + len(depth):
        left = ", ".join(key for key in (*cameras, *depth) if key not in chosen)
        print(
            f"filter: {path}: camera {', '.join(chosen)} is read, not {left}; see dataset.columns.path", file=sys.stderr
        )
    return chosen


def _shows_depth(key: str, facts: Mapping[str, Any]) -> bool:
    parts = [facts.get(name) for name in ("info", "video_info")]
    flags = [
        value for part in parts if isinstance(part, dict) for name, value in part.items() if "is_depth_map" in name
    ]
    return any(flags) or "depth" in re.split(r"[^a-z]+", key.lower())


def _parse_splits(path: Path, splits: Any) -> dict[str, tuple[int, int]]:
    """Name of a split -> range of episodes."""
    found: dict[str, tuple[int, int]] = {}
    for name, text in splits.items() if isinstance(splits, dict) else ():
        match = SPLIT.fullmatch(str(text))
        if not match:
            raise UserError(f"{path}: the split {name!r} is {str(text)[:40]!r}, no range of episodes such as 0:50")
        found[name] = (int(match[1]), int(match[2]))
    return found


def _read_tasks(meta: Path) -> dict[int, str]:
    """Task number -> text; empty if there is no table of tasks."""
    table = next((meta / name for name in ("tasks.parquet", "tasks.jsonl") if (meta / name).is_file()), None)
    if table is None:
        return {}
    header = list_column_names(table)
    text = next((name for name in TASK_COLUMNS if name in header), None)
    if text is None or "task_index" not in header:
        raise UserError(f"{table}: has no columns task_index and task, but {', '.join(header)[:200]}; {REMEDY}")
    cells = read_cells(table, {"number": "task_index", "task": text})
    return {number: as_text(task) for _, (number, task) in cells if isinstance(number, int)}


def _find_episodes(meta: Path) -> list[Path]:
    lines = meta / "episodes.jsonl"
    tables = [lines] if lines.is_file() else sorted((meta / "episodes").glob("chunk-*/*.parquet"))
    if not tables:
        raise UserError(f"{meta}: holds neither episodes.jsonl nor episodes/chunk-*/*.parquet; {REMEDY}")
    return tables


def _read_episodes(table: Path, info: Info) -> Iterator[tuple[str, dict[str, Any]]]:
    """The position of each episode in the table, and its values by column name."""
    header = list_column_names(table)
    wanted = ["episode_index", "length", "tasks"]
    if info.packed:
        wanted += [f"videos/{camera}/{name}" for camera in info.cameras for name in VIDEO_COLUMNS]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise UserError(f"{table}: has no column {missing[0]}, so it is not of a LeRobot dataset; {REMEDY}")
    for where, cells in read_cells(table, {name: name for name in wanted}):
        yield where, dict(zip(wanted, cells, strict=True))


def _make_rows(
    episode: Mapping[str, Any], info: Info, tasks: Mapping[int, str], dataset: DatasetParams, location: SourceLocation
) -> Iterator[LabelRow]:
    number, length = episode["episode_index"], episode["length"]
    if not isinstance(number, int) or not isinstance(length, int):
        raise UserError(
            f"{info.path.parent / location[0]}: {location[1]} has no integer episode_index and length; {REMEDY}"
        )
    listed = episode["tasks"] if isinstance(episode["tasks"], list) else [episode["tasks"]]
    captions = [tasks.get(task, "") if isinstance(task, int) else as_text(task) for task in listed] or [""]
    split, no_split = _find_split(number, info)
    for camera in info.cameras:
        segment, fault = _find_segment(episode, camera, length, info)
        video = _find_video(_fill_template(episode, camera, number, info), dataset)
        name = f"episode_{number:06d}" if len(info.cameras) == 1 else f"episode_{number:06d}+{make_id(camera)}"
        for order, caption in enumerate(captions, 1):
            yield LabelRow(
                id=name if order == 1 else f"{name}~{order}",
                label=caption,
                template=caption if dataset.columns.category else ONLY_CATEGORY,
                placeholders=(),
                objects=(),
                official_split=split,
                location=location,
                video=video,
                segment=segment,
                segment_fault=no_split or fault,
                recording=f"episode_{number:06d}",
            )


def _find_split(number: int, info: Info) -> tuple[OfficialSplit, str]:
    """The split of an episode (`all` if there are not several), and a fault if it has none, or an empty text."""
    names = [name for name, (start, stop) in info.splits.items() if start <= number < stop]
    if info.splits and not names:
        return "all", "no split of info.json holds its episode"
    if len(info.splits) < 2:
        return "all", ""
    split = parse_split(names[0])
    return split or "all", "" if split else f"the split {names[0]!r} of info.json is unknown"


def _find_segment(episode: Mapping[str, Any], camera: str, length: int, info: Info) -> tuple[Segment, str]:
    """The episode's part of its file, by its number of frames, since writers differ in the stated end."""
    if not info.packed:
        return WHOLE, ""
    start = episode[f"videos/{camera}/from_timestamp"]
    if not isinstance(start, int | float) or length < 1:
        return WHOLE, f"{length} frames from {start} s are not a segment"
    return Segment(round(start, 6), round(start + length / info.rate, 6)), ""


def _fill_template(episode: Mapping[str, Any], camera: str, number: int, info: Info) -> str:
    values = {"video_key": camera, "episode_index": number, "episode_chunk": number // info.chunk}
    if info.packed:
        values |= {name: episode[f"videos/{camera}/{name}"] for name in VIDEO_COLUMNS[:2]}
    try:
        return info.template.format_map(values)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        fault = describe_fault(error)
        raise UserError(f"{info.path}: video_path {info.template!r} cannot be filled ({fault}); {REMEDY}") from None


def _find_video(path: str, dataset: DatasetParams) -> str:
    """The path in the dataset; if its first folder does not exist, the rest of the path in any folder."""
    first, _, rest = path.partition("/")
    return path if not rest or (Path(dataset.videos) / first).is_dir() else f"{ANYWHERE}{rest}"
