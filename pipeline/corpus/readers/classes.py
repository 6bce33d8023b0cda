"""Names of classes: from the files that datasets provide with their labels, and from the paths of videos.

Supported are files with lines `0 Name`, `Name 0`, `c000 Name`, `ANG Name` or `Name`, numbered from 0; those of FineGym
and AVA; and JSON: a list of names or of lists of words, or an object of names by number or code, or of numbers by name.

`dataset.path_pattern` is a regular expression with a named capture group each for captions, categories, groups and
official splits in paths. File names of some published datasets are recognised without it: they give the groups of clips
in all formats, and the categories in a folder of videos.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import SPLIT_NAMES, LabelRow, parse_split
from pipeline.corpus.groups import keep_groups_whole
from pipeline.corpus.text_files import read_text_lines
from pipeline.corpus.video_names import ANYWHERE, has_video_ending, split_ending
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.letters import CAMEL_CASE
from pipeline.params import DatasetParams
from pipeline.sources.tables import is_table, read_class_names

Pairs = list[tuple[str, str]]  # number or code, name

NUMBERED = re.compile(r"\s*(\d+)[\s,;:]+(\S.*?)\s*|\s*(\S.*?)[\s,;:]+(\d+)\s*")
CODE = re.compile(r"[A-Za-z]\d+")  # of Charades
CODED = re.compile(rf"\s*({CODE.pattern})[\s,;:.]+(\S.*?)\.?\s*")
# Codes in capitals, as in the file names of CREMA-D: names in capitals alone are no codes.
CAPITALS = re.compile(r"\s*([A-Z][A-Z0-9]{1,5})[\s,;:]+(?=.*[a-z])(\S.*?)\s*")
LABELLED = re.compile(r"\s*[CG]label:\s*(\d+);.*;\s*(\S[^;]*?)\s*")  # of FineGym
MESSAGE = re.compile(r'name:\s*"([^"]+)"\s*(?:label_)?id:\s*(\d+)')  # of AVA, a protocol buffer as text

ENGLISH = {"en", "eng", "english"}  # column of a table with names in several languages

OTHER_FILE = re.compile(r"\.[A-Za-z]\w{1,4}\Z")  # unless it is a video

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
    # 000000012_00003: video, clip
    "video2dataset": r"(?P<group>\d{7,})_\d{5}",
    # S001C002P003R001A013_rgb: setup, camera, person, repetition, action
    "NTU RGB+D": r"S\d{3}C\d{3}(?P<group>P\d{3})R\d{3}(?P<category>A\d{3})(?:_\w+)?",
    # person01_boxing_d1_uncomp: scenario
    "KTH": r"(?P<group>person\d\d)_(?P<category>[a-z]+)_d\d(?:_uncomp)?",
}


def read_classes(path: Path) -> dict[str, str]:
    """Class number or code -> name. Raises UserError if a number is duplicate, or the file has another format."""
    pairs = _list_json(path) if path.suffix.lower() == ".json" else _list_lines(_read_lines(path))
    named = {_normalise(number): name for number, name in pairs}
    if len(named) < len(pairs):
        raise UserError(f"{path}: names a class number twice; see dataset.classes")
    # The codes of Charades are also used as numbers: c012 is 12.
    return named | {str(int(code[1:])): name for code, name in named.items() if CODE.fullmatch(code)}


def read_named_classes(labels: Path, dataset: DatasetParams) -> dict[str, str]:
    """The classes of `dataset.classes`, a file in the folder of labels; empty if it is not set."""
    if not dataset.classes:
        return {}
    if not labels.is_dir():
        raise UserError(f"{labels}: make dataset.labels the folder that holds both these labels and dataset.classes")
    return read_classes(labels / dataset.classes)


def number_names(table: Path, column: str | int | None) -> dict[str, str]:
    """The class names stored in a Parquet or Arrow table for a column of class numbers; empty if there are none.

    Raises UserError if the table is broken.
    """
    named = read_class_names(table) if is_table(table) and table.is_file() else {}
    return named.get(str(column), {})


def find_name(label: str, classes: Mapping[str, str]) -> str | None:
    """The name of a class by its number, code or name; None if there is no such class."""
    plain = _normalise(label.strip())
    number = str(int(plain[1:])) if CODE.fullmatch(plain) else plain  # A1 of A001
    return classes.get(plain) or (plain if plain in classes.values() else classes.get(number))


def _normalise(number: str) -> str:
    return str(int(number)) if number.isdecimal() else number


def _read_lines(path: Path) -> list[str]:
    """The lines; of a table with several names of a class, `ClassId,TR,EN` of AUTSL, the numbers and English names.

    Raises UserError if it has several names and none is called English.
    """
    lines = [line for line in read_text_lines(path) if line.strip()]
    if len(lines) <= 2 or len({line.count(",") for line in lines}) != 1 or NUMBERED.fullmatch(lines[0]):
        return lines
    _, *names = lines[0].split(",")
    if len(names) < 2:
        return lines
    english = next((number for number, name in enumerate(names, 1) if name.strip().lower() in ENGLISH), None)
    if english is None:
        raise UserError(f"{path}: has several names for each class, {', '.join(names)}; keep one of these columns")
    _print_once(f"filter: {path}: of the names of classes, {', '.join(names)}, those of {names[english - 1]} are used")
    return [",".join((cells[0], cells[english])) for cells in (line.split(",") for line in lines)]


@cache
def _print_once(text: str) -> None:
    print(text)


def _list_lines(lines: Sequence[str]) -> Pairs:
    if message := MESSAGE.findall("\n".join(lines)):
        return [(number, name) for name, number in message]
    if steps := _list_steps(lines):
        return steps
    for pattern in (LABELLED, CODED, NUMBERED, CAPITALS):
        found = [pattern.fullmatch(line) for line in lines]
        pairs = [(match[1] or match[4], match[2] or match[3]) for match in found if match]
        if pattern is CAPITALS and len({code for code, _ in pairs}) < len(pairs):  # first words of names
            continue
        if all(found) or (all(found[1:]) and len(found) > 2):  # possibly after a header
            return pairs
    return [(str(number), line.strip().strip('"')) for number, line in enumerate(lines)]


def _list_steps(lines: Sequence[str]) -> Pairs:
    """The steps of tasks, `23521.1` and `pour water`, of CrossTask's blocks of a number, a title, a URL, the number of
    steps and their names; empty for any other lines."""
    tasks = [[line.strip() for line in lines[index : index + 5]] for index in range(0, len(lines), 5)]
    if not all(len(task) == 5 and task[3] == str(len(task[4].split(","))) and "://" in task[2] for task in tasks):
        return []
    return [(f"{task[0]}.{number}", step) for task in tasks for number, step in enumerate(task[4].split(","), 1)]


def _list_json(path: Path) -> Pairs:
    content: Any = read_json(path, "see dataset.classes")
    if isinstance(content, list):
        return [(str(number), _spell(path, name)) for number, name in enumerate(content)]
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no names of classes, but {json.dumps(content)[:80]}; see dataset.classes")
    numbers = all(str(value).isdecimal() or CODE.fullmatch(str(value)) for value in content.values())
    by_name = numbers and not all(str(key).isdecimal() for key in content)
    # SlowFast's names are within quotes: {"\"sharpening knives\"": 232}.
    return [(str(value), key.strip('"')) if by_name else (key, _spell(path, value)) for key, value in content.items()]


def _spell(path: Path, name: Any) -> str:
    """A name, given as text or as a list of words, as text."""
    words = name if isinstance(name, list) else [name]
    if not words or not all(isinstance(word, str) for word in words):
        raise UserError(f"{path}: {json.dumps(name)[:80]} is not a class name; see dataset.classes")
    return " ".join(words)


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
    kind = find_kind([path for path in paths if has_video_ending(path) or not OTHER_FILE.search(path)])
    if kind is None:
        return list(rows)
    print(f"filter: the videos are called as those of {kind.name}: clips of one source stay in one split")
    found = [kind.pattern.fullmatch(split_ending(path.rpartition("/")[2])[0]) for path in paths]
    grouped = [row._replace(group=match["group"]) if match else row for row, match in zip(rows, found, strict=True)]
    return keep_groups_whole(grouped)


def spell_out(name: str) -> str:
    """A name as a caption: `ApplyEyeMakeup` -> `apply eye makeup`, `brush_hair` and `Brush.Hair` -> `brush hair`."""
    words = re.sub(CAMEL_CASE, " ", name.replace("_", " "))
    return (words if " " in words else re.sub(r"-|(?<=[^\W\d])\.(?=[^\W\d])", " ", words)).lower()


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
