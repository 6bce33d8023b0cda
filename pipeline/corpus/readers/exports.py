"""Shared by the readers of labelling tools: files of an export, the videos that they name, their XML and JSON, rows.

Of `dataset.columns` two name what the tool calls a tier, an attribute, a control or a column: `category` holds the
classes, `caption` the texts. As long as `caption` has its default it counts only where there is something of this name.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipeline.corpus import (
    WHOLE,
    LabelRow,
    OfficialSplit,
    Segment,
    make_path_row,
    make_relative,
    match_split_folders,
    number_repeats,
    simplify_path,
)
from pipeline.corpus.contained import list_videos
from pipeline.corpus.readers.folders import walk
from pipeline.corpus.readers.path_patterns import spell_out
from pipeline.corpus.readers.table import ONLY_CATEGORY, read_split
from pipeline.corpus.segments import BadSegment, check_segment, surround_point
from pipeline.corpus.video_names import ANYWHERE, VideoIndex, normalise_name, split_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams

PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # that Label Studio puts before the name of an uploaded file
DRIVE = re.compile(r"[A-Za-z]:[\\/]")

LONGEST_SPLIT = 40  # letters of a name that a message shows: in an export it may be anything

LONGEST_XML = 1 << 30  # bytes
DEEPEST_XML = 200  # elements in one another
BLOCK = 1 << 20

Named = tuple[str | None, str | None]  # what holds the classes and what the captions


class MediaFiles:
    """The videos in a folder by their names.

    Exports hold addresses, paths of other machines and names with something before them: the file name counts, and of
    the folders as many as fit. The ending may differ, since tools play copies in other formats.
    """

    def __init__(self, videos: Path) -> None:
        self._videos = videos
        self._index = VideoIndex(list_videos(videos))
        self._found: dict[str, str] = {}

    def find(self, named: str) -> str:
        """The path of the video within the folder; where not exactly one fits, a name that will not be found."""
        if named not in self._found:
            self._found[named] = self._search(named) if named.strip() else ""
        return self._found[named]

    def holds(self, named: str) -> bool:
        """Whether there is one video that fits the name."""
        return not self.find(named).startswith(ANYWHERE) and bool(self.find(named))

    def _search(self, named: str) -> str:
        path = simplify_path(make_relative(self._videos, read_address(named)))
        parts = PurePosixPath(path).parts
        name = parts[-1] if parts else ""
        if name in ("", ".", "..", "/"):
            return ""
        if not path.startswith("/") and ".." not in parts and (self._videos / path).is_file():
            return path
        keys = dict.fromkeys((name, unquote(name), PREFIX.sub("", name), PREFIX.sub("", unquote(name))))
        for list_files in (self._index.list_candidates, self._list_uploads):
            for key in keys:
                listed = list_files(key)
                best = max((_count_tail(file, parts) for file in listed), default=0)
                fitting = [file for file in listed if _count_tail(file, parts) == best]
                if fitting:
                    return fitting[0] if len(fitting) == 1 else f"{ANYWHERE}{key}"
        return f"{ANYWHERE}{name}"

    def _list_uploads(self, name: str) -> list[str]:
        return self._uploads.get(_spell_upload(name), [])

    @cached_property
    def _uploads(self) -> dict[str, list[str]]:
        known: dict[str, list[str]] = defaultdict(list)
        for path in self._index.list_paths():
            known[_spell_upload(path.rpartition("/")[2])].append(path)
        return known


def read_address(named: str) -> str:
    """The path in what an export names: a path of any system, an address, or the `d` or `fileuri` of one."""
    text = named.strip()
    if DRIVE.match(text) or ("\\" in text and "/" not in text):
        return text.replace("\\", "/")
    parts = urlsplit(text)
    if not parts.scheme and "?" not in text:
        return text
    asked = parse_qs(parts.query)
    return unquote(asked["d"][0] if "d" in asked else parts.path)


def _count_tail(path: str, parts: Sequence[str]) -> int:
    """How many of the last folders of a path and of what an export says are the same."""
    pairs = list(zip(path.split("/")[-2::-1], parts[-2::-1], strict=False))
    return next(
        (number for number, (one, other) in enumerate(pairs) if normalise_name(one) != normalise_name(other)),
        len(pairs),
    )


def _spell_upload(name: str) -> str:
    """The stem as a web server spells the name of an uploaded file: no blanks, no signs, in any case."""
    return re.sub(r"[^-\w.]", "", normalise_name(split_ending(name)[0]).strip().replace(" ", "_")).casefold()


class Export(NamedTuple):
    """A file that a tool wrote, and the official split that its name or its folder tells, where all are named so."""

    path: Path
    split: OfficialSplit


class LabelledPart(NamedTuple):
    """What is said about a part of a video; an empty category or caption is not said."""

    video: str  # as the export names it
    category: str | None  # None: there are no classes, only captions
    caption: str | None  # None: the category in words
    start: float | None = None  # seconds; None: from the first frame
    end: float | None = None  # None: to the end of the video
    fault: str = ""  # why it is no part of a video
    point: float | None = None  # seconds of the point in time that it is in place of a part
    group: str = ""
    split: str = ""  # empty: as the file says


def find_exports(labels: Path, endings: Collection[str], tool: str) -> list[Export]:
    """The files with one of the endings: the labels themselves, or those in the folder. Raises UserError for none."""
    if labels.is_file():
        return [Export(labels, "all")]
    if not labels.is_dir():
        raise UserError(f"{labels}: no such export of {tool}; see dataset.labels")
    found = [path for path, _ in walk(labels) if path.suffix.lower() in endings and not path.name.startswith("~")]
    if not found:
        raise UserError(f"{labels}: neither it nor a folder in it holds a file of {tool}, {', '.join(endings)}")
    kinds = sorted({file.suffix.lower() for file in found})
    if len(kinds) > 1:  # most likely each holds what the other does
        detail = f"holds files of {tool} that end in {' and in '.join(kinds)}, which may say the same twice"
        raise UserError(f"{labels}: {detail}; keep those of one kind there")
    tops = [file.parts[0] if len(file.parts) > 1 else file.stem for file in found]
    splits = match_split_folders(set(tops))
    splits = splits if len(set(splits.values())) > 1 else {}
    return [Export(labels / file, splits.get(top, "all")) for file, top in zip(found, tops, strict=True)]


def make_rows(export: Export, parts: Iterable[LabelledPart], media: MediaFiles, around: float | None) -> list[LabelRow]:
    """A row for each part, in order; of a point in time with what is `around` it."""
    rows = []
    for number, part in enumerate(parts, 1):
        segment, fault = _read_segment(part, around)
        category = ONLY_CATEGORY if part.category is None else part.category
        caption = spell_out(category) if part.caption is None else part.caption
        place = (export.path.name, f"entry {number}")
        video = media.find(part.video)
        split = read_split(part.split.strip()[:LONGEST_SPLIT], export.split, export.path, place[1])
        row = make_path_row(video.removeprefix(ANYWHERE), caption, category, split, place, segment, fault, part.group)
        rows.append(row._replace(video=video))
    return rows


def _read_segment(part: LabelledPart, around: float | None) -> tuple[Segment, str]:
    try:
        if part.point is not None and around is not None:
            return surround_point(part.point, around), ""
        return (WHOLE, part.fault) if part.fault else (check_segment(part.start, part.end), "")
    except BadSegment as error:
        return WHOLE, str(error)


def read_exports(
    labels: Path,
    dataset: DatasetParams,
    media: MediaFiles,
    endings: Collection[str],
    tool: str,
    read: Callable[[Path], Iterable[LabelledPart]],
    more: Collection[str] = (),
) -> list[LabelRow]:
    """The rows of all files of a tool, each of which `read` turns into parts. Raises UserError if there are none.

    Of `dataset.columns` it uses `category`, `caption` and `more`; any other that is set is refused.
    """
    columns = {key: name for key, name in dataset.columns.model_dump().items() if name not in (None, key)}
    if unused := sorted(columns.keys() - {"category", "caption", *more}):
        detail = f"dataset.columns.{unused[0]} is {columns[unused[0]]!r}, which exports of {tool} do not have"
        raise UserError(f"{detail}; set it to {'path' if unused[0] == 'path' else 'null'}")
    rows = []
    for export in find_exports(labels, endings, tool):
        rows += make_rows(export, read(export.path), media, dataset.segments.around)
    if not rows:
        raise UserError(f"{labels}: the export of {tool} holds no labels; see dataset.labels")
    return number_repeats(rows)


def name_caption(dataset: DatasetParams, known: Collection[str]) -> str | None:
    """What holds the captions, if anything: what `columns.caption` names, the default only where it is known."""
    name = str(dataset.columns.caption)
    return name if name != "caption" or name in known else None


def name_category(dataset: DatasetParams) -> str | None:
    """What holds the classes, if it is named."""
    return None if dataset.columns.category is None else str(dataset.columns.category)


def choose_names(path: Path, dataset: DatasetParams, what: str, known: Collection[str]) -> Named:
    """What holds the classes and what the captions. Raises UserError for one that is named, but not known."""
    named = name_category(dataset), name_caption(dataset, known)
    for key, name in zip(("category", "caption"), named, strict=True):
        if name is not None and name not in known:
            raise refuse_unknown(path, key, name, what, known)
    return named


def refuse_unknown(path: Path, key: str, name: str, what: str, known: Iterable[str]) -> UserError:
    """The error for a name in `dataset.columns` that an export does not know."""
    listed = ", ".join(dict.fromkeys(known))[:300] or "none"
    return UserError(f"{path}: has no {what} {name!r} (dataset.columns.{key}); there are: {listed}")


def as_seconds(value: Any) -> float | None:
    """A number of seconds, also one spelt as text; None for anything else."""
    try:
        number = None if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and math.isfinite(number) else None


def as_object(value: Any) -> Mapping[str, Any]:
    """An object of JSON; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A list of JSON; an empty one for anything else."""
    return value if isinstance(value, list) else []


def read_xml(file: IO[bytes], path: Path, attributes: Collection[str], remedy: str) -> Element:
    """The root of the tree of an XML file, without entities: it can neither read other files nor grow.

    Only the named attributes are kept. Raises UserError that names the file if it is no XML, too long or too deep,
    or declares types or entities.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, found: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST_XML:
            raise UserError(f"{path}: has elements more than {DEEPEST_XML} deep in one another; {remedy}")
        builder.start(tag, {name: value for name, value in found.items() if name in attributes})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: Any) -> None:
        raise UserError(f"{path}: declares a document type, which may hold entities; no labelling tool does; {remedy}")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        read = 0
        while block := file.read(BLOCK):
            read += len(block)
            if read > LONGEST_XML:
                raise UserError(f"{path}: holds more than {LONGEST_XML >> 20} MiB of XML; export it in parts")
            parser.Parse(block)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UserError(f"{path}: not XML ({error}); {remedy}") from None
    return builder.close()


def read_xml_text(element: Element, path: str) -> str:
    """The text of the first element at a path below, without the white space around it; empty if there is none."""
    return (element.findtext(path) or "").strip()
