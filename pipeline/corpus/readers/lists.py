"""Lists without a header, delimited by blanks, tabs, commas or semicolons -> rows.

Columns are numbered from 1 in `dataset.columns`; by default, the first is the video and the second the caption. The
labels are one list, or a folder with lists named after their splits, such as `train.csv`, `jester-v1-train.csv` or
`kinetics_val_list.txt`, and optionally a file of class names, `dataset.classes`. The official split lists of UCF-101
and HMDB-51 have separate readers: `dataset.labels` is the folder of lists, `dataset.videos` has a folder of videos per
class, and `dataset.official_list` selects one of the three splits.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipeline.corpus import (
    LabelRow,
    OfficialSplit,
    SourceLocation,
    find_split,
    make_path_row,
    number_repeats,
    parse_split,
)
from pipeline.corpus.readers.cells import DELIMITERS, LocatedCells
from pipeline.corpus.readers.classes import names_labels, read_classes, read_named_classes, spell_out
from pipeline.corpus.readers.table import Table, list_columns, list_fields, make_table_rows
from pipeline.corpus.text_files import read_text_lines
from pipeline.corpus.video_names import has_video_ending, split_ending
from pipeline.errors import UserError
from pipeline.params import ColumnParams, DatasetParams

ENDINGS = (".txt", ".csv", ".tsv", ".lst", ".list")
POSITIONS = {"path": 1, "caption": 2}  # of columns that are not set
BEHIND_ENDING = re.compile(r"(\.\w+)([\t;|, ])")
NUMBERS = re.compile(r"\d+(?:\.\d+)?(?:\s+\d+(?:\.\d+)?)*")  # of classes, or times
COUNTED = re.compile(r"\s*(\S.*?)\s+\d+\s+(\d+)\s*")  # path, number of frames and class, as in mmaction2

OFFICIAL = re.compile(r"split_?0?([123])(?!\d)")
BY_PATHS = "if folders or names of the videos tell their classes, set dataset.path_pattern: (?P<category>[^/]+)/[^/]+$"

UCF_CLASSES = "classInd.txt"
HMDB_PARTS: dict[str, OfficialSplit] = {"1": "train", "2": "test"}


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows, list by list. Raises UserError if there is no list, or a class number has no name."""
    lists = find_lists(labels, dataset.classes)
    if not lists:
        detail = "holds no list named after a split" if labels.is_dir() else "no such list"
        raise UserError(f"{labels}: {detail} ({', '.join(ENDINGS)}); see dataset.labels")
    lists = _choose_official(lists, dataset.official_list)
    classes = read_named_classes(labels, dataset)
    dataset = dataset.model_copy(update={"columns": _place_columns(dataset.columns)})
    named = {key: int(position) for key, position in list_columns(dataset.columns).items()}  # also within a pattern
    numbers = {} if classes else _read_numbers(lists, named, dataset.delimiter)
    classes = classes or _name_by_folders(named, numbers)
    if not classes and not names_labels(dataset.path_pattern):
        numbers = {}  # to be refused
    listed: dict[Path, list[LabelRow]] = {}
    for path, split in lists.items():
        cells = numbers.get(path) or read_cells(path, named, dataset.delimiter, numbered=bool(classes))
        listed[path] = list(make_table_rows(Table(path, split=split), dataset, named, cells, classes))
    rows = _merge_kinds(listed)
    if numbers and not classes:
        rows = [row._replace(label="") for row in rows]
    if rows and not any(row.label.strip() for row in rows) and not names_labels(dataset.path_pattern):
        fault = f"no line has a caption, as of {rows[0].video!r}"
        raise UserError(f"{labels}: {fault}; {BY_PATHS}")
    return rows if dataset.columns.id else number_repeats(rows)


def find_lists(labels: Path, classes: str | None = None) -> dict[Path, OfficialSplit]:
    """The lists with the splits in their names; empty if there are none."""
    if labels.is_file():
        return {labels: "all"}
    found: dict[Path, OfficialSplit] = {}
    for path in sorted(labels.iterdir()) if labels.is_dir() else []:
        split = find_split(path.stem)
        if split and path.suffix.lower() in ENDINGS and path.name != classes and path.name[0] != ".":
            found[path] = split
    return found


def _choose_official(lists: dict[Path, OfficialSplit], wanted: int) -> dict[Path, OfficialSplit]:
    """Of lists of several official splits, `ucf101_train_split_1_videos.txt`, those of the wanted one; this is printed.

    Together, they would train on what they test on.
    """
    numbers = {path: found[1] if (found := OFFICIAL.search(path.stem)) else "" for path in lists}
    if "" in numbers.values() or len({*numbers.values()}) < 2:
        return lists
    names = ", ".join(sorted({*numbers.values()}))
    print(f"filter: the lists are of the official splits {names}: {wanted} is read, as dataset.official_list says")
    return {path: split for path, split in lists.items() if numbers[path] == str(wanted)}


def _merge_kinds(listed: Mapping[Path, Sequence[LabelRow]]) -> list[LabelRow]:
    """The rows of all lists, without those that an earlier list of the split has; these are counted on stderr.

    mmaction2 lists videos and folders of frames side by side: `train_list_videos.txt`, `train_list_rawframes.txt`.
    Either name finds what there is; the one with an extension is kept.
    """
    first: dict[tuple[OfficialSplit, str, str], Path] = {}
    kept: dict[Path, list[LabelRow]] = {}
    for path, rows in sorted(listed.items(), key=lambda item: not any(has_video_ending(row.video) for row in item[1])):
        keys = [(row.official_split, split_ending(row.video)[0], row.label) for row in rows]
        found = [first.setdefault(key, path) for key in keys]
        kept[path] = [row for row, place in zip(rows, found, strict=True) if place == path]
        if repeated := [place for place in found if place != path]:
            detail = f"{len(repeated)} of {len(rows)} lines repeat those of {repeated[0].name} and are left out"
            print(f"filter: {path}: {detail}", file=sys.stderr)
    return [row for path in listed for row in kept[path]]


def _read_numbers(
    lists: Iterable[Path], named: dict[str, int], delimiter: str | None
) -> dict[Path, list[LocatedCells]]:
    """The cells of each list, if all captions are numbers, and some are missing at most; else empty."""
    index, labelled = list(named).index("caption"), False
    listed: dict[Path, list[LocatedCells]] = {}
    for path in lists:
        found = listed.setdefault(path, [])
        for where, cells in read_cells(path, named, delimiter, numbered=True):
            label = cells[index].strip()
            if label and not label.isdecimal():  # lists of captions are read no further: they are read again
                return {}
            labelled = labelled or bool(label)
            found.append((where, cells))
    return listed if labelled else {}


def _name_by_folders(named: Mapping[str, int], listed: Mapping[Path, Sequence[LocatedCells]]) -> dict[str, str]:
    """Class number -> the folder of its videos, if numbers and folders correspond one to one; else empty.

    `abseiling/a.mp4 0`, as lists for VideoMAE, SlowFast and mmaction2 have it. This is printed.
    """
    rows = [dict(zip(named, cells, strict=True)) for located in listed.values() for _, cells in located]
    pairs = {
        (row["caption"].strip(), PurePosixPath(row.get("path", "").replace("\\", "/")).parent.name)
        for row in rows
        if row["caption"].strip()
    }
    numbers, folders = {number for number, _ in pairs}, {folder for _, folder in pairs}
    if not len(pairs) == len(numbers) == len(folders) > 1 or "" in folders or any(map(parse_split, folders)):
        return {}
    names = {str(int(number)): folder for number, folder in sorted(pairs)}
    number, folder = next(iter(names.items()))
    print(f"filter: the classes are named after the folders of their videos: {number} is {folder!r}")
    return names


def blank_comments(lines: Sequence[str]) -> list[str]:
    """The lines, with those before the first row that begin with `#` emptied: they are comments, as of MSVD."""
    rows = (number for number, line in enumerate(lines) if line.strip() and not _is_comment(line))
    first = next(rows, len(lines))
    return [""] * first + list(lines[first:])


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not any(has_video_ending(found[1]) for found in BEHIND_ENDING.finditer(line))


def guess_delimiter(line: str) -> str:
    """The delimiter of a line: the character after a video's extension, or the first delimiter that occurs."""
    for found in BEHIND_ENDING.finditer(line):
        if has_video_ending(found[1]):
            return found[2]
    return next((sign for sign in ("\t", ";", "|", ",") if sign in line), " ")


def end_with_classes(listed: Iterable[Path], classes: Path) -> bool:
    """Whether lines end with class numbers or names, by the first one with two cells."""
    firsts = (next((line for line in read_text_lines(path) if line.strip()), "") for path in listed)
    cells = (line.rpartition(guess_delimiter(line)) for line in firsts)
    label = next((label for path, _, label in cells if path), "").strip()
    if label.isdecimal():
        return True
    try:
        return label in read_classes(classes).values()
    except UserError:  # not a file of class names
        return False


def _place_columns(columns: ColumnParams) -> ColumnParams:
    """The columns by number; the path may be a pattern of them, `**/{1}`. Raises UserError for one given by name."""
    positions = {key: POSITIONS.get(key, name) if name == key else name for key, name in columns.model_dump().items()}
    fields = list_fields(columns.path)
    for key, position in positions.items():
        if isinstance(position, str) and not (key == "path" and fields and all(map(str.isdecimal, fields))):
            detail = "a list has no names of columns; write the position, 1 for the first"
            raise UserError(f"dataset.columns.{key} is {position!r}, but {detail}")
    return ColumnParams(**positions)


def read_cells(path: Path, named: dict[str, int], delimiter: str | None, *, numbered: bool) -> Iterator[LocatedCells]:
    """The wanted cells of each line, by number; `numbered` tells that captions are classes.

    Raises UserError for a caption that is a number, unless `numbered`.
    """
    lines = blank_comments(read_text_lines(path))
    sign = DELIMITERS[delimiter] if delimiter else guess_delimiter(next((line for line in lines if line.strip()), ""))
    for number, cells in _split_lines(path, lines, sign, max(named.values()), numbered):
        row = {key: cells[index - 1] if index <= len(cells) else "" for key, index in named.items()}
        label = row["caption"].strip()
        if NUMBERS.fullmatch(label) and not numbered:
            ways = f"name the file of class names in dataset.classes, or {BY_PATHS}"
            raise UserError(f"{path}: line {number} has the number {label!r} for a caption; {ways}")
        yield f"line {number}", tuple(row.values())


def _split_lines(
    path: Path, lines: list[str], sign: str, columns: int, numbered: bool
) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, from 1, and its cells. Raises UserError.

    With blanks as delimiter, a caption, and a path before a class number or with an extension, may contain blanks.
    """
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    lines = [line for line in lines if line.strip()]
    if sign == " " and numbered and columns == len(POSITIONS) and all(COUNTED.fullmatch(line) for line in lines):
        print(f"filter: {path}: of three columns the second is taken for the number of frames", file=sys.stderr)
        counted = ([found[1], found[2]] for line in lines if (found := COUNTED.fullmatch(line)))
        yield from zip(numbers, counted, strict=True)
        return
    if sign == " ":
        parted = (line.rsplit(None, columns - 1) if numbered else _split_blanks(line, columns) for line in lines)
        yield from zip(numbers, parted, strict=True)
        return
    try:
        reader = csv.reader(lines, delimiter=sign, strict=True, skipinitialspace=True)
        rows, first = [], 0
        for cells in reader:
            rows.append((numbers[first], cells))
            first = reader.line_num
    except csv.Error as error:
        if sign != "\t":
            raise UserError(f"{path}: {error}; a quote within a cell is written twice") from None
        rows = []
    if sign == "\t" and len(rows) < len(lines):  # quotes are part of captions
        rows = [(number, line.split("\t")) for number, line in zip(numbers, lines, strict=True)]
    if sign != "\t" and not numbered:  # else several classes may follow a path
        _refuse_parted_captions(path, rows, sign, columns)
    yield from ((number, [cell.strip() for cell in cells]) for number, cells in rows)


def _split_blanks(line: str, columns: int) -> list[str]:
    """The cells of a line; of two columns, the first ends behind the extension of a video, if there is one."""
    ends = (found.end(1) for found in BEHIND_ENDING.finditer(line) if has_video_ending(found[1]))
    end = next(ends, None) if columns == len(POSITIONS) else None
    return line.split(None, columns - 1) if end is None else [line[:end].strip(), line[end:].strip()]


def _refuse_parted_captions(path: Path, rows: list[tuple[int, list[str]]], sign: str, columns: int) -> None:
    """Raise UserError if the number of cells differs: captions with the delimiter would be truncated."""
    counts = {number: len(cells) for number, cells in rows if len(cells) >= columns}
    least = min(counts.values(), default=0)
    if more := next((number for number, count in counts.items() if count > least), None):
        other = next(number for number, count in counts.items() if count == least)
        detail = f"line {more} has {counts[more]} cells, but line {other} has {least}"
        raise UserError(f"{path}: {detail}; put a cell with {sign!r} in it in quotes")


def read_ucf101(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """Rows of `trainlist0N.txt`, `Class/v_Class_g01_c01.avi 1`, and of `testlist0N.txt`, which has no class numbers."""
    classes = read_classes(_find(labels, UCF_CLASSES))
    parts: tuple[OfficialSplit, ...] = ("train", "test")
    rows = []
    for split in parts:
        name = f"{split}list0{dataset.official_list}.txt"
        for number, line in enumerate(read_text_lines(_find(labels, name)), 1):
            if line.strip():
                rows.append(_read_ucf_line(line.strip(), classes, split, (name, f"line {number}"), labels))
    return rows


def read_hmdb51(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """Rows of `<class>_test_splitN.txt`, `name.avi 1`: 1 is train, 2 test, 0 neither (their number is printed)."""
    ending = f"_test_split{dataset.official_list}.txt"
    lists = sorted(labels.glob(f"*{ending}")) if labels.is_dir() else []
    if not lists:
        raise UserError(f"{labels}: holds no list <class>{ending}; see dataset.labels and dataset.official_list")
    listed = [found for path in lists for found in _read_hmdb_list(path, path.name.removesuffix(ending))]
    rows = [row for row in listed if row]
    if len(rows) < len(listed):
        detail = f"{len(listed) - len(rows)} of {len(listed)} clips are neither in the train nor in the test part"
        print(f"filter: {labels}: {detail} of split {dataset.official_list}", file=sys.stderr)
    return rows


def _read_ucf_line(
    line: str, classes: dict[str, str], split: OfficialSplit, location: SourceLocation, labels: Path
) -> LabelRow:
    path, _, number = line.rpartition(" ") if line.rpartition(" ")[2].isdecimal() else (line, "", "")
    path = path.strip()
    category = path.partition("/")[0] if "/" in path else ""
    detail = f"{labels / location[0]}: {location[1]}, {line[:80]!r},"
    if category not in classes.values():
        raise UserError(f"{detail} is in no folder of a class that {UCF_CLASSES} names; download the lists again")
    if number and classes.get(number) != category:
        meant = classes.get(number, "no class")
        raise UserError(f"{detail} has the number of {meant}; {UCF_CLASSES} and the lists are not of one set")
    return make_path_row(path, spell_out(category), category, split, location)


def _read_hmdb_list(path: Path, category: str) -> Iterator[LabelRow | None]:
    for number, line in enumerate(read_text_lines(path), 1):
        name, _, part = line.strip().rpartition(" ")
        if line.strip() and (not name or part not in ("0", *HMDB_PARTS)):
            raise UserError(
                f"{path}: line {number} is {line[:80]!r}, not a name and 0, 1 or 2; download the lists again"
            )
        if name:
            video = f"{category}/{name.strip()}"
            split, location = HMDB_PARTS.get(part), (path.name, f"line {number}")
            yield make_path_row(video, spell_out(category), category, split, location) if split else None


def _find(labels: Path, name: str) -> Path:
    if not (labels / name).is_file():
        raise UserError(f"{labels}: holds no {name}; see dataset.labels and dataset.official_list")
    return labels / name
