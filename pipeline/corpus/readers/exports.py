"""Shared by the readers of labelling tools: files of an export, videos named in them, XML and JSON, rows.

Two keys of `dataset.columns` name a tier, attribute, control or column, as the tool calls it: `category` for classes,
`caption` for texts. With its default value, `caption` is used only if something has this name.
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
    ONLY_CATEGORY,
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
from pipeline.corpus.readers.classes import spell_out
from pipeline.corpus.readers.folders import walk
from pipeline.corpus.readers.table import read_split
from pipeline.corpus.segments import BadSegment, check_segment, surround_point
from pipeline.corpus.video_names import ANYWHERE, VideoIndex, normalise_name, split_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams

PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # prefix that Label Studio adds to names of uploaded files
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
UNREAD = (  # keys that tell the JSON of tools whose exports are not read
    ("V7 Darwin", {"schema_ref", "item", "annotations"}),
    ("Encord", {"label_hash", "data_units"}),
    ("Supervisely", {"framesCount", "frames", "objects"}),
    ("Supervisely", {"tags", "objects", "figures", "videos"}),
    ("Labelbox", {"data_row", "projects"}),
    ("SuperAnnotate", {"metadata", "instances"}),
    ("Dataloop", {"annotations", "annotationsCount"}),
    ("Kili", {"externalId", "labels"}),
    ("Scale", {"task_id", "response"}),
    ("VoTT", {"assets", "tags"}),
)

LONGEST_SPLIT = 40  # characters of a split's name: in an export, it may be any text

LONGEST_XML = 1 << 30  # bytes
DEEPEST_XML = 200  # nested elements
BLOCK = 1 << 20

Named = tuple[str | None, str | None]  # the source of classes, and that of captions


class MediaFiles:
    """Finds videos in a folder by the names in exports.

    Exports contain URLs, paths of other machines and names with prefixes: they are matched by file name, then by the
    number of equal parent folders. The extension may differ, since tools play copies in other formats.
    """

    def __init__(self, videos: Path) -> None:
        self._videos = videos
        self._index = VideoIndex(list_videos(videos))
        self._found: dict[str, str] = {}

    def find(self, named: str) -> str:
        """The path of the video in the folder; if it is missing or ambiguous, a pattern with `**/`."""
        if named not in self._found:
            self._found[named] = self._search(named) if named.strip() else ""
        return self._found[named]

    def holds(self, named: str) -> bool:
        """Whether exactly one video matches the name."""
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
    """The path in a name of an export: a path of any system, that of a URL, or its parameter `d`."""
    text = named.strip()
    if DRIVE.match(text) or ("\\" in text and "/" not in text):
        return text.replace("\\", "/")
    parts = urlsplit(text)
    if not parts.scheme and "?" not in text:
        return text
    asked = parse_qs(parts.query)
    return unquote(asked["d"][0] if "d" in asked else parts.path)


def _count_tail(path: str, parts: Sequence[str]) -> int:
    """The number of equal parent folders, counted from the file name."""
    pairs = list(zip(path.split("/")[-2::-1], parts[-2::-1], strict=False))
    return next(
        (number for number, (one, other) in enumerate(pairs) if normalise_name(one) != normalise_name(other)),
        len(pairs),
    )


def _spell_upload(name: str) -> str:
    """The stem as a web server normalises names of uploads: without blanks and symbols, case-folded."""
    return re.sub(r"[^-\w.]", "", normalise_name(split_ending(name)[0]).strip().replace(" ", "_")).casefold()


class Export(NamedTuple):
    """An exported file, and its official split by the name of the file or folder, if all are named after splits."""

    path: Path
    split: OfficialSplit


class LabelledPart(NamedTuple):
    """The labels of a part of a video; an empty category or caption is missing."""

    video: str  # as in the export
    category: str | None  # None: no classes, only captions
    caption: str | None  # None: made from the category
    start: float | None = None  # seconds; None: from the first frame
    end: float | None = None  # None: to the end of the video
    fault: str = ""  # why the part is invalid
    point: float | None = None  # seconds, if it is a point in time instead of a part
    group: str = ""
    split: str = ""  # empty: that of the file
    where: str = ""  # position in the file, as `line 3`; empty: counted


def find_exports(labels: Path, endings: Collection[str], tool: str, *, mixed: bool = False) -> list[Export]:
    """The files with these extensions: the labels, or those in the folder. Raises UserError if there are none.

    Files of several kinds are refused unless `mixed`: most likely they have the same content.
    """
    if labels.is_file():
        return [Export(labels, "all")]
    if not labels.is_dir():
        raise UserError(f"{labels}: no such export of {tool}; see dataset.labels")
    found = [path for path, _ in walk(labels) if path.suffix.lower() in endings and not path.name.startswith("~")]
    if not found:
        raise UserError(f"{labels}: neither it nor a folder in it holds a file of {tool}, {', '.join(endings)}")
    kinds = sorted({file.suffix.lower() for file in found})
    if len(kinds) > 1 and not mixed:
        detail = f"holds files of {tool} that end in {' and in '.join(kinds)}, which may say the same twice"
        raise UserError(f"{labels}: {detail}; keep those of one kind there")
    tops = [file.parts[0] if len(file.parts) > 1 else file.stem for file in found]
    splits = match_split_folders(set(tops))
    splits = splits if len(set(splits.values())) > 1 else {}
    return [Export(labels / file, splits.get(top, "all")) for file, top in zip(found, tops, strict=True)]


def refuse_unread(path: Path, content: Any) -> None:
    """Raise UserError if the content of a JSON file is of a labelling tool whose exports are not read."""
    first = content[0] if isinstance(content, list) and content else content
    keys = first.keys() if isinstance(first, dict) else ()
    if tool := next((name for name, wanted in UNREAD if wanted <= {*keys}), None):
        way = "write a table with a path, a caption, a start and an end in each row"
        raise UserError(f"{path}: is an export of {tool}, which is not read; {way}")


def make_part_rows(
    export: Export, parts: Iterable[LabelledPart], media: MediaFiles, around: float | None
) -> list[LabelRow]:
    """A row for each part, in order; a point in time becomes a part of `around` seconds on each side, if set."""
    rows = []
    for number, part in enumerate(parts, 1):
        segment, fault = _read_segment(part, around)
        category = ONLY_CATEGORY if part.category is None else part.category
        caption = spell_out(category) if part.caption is None else part.caption
        location = (export.path.name, part.where or f"entry {number}")
        video = media.find(part.video)
        split = read_split(part.split.strip()[:LONGEST_SPLIT], export.split, export.path, location[1])
        row = make_path_row(
            video.removeprefix(ANYWHERE), caption, category, split, location, segment, fault, part.group
        )
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
    """The rows of all files of a tool; `read` parses a file into parts. Raises UserError if there are none.

    Only the keys `category`, `caption` and `more` of `dataset.columns` are supported; any other that is set is refused.
    """
    refuse_columns(dataset, f"exports of {tool}", {"category", "caption", *more})
    rows = []
    for export in find_exports(labels, endings, tool):
        rows += make_part_rows(export, read(export.path), media, dataset.segments.around)
    if not rows:
        raise UserError(f"{labels}: the export of {tool} holds no labels; see dataset.labels")
    return number_repeats(rows)


def refuse_columns(dataset: DatasetParams, what: str, known: Collection[str]) -> None:
    """Raise UserError if a key of `dataset.columns` that is not known is set."""
    columns = {key: name for key, name in dataset.columns.model_dump().items() if name not in (None, key)}
    if unused := sorted(columns.keys() - {*known}):
        detail = f"dataset.columns.{unused[0]} is {columns[unused[0]]!r}, which {what} do not have"
        raise UserError(f"{detail}; set it to {'path' if unused[0] == 'path' else 'null'}")


def name_caption(dataset: DatasetParams, known: Collection[str]) -> str | None:
    """The name of the captions in `columns.caption`; None if it is the default and not known."""
    name = str(dataset.columns.caption)
    return name if name != "caption" or name in known else None


def name_category(dataset: DatasetParams) -> str | None:
    """The name of the classes in `columns.category`, or None."""
    return None if dataset.columns.category is None else str(dataset.columns.category)


def choose_names(path: Path, dataset: DatasetParams, what: str, known: Collection[str]) -> Named:
    """The names of classes and captions. Raises UserError if one is set but not known."""
    named = name_category(dataset), name_caption(dataset, known)
    for key, name in zip(("category", "caption"), named, strict=True):
        if name is not None and name not in known:
            raise refuse_unknown(path, key, name, what, known)
    return named


def refuse_unknown(path: Path, key: str, name: str, what: str, known: Iterable[str]) -> UserError:
    """The error for a name in `dataset.columns` that an export does not have."""
    listed = ", ".join(dict.fromkeys(known))[:300] or "none"
    return UserError(f"{path}: has no {what} {name!r} (dataset.columns.{key}); there are: {listed}")


def as_seconds(value: Any) -> float | None:
    """A finite number, also given as text; None for anything else."""
    try:
        number = None if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and math.isfinite(number) else None


def as_object(value: Any) -> Mapping[str, Any]:
    """A JSON object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A JSON list; empty for anything else."""
    return value if isinstance(value, list) else []


def read_xml(file: IO[bytes], path: Path, attributes: Collection[str], remedy: str) -> Element:
    """Parse an XML file without entities, so that it can neither read other files nor expand -> the root element.

    Only the named attributes are kept. Raises UserError that names the file if it is not XML, too large or too deep, or
    declares a document type.
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
    """The text of the first element at a path below, stripped; empty if there is none."""
    return (element.findtext(path) or "").strip()
