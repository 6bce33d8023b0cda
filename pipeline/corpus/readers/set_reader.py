"""Files of a published dataset -> rows. The variant is identified by the columns and by which videos exist."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import LabelRow, OfficialSplit, find_split, names_splits, number_repeats, simplify_path
from pipeline.corpus.contained import list_videos
from pipeline.corpus.groups import keep_groups_whole
from pipeline.corpus.readers import json_files, lists, table
from pipeline.corpus.readers.cells import FORMATS, LocatedCells, are_parts, list_column_names, list_tables, read_cells
from pipeline.corpus.readers.classes import read_classes, read_named_classes
from pipeline.corpus.readers.known_sets import SETS
from pipeline.corpus.readers.table import Table
from pipeline.corpus.readers.variants import Variant
from pipeline.corpus.text_files import read_start, read_text_lines
from pipeline.corpus.video_names import ANYWHERE, VideoIndex, split_ending
from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer
from pipeline.params import ColumnParams, DatasetParams

ENDINGS = {*FORMATS, *lists.ENDINGS, ".json"}
WITHOUT_CAPTIONS = ("mask_dict.json",)  # of known datasets, and too large to be read for detection
MAX_FILES = 100  # in a folder of a known dataset; other folders have a text per video
NUMBERED = re.compile(r"^\d+_")  # prefix of names in lists of splits
LONGEST_LINE = 1 << 16  # bytes read for detection
MAX_COMMENTS = 100  # lines before the first row of a list


class Source(NamedTuple):
    """A file of labels, with the facts that identify its dataset."""

    path: Path
    names: frozenset[str]  # column names; empty if there are none
    line: str  # first line of a list
    content: Any  # of JSON, else None


class Match(NamedTuple):
    """A file and the variants of a dataset that it matches."""

    source: Source
    variants: tuple[Variant, ...]


def detect_set(labels: Path) -> tuple[str, str] | None:
    """The known dataset of a file, or of a file in a folder, and the reason; None if there is none."""
    paths = _list_files(labels)
    if len(paths) > MAX_FILES:
        return None
    for source in chain(_open_sources(paths, []), _open_folders(labels)):
        for name in SETS:
            variants = _match_variants(name, source)
            if variants:
                header = ", ".join(variants[0].header)
                detail = f"has the columns {header}" if header else "has lines of that kind"
                return name, f"{source.path.name} {detail}"
    return None


def read_set(name: str, labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """All rows of the dataset, file by file, in the variant that matches the columns and most videos.

    Columns that dataset.columns names and a file has override those of the variant. Raises UserError if no file is of
    this dataset.
    """
    if not labels.exists():
        raise UserError(f"{labels}: no such labels; see dataset.labels")
    matches = _choose_files(name, labels, dataset)
    index = VideoIndex(list_videos(dataset.videos))
    listed = [_read_best(name, match, split, labels, dataset, index) for match, split in matches]
    if matches[0][0].variants[0].classes:
        _refuse_other_numbers(labels, listed)
    rows = _settle_splits(name, [row for found in listed for row in found])
    if dataset.columns.group is None:  # groups that params request are not removed silently
        rows = keep_groups_whole(rows)
    return rows if dataset.columns.id else number_repeats(rows)


def _refuse_other_numbers(labels: Path, listed: Sequence[Sequence[LabelRow]]) -> None:
    """Raise UserError if files of one split name the same parts: those of FineGym's gym99 and gym288 number classes
    differently."""
    first: dict[tuple[Any, ...], str] = {}
    for rows in listed:
        for row in rows:
            file = row.location[0]
            before = first.setdefault((row.official_split, row.video, row.segment, row.segment_fault), file)
            if before != file and row.video:
                ways = "make dataset.labels a folder with the files of one set, and the names of its classes"
                raise UserError(f"{labels}: {before} and {file} number the classes of the same clips, {row.id}; {ways}")


def _open_sources(paths: Sequence[Path], faults: list[UserError]) -> Iterator[Source]:
    """Read the facts that identify the dataset of each file; errors of broken files are appended to `faults`."""
    for path in paths:
        try:
            source = _open_source(path)
        except UserError as error:  # often a file of something else
            faults.append(error)
            continue
        yield source


def _open_source(path: Path) -> Source:
    ending = path.suffix.lower()
    if ending == ".json":
        content = json_files.read_content(path)
        return Source(path, frozenset(json_files.list_names(path, content)), "", content)
    refuse_lfs_pointer(path)
    lines = lists.blank_comments(read_start(path, LONGEST_LINE).split("\n", MAX_COMMENTS)[:MAX_COMMENTS])
    line = next((line for line in lines if line.strip()), "").strip()
    names = list_column_names(path) if ending in FORMATS else []
    return Source(path, frozenset(names), line if ending in lists.ENDINGS else "", None)


def _open_folders(labels: Path) -> Iterator[Source]:
    """As `_open_sources`, for folders with a list per video, such as `annotations` of CrossTask: by the first list."""
    for folder in dict.fromkeys(variant.folder for variants in SETS.values() for variant in variants if variant.folder):
        if first := next(iter(_list_parts(labels / folder)), None):
            yield _open_source(first)._replace(path=labels / folder)


def _list_parts(folder: Path) -> list[Path]:
    """The lists of a folder with one per video."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.suffix.lower() in lists.ENDINGS and path.name[0] != "."]


def _list_files(labels: Path) -> list[Path]:
    """The files that may be labels: the file itself, those in a folder, or else in its folders named as splits."""
    if not labels.is_dir():
        return [labels] if _may_be_labels(labels) else []
    if found := _list_folder(labels):
        return found
    folders = sorted(path for path in labels.iterdir() if find_split(path.name) and path.is_dir())
    return [path for folder in folders for path in _list_folder(folder)]


def _list_folder(folder: Path) -> list[Path]:
    """The files in a folder that may be labels; tables only as `list_tables` selects them."""
    found = sorted(path for path in folder.iterdir() if _may_be_labels(path))
    tables = list_tables(folder) if any(path.suffix.lower() in FORMATS for path in found) else []
    return [path for path in found if path.suffix.lower() not in FORMATS or path in tables]


def _may_be_labels(path: Path) -> bool:
    known = path.suffix.lower() in ENDINGS and path.name[0] != "." and path.name not in WITHOUT_CAPTIONS
    return known and path.is_file()


def _find_file_split(path: Path, labels: Path) -> OfficialSplit | None:
    """The split in the name of a file, or of its folder in the labels."""
    return find_split(path.stem) or (find_split(path.parent.name) if path.parent != labels else None)


def _match_variants(name: str, source: Source, caption: str | int | None = None) -> tuple[Variant, ...]:
    """The variants of a dataset that a file matches; those for certain captions only if `caption` is one of them."""
    fitting = [
        variant
        for variant in SETS[name]
        if (variant.kind == "json") == (source.content is not None)
        and bool(variant.folder) == source.path.is_dir()
        and (re.fullmatch(variant.line, source.line) if variant.line else source.names.issuperset(variant.header))
    ]
    chosen = [variant for variant in fitting if caption in variant.captions]
    chosen = chosen or [variant for variant in fitting if not variant.captions]
    return tuple(variant for variant in chosen if (variant.header, variant.line) == (chosen[0].header, chosen[0].line))


def _choose_files(name: str, labels: Path, dataset: DatasetParams) -> list[tuple[Match, OfficialSplit]]:
    """The files of the dataset, each with the split in its name. Raises UserError."""
    labelled = _match_files(name, labels, dataset)
    if len(labelled) == 1:
        return [(labelled[0], "all")]
    splits = {match.source.path: _find_file_split(match.source.path, labels) for match in labelled}
    own = _has_splits(labelled)
    odd = [path.name for path, split in splits.items() if split is None and not (own and names_splits(path.stem))]
    if odd and not (len(odd) == len(splits) and are_parts(list(splits))):
        names = ", ".join(path.name for path in splits)
        raise UserError(f"{labels}: holds {names}; name the file in dataset.labels, or the files after their splits")
    return [(match, splits[match.source.path] or "all") for match in labelled]


def _has_splits(matches: Sequence[Match]) -> bool:
    """Whether the rows of all files name their splits, as in `train_val_videodatainfo.json` of MSR-VTT."""
    columns = [(match.source, match.variants[0].columns.get("split")) for match in matches]
    return all(column is not None and _has_column(source, column) for source, column in columns)


def _match_files(name: str, labels: Path, dataset: DatasetParams) -> list[Match]:
    """The files of the first matching variant that have captions; skipped files are printed. Raises UserError."""
    faults: list[UserError] = []
    sources = chain(_open_sources(_list_files(labels), faults), _open_folders(labels))
    found = [Match(source, _match_variants(name, source, dataset.columns.caption)) for source in sources]
    matches = [match for match in found if match.variants]
    if not matches and faults:  # perhaps the file that is meant
        raise faults[0]
    if not matches:
        wanted = " or ".join(dict.fromkeys(", ".join(variant.header) or "lines of its own" for variant in SETS[name]))
        raise UserError(f"{labels}: holds no file of {name}, which has {wanted}; see dataset.labels")
    first = min((match.variants[0] for match in matches), key=SETS[name].index)
    kept = [match for match in matches if match.variants[0] is first]
    labelled = [match for match in kept if _has_captions(match)] or kept
    for match in matches:
        if match not in labelled:
            why = "has no captions" if match in kept else f"is another form of what {labelled[0].source.path.name} has"
            print(f"filter: {match.source.path} {why} and is skipped", file=sys.stderr)
    for fault in faults:
        print(f"filter: skipped: {fault}", file=sys.stderr)
    return labelled


def _has_captions(match: Match) -> bool:
    variant = match.variants[0]
    return bool(variant.line) or _has_column(match.source, variant.columns["caption"])


def _has_column(source: Source, column: str | int) -> bool:
    """Whether a file has a column, or all columns that a path is made of; of columns in lists, as far as is known."""
    return all(_knows(source, field) for field in table.list_fields(column) or [str(column)])


def _knows(source: Source, field: str) -> bool:
    above, dot, last = field.partition(".")
    deeper = bool(dot) and (source.content is None or "." in last or last.isdecimal())  # than the names of a source
    return field in source.names or (deeper and above in source.names)


def _has_path(source: Source, columns: ColumnParams) -> bool:
    return columns.path is None or _has_column(source, columns.path)


def _read_best(
    name: str, match: Match, split: OfficialSplit, labels: Path, dataset: DatasetParams, index: VideoIndex
) -> list[LabelRow]:
    """The rows in the variant with most existing videos; of ties, the first."""
    best: list[LabelRow] = []
    most, detail = -1, ""
    choices = [(variant, _choose_columns(variant, match.source, dataset.columns)) for variant in match.variants]
    fitting = [choice for choice in choices if choice[0].line or _has_path(match.source, choice[1])]
    for variant, columns in fitting or choices:  # the latter raise with the name of the missing column
        rows = _read_variant(variant, match.source, split, labels, dataset.model_copy(update={"columns": columns}))
        videos = {row.video for row in rows}
        count = sum(bool(index.list_candidates(video)) for video in videos) if len(match.variants) > 1 else 0
        if count > most:
            best, most = rows, count
            detail = ", ".join(f"{key} {column}" for key, column in columns.model_dump(exclude_none=True).items())
        if 2 * count > len(videos):
            break
    print(f"filter: {match.source.path} is read as {name}: {detail}")
    # Added only now, since ids are made from paths without `**/`.
    return [row._replace(video=f"{ANYWHERE}{row.video}") if row.video else row for row in best]


def _choose_columns(variant: Variant, source: Source, columns: ColumnParams) -> ColumnParams:
    """The columns that params name and the file has; else those of the variant, some of which may be missing."""
    chosen: dict[str, str | int | None] = {}
    for key, named in columns.model_dump().items():
        fixed = variant.line or (variant.captions and key == "caption")
        if named is not None and not fixed and _has_column(source, named):
            chosen[key] = named
        else:
            known, needed = variant.columns.get(key), variant.line or key in ("path", "caption")
            chosen[key] = known if known is not None and (needed or _has_column(source, known)) else None
    return columns.model_copy(update=chosen)


def _read_variant(
    variant: Variant, source: Source, split: OfficialSplit, labels: Path, dataset: DatasetParams
) -> list[LabelRow]:
    around = dataset.segments.around  # params override the default for points in time
    usual = {key: value for key, value in variant.segments.items() if key != "around" or around is None}
    segments = dataset.segments.model_copy(update=usual)
    dataset = dataset.model_copy(update={"segments": segments})
    classes = read_named_classes(labels, dataset) or _find_classes(variant, labels)
    extra = {f"extra {column}": column for column in variant.extra if _has_column(source, column)}
    named = table.list_columns(dataset.columns) | extra
    change = _keep_named(variant, dataset.columns)
    rows: list[LabelRow] = []
    for path in _list_parts(source.path) if variant.folder else [source.path]:
        cells = _read_cells(variant, source._replace(path=path), named, dataset.delimiter, bool(classes))
        rows += table.make_table_rows(Table(path, split=split), dataset, named, cells, classes, change)
    rows = _take_listed_splits(rows, labels / variant.splits) if variant.splits and labels.is_dir() else rows
    return _merge_repeats(source.path, rows) if variant.merge_repeats else rows


def _read_cells(
    variant: Variant, source: Source, named: Mapping[str, str | int], delimiter: str | None, numbered: bool
) -> Iterator[LocatedCells]:
    if variant.kind == "lists":
        positions = {key: int(position) for key, position in named.items()}
        return lists.read_cells(source.path, positions, variant.delimiter, numbered=numbered)
    if variant.kind == "json":
        return json_files.list_cells(source.path, source.content, named)
    return read_cells(source.path, named, delimiter)


def _keep_named(variant: Variant, columns: ColumnParams) -> table.Change | None:
    """The variant's change, without overriding groups and categories from columns that params name."""
    named = {key: getattr(columns, key) for key in ("group", "category")}
    kept = [key for key, column in named.items() if column not in (None, variant.columns.get(key))]
    change = variant.change
    return (lambda row: change(row) | {key: row[key] for key in kept}) if change and kept else change


def _find_classes(variant: Variant, labels: Path) -> dict[str, str]:
    """The class names of a variant with class numbers; else empty. Raises UserError if the file is missing."""
    if not variant.classes:
        return {}
    names = sorted(path.name for path in labels.iterdir()) if labels.is_dir() else []
    for pattern in variant.classes:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if found:
            return read_classes(labels / found[0])
    detail = "its captions are numbers of classes"
    way = f"make dataset.labels the folder with it and with {variant.classes[0]}, or with the file dataset.classes"
    raise UserError(f"{labels}: {detail}; {way}")


def _take_listed_splits(rows: Sequence[LabelRow], folder: Path) -> list[LabelRow]:
    """The rows with the splits of lists, such as `train.txt`, that name their videos; else unchanged.

    Lists may omit extensions, and number their lines: `12_06d501fd-a9ffc960` of BDD-X. In `videos_val.csv` of
    CrossTask, a video is in the second cell.
    """
    found = [path for ending in ("*.txt", "*.csv") for path in sorted(folder.glob(ending)) if path.name[0] != "."]
    splits = {path: split for path in found if (split := find_split(path.stem))}
    listed = {
        simplify_path(cell.strip()): split
        for path, split in splits.items()
        for line in read_text_lines(path)
        for cell in (line.split(",") if path.suffix == ".csv" else [line])
    }
    listed |= {NUMBERED.sub("", name): split for name, split in listed.items()}
    chosen = [listed.get(row.video, listed.get(split_ending(row.video)[0])) for row in rows]
    return [row._replace(official_split=split or row.official_split) for row, split in zip(rows, chosen, strict=True)]


def _merge_repeats(path: Path, rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows without repeated labels of the same part; the number of removed rows is printed."""
    distinct: dict[Any, LabelRow] = {}
    for row in rows:
        distinct.setdefault((row.video, row.segment, row.label, row.segment_fault), row)
    if len(distinct) < len(rows):
        detail = f"{len(rows) - len(distinct)} of {len(rows)} rows repeat the label of a part and are left out"
        print(f"filter: {path}: {detail}", file=sys.stderr)
    return list(distinct.values())


def _settle_splits(name: str, rows: list[LabelRow]) -> list[LabelRow]:
    """The rows with a train split: a single official split is divided, and validation replaces a missing train."""
    found = {row.official_split for row in rows}
    if len(found) == 1 and found != {"all"}:
        print(f"filter: all rows of {name} are in {min(found)}: filter.shares divides them")
        return [row._replace(official_split="all") for row in rows]
    if found == {"validation", "test"}:
        print(f"filter: {name} has no train split here: its validation split is trained on")
        return [row._replace(official_split="train") if row.official_split == "validation" else row for row in rows]
    return rows
