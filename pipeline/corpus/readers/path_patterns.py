"""Captions, categories, groups and official splits of rows from the paths of videos.

`dataset.path_pattern` is a regular expression with a named capture group for each. File names of some published
datasets are recognised without it: they give the groups of clips in all formats, and the categories in a folder of
videos.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.corpus import SPLIT_NAMES, LabelRow, parse_split
from pipeline.corpus.groups import keep_groups_whole
from pipeline.corpus.readers.classes import CODE, find_name
from pipeline.corpus.video_names import ANYWHERE, split_ending
from pipeline.errors import UserError
from pipeline.letters import CAMEL_CASE

LABELS = ("caption", "category")

# film, class, visible body, camera, people, side, quality, number: April_09_brush_hair_u_nm_np1_ba_goo_0
HMDB_WORDS = (
    *("brush_hair", "climb_stairs", "draw_sword", "fall_floor", "flic_flac", "kick_ball", "ride_bike", "ride_horse"),
    *("shake_hands", "shoot_ball", "shoot_bow", "shoot_gun", "swing_baseball", "sword_exercise"),
)
HMDB_END = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"

FIELD_PATTERNS = {  # patterns of file names without extension
    # v_ApplyEyeMakeup_g08_c01: the eighth source of a class
    "UCF-101": r"(?P<group>v_(?P<category>\w+)_g\d\d)_c\d\d",
    "HMDB-51": rf"(?P<group>.+?)_(?P<category>{'|'.join(HMDB_WORDS)}|[a-z]+){HMDB_END}",
    # 0wR5jVB-WPk_000417_000427: id of YouTube, start, end
    "Kinetics": r"(?P<group>[\w-]{11})_\d{6}_\d{6}",
    # S001C002P003R001A013_rgb: setup, camera, person, repetition, action
    "NTU RGB+D": r"S\d{3}C\d{3}(?P<group>P\d{3})R\d{3}(?P<category>A\d{3})(?:_\w+)?",
    # person01_boxing_d1_uncomp: scenario
    "KTH": r"(?P<group>person\d\d)_(?P<category>[a-z]+)_d\d(?:_uncomp)?",
}


class Kind(NamedTuple):
    """A dataset, and the pattern of its file names."""

    name: str
    pattern: re.Pattern[str]


def find_kind(paths: Sequence[str]) -> Kind | None:
    """The dataset whose pattern all file names match; None if there is none."""
    names = (split_ending(path.rpartition("/")[2])[0] for path in paths)
    first = next(names, "")
    for name, text in FIELD_PATTERNS.items():
        pattern = re.compile(text)
        # Usually, the first name already fails.
        if pattern.fullmatch(first) and all(map(pattern.fullmatch, names)):
            return Kind(name, pattern)
    return None


def names_labels(pattern: str | re.Pattern[str] | None) -> bool:
    """Whether a pattern has a group for captions or categories."""
    return pattern is not None and not re.compile(pattern).groupindex.keys().isdisjoint(LABELS)


def label_rows(
    rows: Sequence[LabelRow], pattern: str | re.Pattern[str] | None, classes: Mapping[str, str], key: str
) -> list[LabelRow]:
    """The rows with values replaced by those that the pattern finds in paths; groups are left to `join_groups`.

    With `classes`, it finds their codes. The caption defaults to the category in words. Raises UserError that names the
    key if the pattern matches no path, or finds an unknown class or split.
    """
    expression = re.compile(pattern or "")
    if expression.groupindex.keys().isdisjoint((*LABELS, "split")) or not rows:
        return list(rows)
    found = [expression.search(row.video.removeprefix(ANYWHERE) or row.id) for row in rows]
    others = [row.video or row.id for row, match in zip(rows, found, strict=True) if match is None]
    if len(others) == len(rows):
        raise UserError(f"{key} {expression.pattern!r} fits no path, such as {others[0]}")
    if others:
        message = f"{len(others)} of {len(rows)} paths do not fit {key}, such as {others[0]}"
        print(f"filter: {message}", file=sys.stderr)
    labelled = [
        _label_row(row, match.groupdict(), classes, key) if match else row
        for row, match in zip(rows, found, strict=True)
    ]
    _refuse_codes(labelled, key)
    return labelled


def group_by_origin(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows with groups from file names, if these are of a known dataset and no row has a group; that is printed.

    Groups that are in several official splits are removed.
    """
    if not rows or any(row.group or row.recording for row in rows):
        return list(rows)
    paths = [row.video or row.id for row in rows]
    kind = find_kind(paths)
    if kind is None:
        return list(rows)
    print(f"filter: the videos are called as those of {kind.name}: clips of one source stay in one split")
    found = [kind.pattern.fullmatch(split_ending(path.rpartition("/")[2])[0]) for path in paths]
    grouped = [row._replace(group=match["group"]) for row, match in zip(rows, found, strict=True) if match]
    return keep_groups_whole(grouped)


def spell_out(name: str) -> str:
    """A name as a caption: `ApplyEyeMakeup` -> `apply eye makeup`, `brush_hair` -> `brush hair`."""
    words = re.sub(CAMEL_CASE, " ", name.replace("_", " "))
    return (words if " " in words else words.replace("-", " ")).lower()


def _label_row(row: LabelRow, found: Mapping[str, str | None], classes: Mapping[str, str], key: str) -> LabelRow:
    said, named, split = (found.get(field) or "" for field in (*LABELS, "split"))
    code = named or said
    label = (find_name(code, classes) if classes else code) if code else ""
    if label is None:
        raise UserError(f"{row.location[0]}: {key} finds the class {code!r}, which dataset.classes does not name")
    official = parse_split(split) if split else row.official_split
    if official is None:
        raise UserError(f"{row.location[0]}: {key} finds the split {split!r}; known are {SPLIT_NAMES}")
    if not label:
        return row._replace(official_split=official)
    caption = spell_out(said if said and named else label)
    return row._replace(
        template=label if named or not row.template else row.template,
        label=caption if said or not row.label else row.label,
        official_split=official,
    )


def _refuse_codes(rows: Sequence[LabelRow], key: str) -> None:
    """Raise UserError if all captions are class codes, which are meaningless to a model."""
    labels = [row.label for row in rows if row.label]
    if labels and all(CODE.fullmatch(label) or label.isdecimal() for label in labels):
        message = f"{key} finds classes by their codes, such as {labels[0].upper()!r}"
        way = "put their names into a file in the folder of labels, a line for each, and name it in dataset.classes"
        raise UserError(f"{rows[0].location[0]}: {message}; {way}: {labels[0].upper()} drink water")
