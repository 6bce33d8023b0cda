"""Exports of BORIS: aggregated events, tabular events of all versions, and the project itself -> rows.

Columns are found by name, since independent variables are among them. A state event is a part of a video; a point event
has no duration. Several files of one player form one time line: the durations of preceding files and the time offset of
the observation are subtracted from times. Exports of older versions do not state durations.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import LabelRow, as_text
from pipeline.corpus.readers.exports import (
    LabelledPart,
    MediaFiles,
    as_list,
    as_object,
    as_seconds,
    choose_names,
    read_exports,
    refuse_unknown,
)
from pipeline.corpus.readers.json_files import read_content
from pipeline.corpus.segments import BadSegment, parse_time
from pipeline.corpus.text_files import read_text_lines
from pipeline.errors import UserError
from pipeline.params import DatasetParams, SegmentParams

TOOL = "BORIS"
ENDINGS = (".tsv", ".csv", ".boris")
REMEDY = "export the events again as TSV or CSV"
BEHAVIOR, SUBJECT, KIND, TIME = "Behavior", "Subject", "Behavior type", "Time"
START, STOP = "Start (s)", "Stop (s)"
STATUS = ("Status", KIND)  # of tabular events: START, STOP or POINT
MEDIA = ("Media file name", "Media file path", "Media file")
OBSERVATION = "Observation id"
PREAMBLE = {
    "Observation id": OBSERVATION,
    "Time offset (s)": "Time offset (s)",
}  # lines above the header of older tabular events
SECONDS = SegmentParams(unit="seconds", rate=None, first=0, last="excluded", around=None)
EVENT_CELLS = 10  # rows of aggregated events have more cells
MORE = ("group", "split")
NOTHING = {"", "NA", "Not found"}

Row = Mapping[str, str]


class TimeLine(NamedTuple):
    """The consecutive files of an observation, the seconds at which each ends, and the time offset."""

    files: list[str]
    ends: list[float]  # one per file, or empty if unknown
    offset: float


class Event(NamedTuple):
    """A state event, or a fault; a point event stops when it starts. The row has the other cells."""

    row: Row
    start: float | None
    stop: float | None
    fault: str = ""


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each event. Raises UserError if the labels are no export of BORIS."""
    media = MediaFiles(Path(dataset.videos))
    return read_exports(labels, dataset, media, ENDINGS, TOOL, lambda path: _read_parts(path, dataset), MORE)


def detect(path: Path, content: Any) -> str:
    """Why this is an export of BORIS, by the first lines of a table, or JSON; empty if it is not."""
    if isinstance(content, Mapping):
        return "it is a project with behaviors_conf" if {"behaviors_conf", "observations"} <= content.keys() else ""
    for line in as_list(content):
        cells = _split(str(line), "\t" if "\t" in str(line) else ",")
        if _is_header(cells):
            return f"{path.name} has columns {BEHAVIOR} and {START if START in cells else TIME}"
        if len(cells) > EVENT_CELLS and {"STATE", "POINT"} & set(cells):
            return f"{path.name} has rows of STATE and POINT events"
    return ""


def _read_parts(path: Path, dataset: DatasetParams) -> Iterator[LabelledPart]:
    if path.suffix.lower() == ".boris":
        columns, events, lines = _read_project(path)
    else:
        columns, rows = _read_table(path)
        events = [_read_aggregated(row) for row in rows] if START in columns else _pair_events(path, columns, rows)
        lines = _read_time_lines(rows)
    category, caption = choose_names(path, dataset, "column", columns)
    group, split = (None if name is None else str(name) for name in (dataset.columns.group, dataset.columns.split))
    for key, name in (("group", group), ("split", split)):
        if name is not None and name not in columns:
            raise refuse_unknown(path, key, name, "column", columns)
    for event in events:
        said = event.row.get(category or BEHAVIOR, "").strip()
        make = partial(
            LabelledPart,
            category=said,
            caption=None if caption is None else event.row.get(caption, ""),
            group=event.row.get(group or "", "").strip(),
            split=event.row.get(split or "", ""),
        )
        line = lines.get(event.row.get(OBSERVATION, ""), TimeLine([], [], 0.0))
        yield from (make(**facts) for facts in _place_event(event, line))


def _place_event(event: Event, line: TimeLine) -> Iterator[dict[str, Any]]:
    """The parts of an event in the files that it spans, or its fault: fields of `LabelledPart`."""
    first = _find_media(event.row) or (line.files[0] if line.files else "")
    if event.start is None or event.stop is None:
        yield {"video": first, "fault": event.fault or "has no start or no stop"}
        return
    start, stop = event.start - line.offset, event.stop - line.offset
    if len(line.files) < 2:
        yield _cut(event, first, start, stop)
    elif not line.ends:
        detail = f"its time goes on over {len(line.files)} files, whose lengths the export does not state"
        yield {"video": first, "fault": f"{detail}; give the .boris project itself, or an export of a newer {TOOL}"}
    else:
        parts = [
            _cut(event, file, max(start - begin, 0.0 if begin else start), None if stop > end else stop - begin)
            for file, begin, end in zip(line.files, [0.0, *line.ends], line.ends, strict=False)
            if start < end and (begin < stop > start or (event.fault and begin <= stop == start))
        ]
        yield from parts or [{"video": first, "fault": f"from {start:g} to {stop:g} s is not a segment of the files"}]


def _cut(event: Event, file: str, start: float, stop: float | None) -> dict[str, Any]:
    """The part of an event in a file, or its point in time."""
    start = round(start, 6)
    point = start if event.fault and event.start == event.stop else None
    return {"video": file, "start": start, "end": stop, "fault": event.fault, "point": point}


def _read_aggregated(row: Row) -> Event:
    kind = row.get(KIND, "STATE").strip()
    start, stop = _read_time(row.get(START)), _read_time(row.get(STOP))
    fault = f"a {kind} event at {row.get(START)} s has no length" if kind == "POINT" else ""
    return Event(row, start, stop, fault)


def _pair_events(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> list[Event]:
    """The state events of START and STOP rows, matched by observation, subject, behavior and modifiers."""
    status = next((name for name in STATUS if name in columns), None)
    if status is None or TIME not in columns:
        raise UserError(f"{path}: has neither {START} nor {TIME} with {' or '.join(STATUS)}; {REMEDY}")
    same = [name for name in columns if name in (OBSERVATION, SUBJECT, BEHAVIOR) or name.startswith("Modifier")]
    begun: dict[tuple[str, ...], int] = {}
    events: list[Event] = []
    for row in rows:
        key, what, time = (
            tuple(row.get(name, "") for name in same),
            row.get(status, "").strip(),
            _read_time(row.get(TIME)),
        )
        if what == "START" and key not in begun:
            begun[key] = len(events)
            events.append(Event(row, time, None, "a START without a STOP"))
        elif what == "STOP" and key in begun:
            number = begun.pop(key)
            events[number] = events[number]._replace(stop=time, fault="")
        else:
            faults = {"STOP": "a STOP without a START", "START": "a second START before a STOP"}
            point = f"a {what or 'nameless'} event at {row.get(TIME)} s has no length"
            events.append(Event(row, time, None if what in faults else time, faults.get(what, point)))
    return events


def _read_time_lines(rows: Sequence[Row]) -> dict[str, TimeLine]:
    """The files of each observation: those listed in `Source`, else those named in its rows."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.get(OBSERVATION, "")].append(row)
    lines = {}
    for name, group in groups.items():
        offset = _read_time(group[0].get("Time offset (s)")) or 0.0
        source = group[0].get("Source", "").strip()
        if source in NOTHING or "player #1:" not in source:
            lines[name] = TimeLine(list(dict.fromkeys(filter(None, map(_find_media, group)))), [], offset)
            continue
        first = source.partition("player #1:")[2].partition("|player #")[0]
        stated = group[0].get("Media duration (s)", "").partition("|")[0].split(";")
        lengths = [length for text in stated if (length := _read_time(text)) is not None]
        # A name may contain a semicolon, so the number of durations decides.
        files = first.split(";") if len(first.split(";")) == len(lengths) else [first] if len(lengths) == 1 else []
        lines[name] = _make_time_line(files or first.split(";"), lengths, offset)
    return lines


def _make_time_line(files: list[str], lengths: Sequence[float], offset: float) -> TimeLine:
    known = len(files) == len(lengths)
    return TimeLine(files, [round(end, 3) for end in accumulate(lengths)] if known else [], offset)


def _find_media(row: Row) -> str:
    return next((name for column in MEDIA if (name := row.get(column, "").strip()) not in NOTHING), "")


def _read_time(text: Any) -> float | None:
    try:
        return parse_time(as_text(text) if not isinstance(text, float) else text, SECONDS, end=False)
    except BadSegment:
        return None


def _read_table(path: Path) -> tuple[list[str], list[Row]]:
    """The column names and the rows; values above the header are added to each row."""
    lines = read_text_lines(path)
    sign = next((sign for sign in "\t,;" if any(_is_header(_split(line, sign)) for line in lines[:100])), None)
    if sign is None:
        raise UserError(f"{path}: no line of it names the columns {BEHAVIOR} and {START} or {TIME}; {REMEDY}")
    try:
        cells = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=sign))
    except csv.Error as error:
        raise UserError(f"{path}: {error}; {REMEDY}") from None
    first = next((number for number, row in enumerate(cells) if _is_header(row)), None)
    if first is None:
        raise UserError(f"{path}: a quote above the names of the columns is not closed; {REMEDY}")
    columns = [name.strip() for name in cells[first]]
    above = {PREAMBLE[row[0].strip()]: row[1].strip() for row in cells[:first] if row and row[0].strip() in PREAMBLE}
    rows: list[Row] = [
        {**above, **dict(zip(columns, (cell.strip() for cell in row), strict=False))}
        for row in cells[first + 1 :]
        if any(cell.strip() for cell in row)
    ]
    return [*columns, *(name for name in above if name not in columns)], rows


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.strip() for cell in cells}
    return BEHAVIOR in names and (START in names or (TIME in names and bool(names & set(STATUS))))


def _split(line: str, sign: str) -> list[str]:
    return next(csv.reader([line], delimiter=sign), [])


def _read_project(path: Path) -> tuple[list[str], list[Event], dict[str, TimeLine]]:
    content = read_content(path, REMEDY)
    if not isinstance(content, dict) or not isinstance(content.get("observations"), dict):
        raise UserError(f"{path}: not a project of {TOOL} with observations; save it again")
    confs = as_object(content.get("behaviors_conf")).values()
    states = {as_text(conf.get("code")) for conf in map(as_object, confs) if "state" in str(conf.get("type")).lower()}
    columns = [OBSERVATION, SUBJECT, BEHAVIOR, "Modifiers", "Comment", "Status", TIME]
    rows: list[Row] = []
    lines = {}
    for name, found in ((name, as_object(found)) for name, found in content["observations"].items()):
        players = as_object(found.get("file"))
        files = [text for file in as_list(players.get("1")) if (text := as_text(file))]
        lengths = as_object(as_object(found.get("media_info")).get("length"))
        known = [length for file in files if (length := as_seconds(lengths.get(file))) is not None]
        lines[name] = _make_time_line(files, known, as_seconds(found.get("time offset")) or 0.0)
        rows += _list_events(name, found.get("events"), states, columns)
    return columns, _pair_events(path, columns, rows), lines


def _list_events(name: str, events: Any, states: set[str], columns: Sequence[str]) -> Iterator[Row]:
    """The events of an observation as rows of tabular events: every second one of a state is its STOP."""
    begun: set[tuple[str, ...]] = set()
    for event in as_list(events):
        if not isinstance(event, list) or len(event) < 5:
            continue
        time, *said = event[:5]
        subject, behavior, modifiers, comment = map(as_text, said)
        key = (subject, behavior, modifiers)
        status = "POINT" if behavior not in states else "STOP" if key in begun else "START"
        begun ^= {key} if behavior in states else set()
        yield dict(zip(columns, (name, subject, behavior, modifiers, comment, status, str(time)), strict=True))
