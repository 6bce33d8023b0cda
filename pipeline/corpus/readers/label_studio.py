"""Exports of Label Studio: JSON, JSON_MIN and CSV -> rows.

Parts of videos come from TimelineLabels, `ranges` of frames; from VideoRectangle, the spans in which a box is enabled;
and from audio regions, in seconds. Choices and TextArea outside of regions are about the whole video. Frames are
numbered from 1, at the `framerate` of the labelling configuration, independent of the rate of the file.
"""

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import LabelRow, as_text
from pipeline.corpus.readers.exports import (
    LabelledPart,
    MediaFiles,
    Named,
    as_list,
    as_seconds,
    choose_names,
    read_address,
    read_exports,
    refuse_unknown,
)
from pipeline.corpus.readers.json_files import read_content
from pipeline.corpus.text_files import open_text
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams

TOOL = "Label Studio"
ENDINGS = (".json", ".csv", ".tsv")
REMEDY = "export it again"
ANNOTATIONS = ("annotations", "completions")  # the second in exports from before 2021
OWN_COLUMNS = {"annotation_id", "annotator", "lead_time"}  # of JSON_MIN and CSV
MORE = ("path", "group", "split")  # of dataset.columns: keys of the data of a task
RATE = 24.0  # frames per second, the default of the configuration
RATE_FIELDS = ("fps", "framerate", "frameRate", "frame_rate")  # in task data, to which the configuration may refer
SOURCE = re.compile(r"""\bsrc=["']?([^"'\s>]+)""")  # of a video in task data that is HTML

Span = tuple[float | None, float | None, str, float | None]  # start, end, fault, point in time


class Result(NamedTuple):
    """The result of one control: `value` has a part of the video, labels, choices or texts."""

    control: str
    region: str  # id shared by the results of one region
    value: Mapping[str, Any]


class Task(NamedTuple):
    """The data of a task, and the results of each of its annotations."""

    data: Mapping[str, Any]
    annotations: list[list[Result]]


@dataclass(slots=True)
class Region:
    """The results of all controls for one region of a video, or for the whole video."""

    spans: list[Span] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)  # used if there are no labels
    texts: list[str] = field(default_factory=list)


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each part, label and text. Raises UserError if the labels are no export of Label Studio."""
    guessed: Counter[str] = Counter()
    media = MediaFiles(Path(dataset.videos))
    rows = read_exports(labels, dataset, media, ENDINGS, TOOL, lambda path: _read_parts(path, dataset, guessed), MORE)
    if guessed["rate"]:
        detail = f"which is not in the export; {RATE:g} a second, its default, is taken: set dataset.segments.rate"
        print(
            f"warning: {labels}: {TOOL} counts frames by the framerate of its configuration, {detail}", file=sys.stderr
        )
    if guessed["whole"]:
        detail = f"{guessed['whole']} choices or texts about whole videos are left out, since parts are labelled"
        print(f"filter: {labels}: {detail}; name their control in dataset.columns to read them", file=sys.stderr)
    return rows


def detect(path: Path, content: Any) -> str:
    """Why this is an export of Label Studio, by JSON or the header of a table; empty if it is not."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, Mapping):
        if isinstance(first.get("data"), Mapping) and any(name in first for name in ANNOTATIONS):
            return "its tasks have data and annotations"
        return "its tasks have an annotation_id and an annotator" if first.keys() >= OWN_COLUMNS else ""
    named = isinstance(content, list) and {str(name) for name in content} >= OWN_COLUMNS
    return f"{path.name} has columns annotation_id and annotator" if named else ""


def _read_parts(path: Path, dataset: DatasetParams, guessed: Counter[str]) -> Iterator[LabelledPart]:
    tasks = _read_table(path, dataset) if path.suffix.lower() != ".json" else _read_tasks(path, dataset)
    controls = sorted({result.control for task in tasks for results in task.annotations for result in results})
    named = choose_names(path, dataset, "control", controls)
    if not controls and any(task.data.keys() >= OWN_COLUMNS for task in tasks):
        detail = "no column holds parts of videos; name the one with the classes or captions in dataset.columns"
        raise UserError(f"{path}: {detail}: {', '.join(map(str, tasks[0].data))[:300]}")
    rates = [_read_rate(task) for task in tasks]
    common = {rate for rate in rates if rate}
    read = []
    for number, (task, rate) in enumerate(zip(tasks, rates, strict=True)):
        counted = rate or (min(common) if len(common) == 1 else None)
        frames = _Frames(_choose_rate(path, task, counted, dataset), guessed)
        regions = [_read_regions(results, named, frames) for results in task.annotations]
        unlabelled = LabelledPart(_find_video(path, number, task.data, dataset), "", None)
        group, split = (_read_data(path, key, number, task.data, dataset) for key in ("group", "split"))
        read.append((unlabelled._replace(group=group, split=split), regions))
    parted = any(region.spans for _, annotations in read for regions in annotations for region in regions)
    for unlabelled, annotations in read:
        parts = [part for regions in annotations for part in _list_parts(unlabelled, regions, named, parted, guessed)]
        yield from parts or [unlabelled]


def _list_parts(
    task: LabelledPart, regions: Sequence[Region], named: Named, parted: bool, guessed: Counter[str]
) -> Iterator[LabelledPart]:
    for region in regions:
        labels = region.labels or region.choices
        if not region.spans:
            said = bool(labels or (region.texts and named[0] is None))
            if not said or (parted and not any(named)):
                guessed["whole"] += said
                continue
        texts: list[str | None] = [*region.texts] or [None if named[1] is None else ""]
        classes: list[str | None] = [*labels] or [None if region.texts and named[0] is None else ""]
        for start, end, fault, point in region.spans or [(None, None, "", None)]:
            part = task._replace(start=start, end=end, fault=fault, point=point)
            yield from (part._replace(category=label, caption=text) for label in classes for text in texts)


def _read_regions(results: Sequence[Result], named: Named, frames: "_Frames") -> list[Region]:
    """The regions of an annotation in order; the whole video is last."""
    regions: dict[str, Region] = {}
    for result in results:
        spans = frames.read_spans(result.value)
        if spans and result.region not in regions:
            regions[result.region] = Region(spans)
    whole = Region()
    for control, name, value in results:
        region = regions.get(name, whole)
        if named[0] is None:
            region.labels += [text for key in value if key.endswith("labels") for text in _list_texts(value[key])]
            region.choices += [text for key in ("choices", "taxonomy") for text in _list_texts(value.get(key))]
        elif control == named[0]:
            region.labels += _list_stated(value)
        if control == named[1] or named[1] is None:
            region.texts += _list_stated(value) if control == named[1] else _list_texts(value.get("text"))
    return [*regions.values(), whole]


def _list_stated(value: Mapping[str, Any]) -> list[str]:
    """The labels, choices or texts of a result of any control."""
    keys = [key for key in value if key.endswith("labels")]
    return [text for key in (*keys, "choices", "taxonomy", "text") for text in _list_texts(value.get(key))]


def _list_texts(value: Any) -> list[str]:
    """The distinct texts in a list; for a path in a taxonomy, its last part."""
    listed = value if isinstance(value, list) else [value]
    last = [item[-1] if isinstance(item, list) and item else item for item in listed]
    return list(dict.fromkeys(text for item in last if (text := as_text(item)).strip()))


class _Frames:
    """Converts the frames of a task to seconds."""

    def __init__(self, rate: float | None, guessed: Counter[str]) -> None:
        self._known = rate
        self._guessed = guessed

    def read_spans(self, value: Mapping[str, Any]) -> list[Span]:
        """The parts of the video in a result; empty if it is about the whole video."""
        if "unclear" in value:
            detail = "the export does not say which part of the video the text is about; export as JSON"
            return [(None, None, detail, None)]
        if isinstance(value.get("ranges"), list):
            return [self._read_range(found) for found in value["ranges"] if isinstance(found, Mapping)]
        if isinstance(value.get("sequence"), list):
            return self._read_boxes([key for key in value["sequence"] if isinstance(key, Mapping)])
        if "start" not in value or "end" not in value:
            return []
        if isinstance(value.get("text"), str) or "startOffset" in value:
            return [(None, None, "is about letters of a text", None)]
        if "timelinelabels" in value:
            return [self._read_range(value)]
        start, end = as_seconds(value["start"]), as_seconds(value["end"])
        return [(start, end, "" if start is not None and end is not None else "has no start or no end", None)]

    def _read_range(self, found: Mapping[str, Any]) -> Span:
        start, end = as_seconds(found.get("start")), as_seconds(found.get("end"))
        if start is None or end is None:
            return None, None, "has no start or no end", None
        if start == end:
            return None, None, f"frame {start:g} alone is a still picture", (start - 1) / self.rate
        return (start - 1) / self.rate, end / self.rate, "", None

    def _read_boxes(self, keys: Sequence[Mapping[str, Any]]) -> list[Span]:
        """The spans from an enabled key frame to the next disabled one, inclusive."""
        spans: list[Span] = []
        start: float | None = None
        placed = sorted((frame, bool(key.get("enabled"))) for key in keys if (frame := as_seconds(key.get("frame"))))
        for frame, shown in placed:
            if shown and start is None:
                start = frame
            elif not shown and start is not None:
                spans.append(self._read_range({"start": start, "end": frame}))
                start = None
            elif not shown:
                spans.append(self._read_range({"start": frame, "end": frame}))
        if start is not None:
            spans.append(((start - 1) / self.rate, None, "", None))
        return spans or [(None, None, "has no key frames", None)]

    @property
    def rate(self) -> float:
        self._guessed["rate"] += not self._known
        return self._known or RATE


def _choose_rate(path: Path, task: Task, counted: float | None, dataset: DatasetParams) -> float | None:
    """Frames per second: from key frames, else params, else task data. Raises UserError if params contradict."""
    stated = dataset.segments.rate
    if stated and counted and abs(stated - counted) > 1e-3 * counted:
        detail = f"dataset.segments.rate is {stated:g}, but its boxes have {counted:g} frames in a second"
        raise UserError(f"{path}: {detail}; set it to {counted:g}, or to null")
    fields = (as_seconds(task.data.get(name)) for name in RATE_FIELDS)
    return counted or stated or next((rate for rate in fields if rate is not None and rate > 0), None)


def _read_rate(task: Task) -> float | None:
    """Frames per second, from a key frame with frame number and seconds; None if there is none."""
    for value in (result.value for results in task.annotations for result in results):
        for key in (key for key in as_list(value.get("sequence")) if isinstance(key, Mapping)):
            frame, seconds = (as_seconds(key.get(name)) for name in ("frame", "time"))
            if frame and seconds and frame / seconds > 0:
                return round(frame / seconds, 4)
    return None


def _find_video(path: Path, number: int, data: Mapping[str, Any], dataset: DatasetParams) -> str:
    """The video in a task's data. Raises UserError if it is ambiguous."""
    names = {key: found[1] if (found := SOURCE.search(str(value))) else str(value) for key, value in data.items()}
    named = str(dataset.columns.path)
    if named != "path" or named in data:
        _read_data(path, "path", number, data, dataset)
        return names[named]
    videos = [key for key, value in names.items() if has_video_ending(read_address(value))]
    key = "video" if "video" in videos or not videos else videos[0]
    if key not in data or (key != "video" and len(videos) > 1):
        listed = ", ".join(videos or map(str, data))[:200]
        raise UserError(f"{path}: task {number} may have its video in {listed}; name it in dataset.columns.path")
    return names[key]


def _read_data(path: Path, key: str, number: int, data: Mapping[str, Any], dataset: DatasetParams) -> str:
    """The value in a task's data that a key of `dataset.columns` names; empty if the key is not set."""
    name = getattr(dataset.columns, key)
    if name is None:
        return ""
    if str(name) not in data:
        raise refuse_unknown(path, key, str(name), f"task data in task {number}", map(str, data))
    return as_text(data[str(name)])


def _read_tasks(path: Path, dataset: DatasetParams) -> list[Task]:
    content = read_content(path, REMEDY)
    listed = content if isinstance(content, list) else [content]
    tasks = []
    for number, item in enumerate(listed):
        key = next((name for name in ANNOTATIONS if isinstance(item, dict) and isinstance(item.get(name), list)), None)
        if isinstance(item, dict) and key is None and item.keys() >= OWN_COLUMNS:
            tasks.append(_read_cells(item, dataset))
        elif key is None or not isinstance(item.get("data"), dict):
            detail = f"item {number} is not a task with data and annotations, but {json.dumps(item)[:80]}"
            raise UserError(f"{path}: {detail}; export as JSON, JSON_MIN or CSV")
        else:
            tasks.append(Task(item["data"], [_read_results(found) for found in item[key] if _is_whole(found)]))
    return tasks


def _is_whole(annotation: Any) -> bool:
    """Whether an annotation was submitted and not skipped."""
    skipped = isinstance(annotation, dict) and (annotation.get("was_cancelled") or annotation.get("skipped"))
    return isinstance(annotation, dict) and not skipped and isinstance(annotation.get("result"), list)


def _read_results(annotation: Mapping[str, Any]) -> list[Result]:
    return [
        Result(as_text(found.get("from_name")), as_text(found.get("id")) or f"#{number}", found["value"])
        for number, found in enumerate(annotation["result"])
        if isinstance(found, dict) and isinstance(found.get("value"), dict)
    ]


def _read_table(path: Path, dataset: DatasetParams) -> list[Task]:
    try:
        with open_text(path) as file:
            lines = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            if not set(lines.fieldnames or []) >= OWN_COLUMNS:
                listed = ", ".join(lines.fieldnames or [])[:200] or "none"
                raise UserError(f"{path}: no CSV of {TOOL}, whose columns are {listed}; {REMEDY}")
            return [_read_cells(row, dataset) for row in lines]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}; {REMEDY}") from None


def _read_cells(row: Mapping[str, Any], dataset: DatasetParams) -> Task:
    """A row of JSON_MIN or CSV: its cells have results of a control without ids, or only texts."""
    results: list[Result] = []
    loose: list[Result] = []
    named = {name for name in (dataset.columns.category, dataset.columns.caption) if name is not None}
    for control, cell in row.items():
        for value in _parse_cell(cell):
            if isinstance(value, Mapping):
                part = [value.get(key) for key in ("ranges", "sequence", "start", "end")]
                results.append(Result(control, json.dumps(part), value))
            elif control in named and as_text(value).strip():
                loose.append(Result(control, "", {"choices": [as_text(value)]}))
    regions = {result.region for result in results if result.value.keys() & {"ranges", "sequence", "start"}}
    if len(regions) == 1:  # a text without an id can only belong to it
        (region,) = regions
        loose = [result._replace(region=region) for result in loose]
    elif regions:
        loose = [
            Result(control, f"?{number}", {**value, "unclear": True})
            for number, (control, _, value) in enumerate(loose)
        ]
    return Task(row, [[*results, *loose]] if results or loose else [])


def _parse_cell(cell: Any) -> list[Any]:
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
    return cell if isinstance(cell, list) else [cell]
