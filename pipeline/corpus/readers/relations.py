"""VidOR and VidVRD -> rows: one JSON per video, in which each relation of two objects is a clip.

The labels are one such file, or a folder with them at any depth; a parent folder that is named as a split gives the
split. The relation `dog, stand_left, adult` becomes the caption `dog stand to the left of adult` with the category
`[something] stand to the left of [something]` and both objects. Frames have the rate in the file; `end_fid` is
exclusive.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.corpus import (
    WHOLE,
    LabelRow,
    OfficialSplit,
    Segment,
    SourceLocation,
    as_text,
    make_id,
    make_segment_id,
    number_repeats,
    parse_split,
)
from pipeline.corpus.readers.exports import as_list, as_object, as_seconds
from pipeline.corpus.readers.json_files import read_content
from pipeline.corpus.segments import BadSegment, check_segment
from pipeline.corpus.video_names import ANYWHERE
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.params import DatasetParams

OBJECTS, RELATIONS = "subject/objects", "relation_instances"
REMEDY = "download it again or repair it"
MAX_FOLDERS = 64  # searched to detect the format
SLOT = "[something]"
# VidVRD abbreviates the end of predicates: `stand_left`, `larger`.
LAST_WORDS = {
    "left": "to the left of",
    "right": "to the right of",
    "front": "in front of",
    "away": "away from",
    "taller": "taller than",
    "larger": "larger than",
    "faster": "faster than",
}


def read_rows(labels: Path, _: DatasetParams) -> list[LabelRow]:
    """A row for each relation. Raises UserError if there are none, or a file has another format."""
    paths = list(_list_files(labels)) if labels.is_dir() else [labels]
    rows: list[LabelRow] = []
    empty: list[Path] = []
    for path in paths:
        found = list(_read_file(path, path.relative_to(labels) if labels.is_dir() else Path(path.name)))
        rows += found
        empty += [] if found else [path]
    if not rows:
        raise UserError(f"{labels}: holds no JSON with {RELATIONS} of a video; see dataset.labels")
    if empty:
        print(f"filter: {len(empty)} of {len(paths)} files hold no relation, such as {empty[0]}", file=sys.stderr)
    return number_repeats(rows)


def detect(labels: Path) -> str | None:
    """Why labels have this format, by the first JSON file; None if they do not."""
    path = next(_list_files(labels, MAX_FOLDERS), None)
    try:
        content = read_content(path) if path else None
    except UserError:  # left to other readers
        return None
    known = isinstance(content, dict) and {OBJECTS, RELATIONS} <= content.keys()
    return f"{path.name} has {RELATIONS}" if path and known else None


def _list_files(labels: Path, most: int | None = None) -> Iterator[Path]:
    """The file itself, or the JSON files in the first `most` folders, in order."""
    if labels.is_file():
        yield from [labels] if _is_json(labels.name) else []
    for folder, below, names in islice(os.walk(labels), most):
        below.sort()
        yield from (Path(folder) / name for name in sorted(names) if _is_json(name))


def _is_json(name: str) -> bool:
    return name[0] != "." and name.lower().endswith(".json")


def _read_file(path: Path, inner: Path) -> Iterator[LabelRow]:
    """The relations of a file; `inner` is its path within the labels."""
    content = read_json(path, REMEDY)
    if not isinstance(content, dict) or not isinstance(content.get(RELATIONS), list):
        raise UserError(f"{path}: holds no list {RELATIONS}, as files of VidOR and VidVRD do; see dataset.labels")
    video = as_text(content.get("video_path")) or as_text(content.get("video_id")) or path.stem
    splits = [split for part in inner.parts[:-1] if (split := parse_split(part))]
    objects = {
        as_text(one.get("tid")): _spell(one.get("category")) for one in map(as_object, as_list(content.get(OBJECTS)))
    }
    for number, relation in enumerate(content[RELATIONS], 1):
        where = (inner.as_posix(), f"entry {number}")
        yield _make_row(as_object(relation), objects, video, content.get("fps"), splits[-1] if splits else "all", where)


def _make_row(
    relation: Mapping[str, Any],
    objects: Mapping[str, str],
    video: str,
    rate: Any,
    split: OfficialSplit,
    location: SourceLocation,
) -> LabelRow:
    """The row of a relation, without a caption if any of its objects is not listed."""
    pair = tuple(objects.get(as_text(relation.get(key)), "") for key in ("subject_tid", "object_tid"))
    predicate = _spell_predicate(as_text(relation.get("predicate")))
    known = bool(predicate) and all(pair)
    segment, fault = _read_segment(relation, rate)
    return LabelRow(
        id=make_segment_id(make_id(video), segment),
        label=f"{pair[0]} {predicate} {pair[1]}" if known else "",
        template=f"{SLOT} {predicate} {SLOT}" if known else "",
        placeholders=(),
        objects=pair if known else (),
        official_split=split,
        location=location,
        video=f"{ANYWHERE}{video}",
        segment=segment,
        segment_fault=fault,
    )


def _read_segment(relation: Mapping[str, Any], rate: Any) -> tuple[Segment, str]:
    begin, end, found = relation.get("begin_fid"), relation.get("end_fid"), as_seconds(rate)
    first, last = as_seconds(begin), as_seconds(end)
    if not found or found < 0 or first is None or last is None:
        return WHOLE, f"begin_fid {begin!r} to end_fid {end!r} at {rate!r} per second is not a range of frames"
    try:
        return check_segment(first / found, last / found), ""
    except BadSegment as error:
        return WHOLE, str(error)


def _spell(category: Any) -> str:
    """A class in words; of several names, the first: `ball/sports_ball` -> `ball`."""
    return as_text(category).partition("/")[0].replace("_", " ").strip()


def _spell_predicate(name: str) -> str:
    first, _, last = name.strip().rpartition("_")
    return f"{first} {LAST_WORDS.get(last, last)}".replace("_", " ").strip()
