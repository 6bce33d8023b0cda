"""Parts of videos in labels: times in many notations, frame numbers, and lists of them in one cell -> `Segment`."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from pipeline.corpus import WHOLE, Segment, as_text
from pipeline.letters import CAMEL_CASE
from pipeline.params import DatasetParams, SegmentParams

# hours, minutes, seconds; pandas writes a difference of times as `0 days 00:00:01.5`
CLOCK = re.compile(r"(?:(?:(\d+) days? )?(\d+):)?(\d+):(\d+(?:[.,]\d+)?)\Z")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?\Z")
COMMA = re.compile(r"[+-]?\d+,\d+\Z")  # the decimal sign of most of Europe
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}\Z")  # ambiguous: the comma may separate thousands
UNITS = re.compile(  # 12.5s, 5 s, 500 ms, 1m30s, 1h 2min 3sec, and ISO 8601: PT1M30S
    r"(?:P?T)?(?=\d)(?:(?P<h>\d+)\s*h(?:ours?|rs?)?\s*)?(?:(?P<m>\d+)\s*m(?:in(?:utes?|s)?)?\s*)?"
    r"(?:(?P<s>\d+(?:[.,]\d+)?)\s*s(?:ec(?:onds?|s)?)?\s*)?(?:(?P<ms>\d+)\s*ms(?:ecs?)?)?\Z",
    re.IGNORECASE,
)
TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)[:;](\d\d)\Z")  # hours, minutes, seconds, frames
RANGE = re.compile(r"([\d:.,]+)\s*(?:-|\u2013|to)\s*([\d:.,]+)\Z")  # 0.5-2.5, 0:01 - 0:05
NUMBERS = re.compile(r"[\[\]\s\d.e+-]+\Z")  # of NumPy, without commas: [0.5 2.5], [[0. 1.] [2. 3.]]
LONGEST_LIST = 1 << 22  # characters of a list in one cell
NOTHING = {"", "na", "n/a", "nan", "none", "null"}

STARTS = {"start", "begin", "onset", "from"}
ENDS = {"end", "stop", "finish", "offset", "to"}
LENGTHS = {"duration", "length", "dur"}
SELDOM_STARTS, SELDOM_ENDS = {"first", "in", "inpoint"}, {"last", "out", "outpoint"}  # often of something else
IN_ONE = {
    "segment",
    "segments",
    "ts",
    "span",
    "timestamps",
    "relevant windows",
    "times",
    "temporal segment",
}  # start and end
BESIDE = {
    *("time", "timestamp", "frame", "sec", "secs", "second", "seconds", "s", "ms", "t", "clip", "segment", "temporal"),
    *("coordinates", "video", "timestep", "narration", "action", "event", "index", "idx", "realigned"),
    *("msec", "millis", "milliseconds"),
}
MILLISECONDS = {"ms", "msec", "millis", "milliseconds"}
COUNTS = {"index", "idx"}  # of frames, as names with `frame` in them are

# A list of quoted texts. NumPy's notation, which has no commas, is excluded: Python would concatenate the texts.
QUOTED_LIST = re.compile(r"""\s*\[\s*(['"])(?!.*\1\s+\1).*['"]\s*,?\s*\]\s*\Z""", re.DOTALL)


class BadSegment(ValueError):
    """Labels state an invalid part of a video; the message quotes it."""


def parse_time(value: Any, options: SegmentParams, *, end: bool) -> float | None:
    """Seconds from the first frame, from a number in `options.unit`, or a time: `1:02:03.5`, `02:03.5`, `1m30s`.

    The last part of a timecode, `00:00:01:12`, counts frames at `options.rate`.
    None if the cell is empty. `end` tells that it is the end of a part. Raises BadSegment for anything else.
    """
    if isinstance(value, (time, timedelta)):  # from Parquet
        return _count_seconds(value)
    text = repr(value) if isinstance(value, float) else as_text(value).strip()
    text = str(value) if isinstance(value, Decimal) else text
    if value is None or text.lower() in NOTHING:
        if value is None or isinstance(value, (str, float)):
            return None
        raise BadSegment(f"{str(value)[:40]!r} is not a time")
    if found := CLOCK.match(text):
        days, hours, minutes, seconds = found.groups()
        whole = (int(days or 0) * 24 + int(hours or 0)) * 3600 + int(minutes) * 60
        return float(whole + Fraction(seconds.replace(",", ".")))
    if found := TIMECODE.match(text):
        return _read_timecode(found, options)
    if found := UNITS.match(text):
        return _sum_units(found)
    if THOUSANDS.match(text):
        raise BadSegment(f"{text!r} is {text.replace(',', '.')} or {text.replace(',', '')}; write it without a comma")
    text = text.replace(",", ".") if COMMA.match(text) else text
    if not NUMBER.match(text):
        raise BadSegment(f"{text[:40]!r} is not a time")
    if options.unit == "seconds":
        return float(text)
    number = Fraction(text)
    if options.unit == "frames":
        assert options.rate is not None  # checked by params
        number += end and options.last == "included"
        return float((number - options.first) / Fraction(str(options.rate)))
    return float(number / 1000)


def _read_timecode(found: re.Match[str], options: SegmentParams) -> float:
    if options.rate is None:
        raise BadSegment(f"{found[0]!r} counts frames; set segments.rate to their number per second")
    hours, minutes, seconds, frames = map(int, found.groups())
    whole = (hours * 60 + minutes) * 60 + seconds
    return float(whole + frames / Fraction(str(options.rate)))


def _sum_units(found: re.Match[str]) -> float:
    lengths = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
    return float(sum(Fraction((found[unit] or "0").replace(",", ".")) * length for unit, length in lengths.items()))


def read_segment(start: Any, end: Any, options: SegmentParams) -> tuple[Segment, str]:
    """The part between two cells, either of which may be empty, and its fault, or an empty text.

    With `options.around`, `start` is a point in time, and the part surrounds it.
    """
    try:
        if options.around is not None:
            return surround_point(parse_time(start, options, end=False), options.around), ""
        return check_segment(parse_time(start, options, end=False), parse_time(end, options, end=True)), ""
    except BadSegment as error:
        return WHOLE, str(error)


def check_segment(start: float | None, end: float | None) -> Segment:
    """The part from `start` to `end`. Raises BadSegment if it is empty, reversed or starts before the video."""
    segment = Segment(round(start or 0.0, 6), math.inf if end is None else round(end, 6))
    if not math.isfinite(segment.start) or math.isnan(segment.end):
        raise BadSegment(f"from {segment.start} to {segment.end} s is not a segment")
    if segment.start < 0:
        raise BadSegment(f"begins at {segment.start:g} s, before the video")
    if segment.end <= segment.start:
        what = "empty" if segment.end == segment.start else "reversed"
        raise BadSegment(f"from {segment.start:g} to {segment.end:g} s is {what}")
    return segment


def list_segments(cell: Any, options: SegmentParams) -> list[tuple[Segment, str]]:
    """The parts in one cell: `[start, end]` or a list of such pairs, also as text in JSON, Python or NumPy notation.

    A pair may be an object with named start and end, or a text such as `0:01 - 0:05`.
    """
    value = parse_list(_write_brackets(cell) if isinstance(cell, str) else cell)
    value = [value] if isinstance(value, dict) else value
    if value == []:
        return [(WHOLE, "its list of parts is empty")]
    if not isinstance(value, list):
        if value is None or as_text(value).strip().lower() in NOTHING:
            return [(WHOLE, "")]
        return [(WHOLE, f"{as_text(value)[:40]!r} is not a list of start and end")]
    pairs = value if value and all(isinstance(pair, list | tuple | dict) for pair in value) else [value]
    return [_read_pair(pair, options) for pair in pairs]


def _write_brackets(text: str) -> str:
    """A tuple, NumPy's notation or a range in the notation of a list; other texts unchanged."""
    text = text.strip()
    if found := RANGE.match(text):
        return json.dumps(found.groups())
    if text.startswith("(") and text.endswith(")"):
        return f"[{text[1:-1]}]"
    if text.startswith("[") and NUMBERS.match(text):
        separated = re.sub(r"(?<=[\d.\]])\s+(?=[\d.\[+-])", ", ", text)
        return re.sub(r"\.(?=[,\]])", ".0", separated)
    return text


def parse_list(cell: Any) -> Any:
    """The list in a cell, or in its text in JSON or Python notation; any other cell unchanged."""
    if isinstance(cell, tuple):
        return list(cell)
    if not isinstance(cell, str) or not cell.strip().startswith("[") or len(cell) > LONGEST_LIST:
        return cell
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else cell
    return cell


def find_segment_columns(header: Sequence[str]) -> list[str]:
    """The columns that look like start and end of a part of a video, in order; a single one does not count."""
    starts = [name for name in header if is_start(name)]
    ends = [name for name in header if _is_about(name, ENDS)]
    in_one = [name for name in header if is_in_one(name)]
    return [name for name in header if name in (*(starts + ends if starts and ends else []), *in_one)]


def find_doubtful_columns(header: Sequence[str]) -> list[str]:
    """The columns that may be start and end of a part, by less reliable names, or start and duration."""
    seldom = [[name for name in header if _is_about(name, what)] for what in (SELDOM_STARTS, SELDOM_ENDS)]
    lasting = [[name for name in header if is_start(name)], [name for name in header if _is_about(name, LENGTHS)]]
    return [name for pair in (seldom, lasting) if all(pair) for name in header if name in (*pair[0], *pair[1])]


def is_start(name: str) -> bool:
    """Whether a column looks like the start of a part."""
    return _is_about(name, STARTS)


def counts_frames(name: str) -> bool:
    """Whether a column of starts or ends looks like frame numbers, whose rate is unknown."""
    return "frame" in name.lower() or not COUNTS.isdisjoint(_list_words(name))


def adopt_unit(options: SegmentParams, names: Iterable[str]) -> SegmentParams:
    """The options with the unit that column names such as `start_ms` state."""
    in_milliseconds = any(not MILLISECONDS.isdisjoint(_list_words(name)) for name in names)
    return options.model_copy(update={"unit": "milliseconds"}) if in_milliseconds else options


def is_in_one(name: str) -> bool:
    """Whether a column looks like start and end in one cell."""
    return " ".join(_list_words(name)) in IN_ONE


def _count_seconds(value: time | timedelta) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6


def _read_pair(pair: Any, options: SegmentParams) -> tuple[Segment, str]:
    if isinstance(pair, dict):
        places = [[pair[name] for name in pair if _is_about(name, what)] for what in (STARTS, ENDS)]
        pair = [place[0] for place in places] if all(len(place) == 1 for place in places) else pair
    if isinstance(pair, dict) or len(pair) != 2:
        return WHOLE, f"{str(pair)[:40]} is not a pair of start and end"
    return read_segment(pair[0], pair[1], options)


def surround_point(point: float | None, around: float) -> Segment:
    """The part from `around` seconds before to after a point in time. Raises BadSegment if the point is None."""
    if point is None:
        raise BadSegment("the point in time is missing")
    return check_segment(max(point - around, 0.0) if point >= 0 else point, point + around)


def _is_about(name: str, what: set[str]) -> bool:
    words = _list_words(name)
    return sum(word in what for word in words) == 1 and all(word in what or word in BESIDE for word in words)


def _list_words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(CAMEL_CASE, " ", name).lower())


class Part(NamedTuple):
    """A part of a video with the cells of its row, unparsed."""

    caption: Any
    category: Any
    segment: Segment
    fault: str  # why the part is invalid, or empty


def list_parts(row: Mapping[str, Any], dataset: DatasetParams) -> list[Part]:
    """The parts in the cells of a row, by keys of dataset.columns; at least one.

    Lists of captions, categories and segments are combined element by element; a single value is used for all parts.
    """
    caption, category = _read_texts(row.get("caption")), row.get("category")
    listing = any(isinstance(cell, list | tuple) for cell in (caption, category))
    if not listing and row.keys().isdisjoint(("start", "end", "segment")):  # the common case
        return [Part(caption, category, WHOLE, "")]
    segments, listed = _read_segments(row, dataset)
    captions = _list_cell(caption, listed)
    categories = _list_cell(category, listed)
    count = max(len(captions), len(segments))
    fault = ""
    if len(captions) > 1 < len(segments) != len(captions):
        fault = f"{len(segments)} parts of the video, but {len(captions)} captions"
    elif len(categories) not in (1, count):
        fault = f"{len(categories)} categories, but {count} {'parts of the video' if listed else 'captions'}"
    if fault:
        return [Part(captions[0], categories[0], WHOLE, fault)]
    return [
        Part(captions[number % len(captions)], categories[number % len(categories)], *segments[number % len(segments)])
        for number in range(count)
    ]


def _read_texts(cell: Any) -> Any:
    """The list of texts in a cell in JSON or Python notation; any other cell unchanged."""
    if not isinstance(cell, str) or not QUOTED_LIST.match(cell):
        return cell
    found = parse_list(cell)
    return found if isinstance(found, list) and all(isinstance(text, str) for text in found) else cell


def _read_segments(row: Mapping[str, Any], dataset: DatasetParams) -> tuple[list[tuple[Segment, str]], bool]:
    """The segments with their faults, and whether the row lists them."""
    if dataset.columns.segment is not None:
        return list_segments(row["segment"], dataset.segments), True
    starts, ends = parse_list(row.get("start")), parse_list(row.get("end"))
    if not isinstance(starts, list) and not isinstance(ends, list):
        return [read_segment(starts, ends, dataset.segments)], False
    starts, ends = (times if isinstance(times, list) else [times] for times in (starts, ends))
    count = max(len(starts), len(ends))
    if not count:
        return [(WHOLE, "its list of parts is empty")], True
    if not all(len(times) in (1, count) for times in (starts, ends)):
        return [(WHOLE, f"{len(starts)} starts, but {len(ends)} ends")], True
    pairs = [(starts[number % len(starts)], ends[number % len(ends)]) for number in range(count)]
    return [read_segment(start, end, dataset.segments) for start, end in pairs], True


def _list_cell(cell: Any, parse: bool) -> list[Any]:
    """The list in a cell, or the cell as a list; an empty list gives one empty text."""
    value = parse_list(cell) if parse else cell
    return (value or [""]) if isinstance(value, list) else [value]
