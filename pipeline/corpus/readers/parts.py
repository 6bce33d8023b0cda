"""One row's cells -> the parts of a video that it labels: lists in its cells go together by their places."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.corpus.rows import WHOLE, Segment
from pipeline.corpus.segments import list_segments, parse_list, read_segment
from pipeline.params import DatasetParams

# Text within brackets and quotes. NumPy puts no commas between texts, which Python would join.
QUOTED_LIST = re.compile(r"""\s*\[\s*(['"])(?!.*\1\s+\1).*['"]\s*,?\s*\]\s*\Z""", re.DOTALL)


class Part(NamedTuple):
    """A part of a video with what its row says of it; the cells are as they stand there."""

    caption: Any
    category: Any
    segment: Segment
    fault: str  # why the part is none; empty where it is one


def list_parts(row: Mapping[str, Any], dataset: DatasetParams) -> list[Part]:
    """The parts that the cells of a row name, by keys of dataset.columns; one at least.

    One caption, category or segment goes with all of the others; of as many as there are, each goes with its own.
    """
    caption, category = _read_texts(row.get("caption")), row.get("category")
    listing = any(isinstance(cell, list | tuple) for cell in (caption, category))
    if not listing and row.keys().isdisjoint(("start", "end", "segment")):  # as in nearly all tables
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
    """The texts that a cell lists as JSON or Python write them; any other cell as it is."""
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
    """What a cell lists, or the cell alone; nothing in it is an empty text."""
    value = parse_list(cell) if parse else cell
    return (value or [""]) if isinstance(value, list) else [value]
