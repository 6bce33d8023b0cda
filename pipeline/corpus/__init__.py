"""Labels on disk -> chosen clips: readers per format, cleaning, categories, objects, splits."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pipeline.letters import CAMEL_CASE

OfficialSplit = Literal["all", "train", "validation", "test"]  # of the dataset itself; `all` if it has none

_NAMES: dict[OfficialSplit, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "validate", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
OFFICIAL_SPLITS: dict[str, OfficialSplit] = {name: split for split, names in _NAMES.items() for name in names}
SPLIT_NAMES = ", ".join(OFFICIAL_SPLITS)
BETWEEN_WORDS = re.compile(rf"[^A-Za-z]+|{CAMEL_CASE}")

ONLY_CATEGORY = "all"  # of every clip, if the labels name no categories

UNSAFE = re.compile(r"^\.|[^\w ./-]")  # a leading dot would make a hidden file
LOOSE = re.compile(r"(?:^|/)\.?(?:/|$)")
SIMPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]*")  # the common case
LONGEST = 160  # bytes; leaves room for what is appended to an id


class Segment(NamedTuple):
    """A part of a video: from `start` to `end`, exclusive, in seconds from the first frame."""

    start: float
    end: float  # infinite: to the end of the video


WHOLE = Segment(0.0, math.inf)


# The name of a file, and the position in it, counted from 1: `line 3`, or `row 3` and `entry 3` of files without lines,
# such as Parquet and JSON. The position is empty for the file as a whole.
SourceLocation = tuple[str, str]


class LabelRow(NamedTuple):
    """One row of the labels, uncleaned; values that are not text are empty."""

    id: str
    label: str
    template: str
    placeholders: tuple[str, ...]  # meant to fill the slots of the template, which often fails
    objects: tuple[str, ...]  # if the format lists them; empty if they have to be found in the label
    official_split: OfficialSplit
    location: SourceLocation  # for messages
    video: str  # path within the videos folder; empty if the id names the file
    segment: Segment = WHOLE
    segment_fault: str = ""  # why the stated segment is invalid
    group: str = ""  # of one recording, person or place, to be kept in one split; empty: the video is a group
    moves: str = ""  # direction of motion, as in `Clip`
    recording: str = ""  # of the part, if a file holds several; empty: the video is one recording


class Candidate(NamedTuple):
    """A usable row of a chosen category, before its video is checked; it becomes a `Clip` or a `Drop`."""

    id: str
    caption: str
    category: str  # slug
    template: str
    objects: tuple[str, ...]
    official_split: OfficialSplit
    video: str
    original: str  # the label before cleaning
    segment: Segment = WHOLE
    group: str = ""
    moves: str = ""
    recording: str = ""


def describe_location(location: SourceLocation) -> str:
    """The location in words: `line 3 of clips.csv`."""
    file, where = location
    return f"{where} of {file}" if where else file


def as_text(value: Any) -> str:
    """A string unchanged, an integer as its digits; anything else becomes an empty, unusable text.

    Tools without missing integers store such columns as floats or decimals, and some writers of Parquet store text as
    bytes.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return _decode(value)
    if isinstance(value, float | Decimal):
        return str(int(value)) if math.isfinite(value) and value == int(value) else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _decode(value: bytes) -> str:
    """The text in UTF-8; empty for other bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return ""


def simplify_path(path: str) -> str:
    """The path without `./` and doubled or final slashes."""
    return str(PurePosixPath(path)) if path and LOOSE.search(path) else path


def make_relative(videos: str | Path, path: str) -> str:
    """An absolute path in the videos folder as relative to that folder; any other path unchanged."""
    if not path.startswith("/"):
        return path
    root = f"{Path(videos).absolute()}/"
    return path[len(root) :].lstrip("/") if path.startswith(root) else path


def make_id(path: str) -> str:
    """The path as a file name: `a/b.mp4` -> `a+b.mp4`. Different paths have different ids.

    Letters of any script, digits and ` .-_` are kept, everything else is escaped as in a URL. Long paths are truncated
    and end with a digest. An empty path has an empty id, which is unusable.
    """
    if not path:
        return ""
    path = simplify_path(path)
    name = (path if SIMPLE.fullmatch(path) else UNSAFE.sub(_escape, path)).replace("/", "+")
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name.encode()[: LONGEST - 17].decode(errors='ignore')}-{digest}"


def make_segment_id(name: str, segment: Segment) -> str:
    """The id of a part of the video called `name`: `a.mp4@00001.500-00003.250`. Ids of one video sort by time."""
    if segment == WHOLE or not name:
        return name
    end = "end" if math.isinf(segment.end) else f"{segment.end:09.3f}"
    return f"{name}@{segment.start:09.3f}-{end}"  # escaped names contain no `@`


def make_path_row(
    video: str,
    label: str,
    template: str,
    split: OfficialSplit,
    location: SourceLocation,
    segment: Segment = WHOLE,
    segment_fault: str = "",
    group: str = "",
) -> LabelRow:
    """A row whose id is made from the path of its video, without placeholders and listed objects."""
    name = make_segment_id(make_id(video), segment)
    return LabelRow(name, label, template, (), (), split, location, video, segment, segment_fault, group)


def number_repeats(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows with repeated ids changed to `<id>~2`, `<id>~3`: a video may have several captions."""
    seen: Counter[str] = Counter()
    numbered: list[LabelRow] = []
    for row in rows:
        seen[row.id] += 1
        # Escaped ids contain no `~`, so these are new.
        numbered.append(row if seen[row.id] == 1 or not row.id else row._replace(id=f"{row.id}~{seen[row.id]}"))
    return numbered


def parse_split(name: str) -> OfficialSplit | None:
    """The official split with this name, in any case; None if there is none."""
    return OFFICIAL_SPLITS.get(name.strip().lower())


def find_split(name: str) -> OfficialSplit | None:
    """The official split that a word of a name means, as in `jester-v1-train`; None for none or several."""
    splits = {split for word in BETWEEN_WORDS.split(name) if (split := parse_split(word))}
    return splits.pop() if len(splits) == 1 else None


def names_splits(name: str) -> bool:
    """Whether words of a name are splits, also several: `train_val`, `trainval`."""
    return any(parse_split(word) or word.lower() == "trainval" for word in BETWEEN_WORDS.split(name))


def match_split_folders(folders: Collection[str]) -> dict[str, OfficialSplit]:
    """Folder -> official split, if every folder is named as one; else empty, since they are classes.

    Several folders may have the same words besides: `train_256` and `val_256`.
    """
    splits = {folder: split for folder in folders if (split := parse_split(folder))}
    if len(splits) == len(folders):
        return splits
    splits = {folder: split for folder in folders if (split := find_split(folder))}
    named = [[word.lower() for word in BETWEEN_WORDS.split(folder) if not parse_split(word)] for folder in folders]
    same = all(words == named[0] for words in named)
    return splits if same and len(splits) == len(folders) == len(set(splits.values())) else {}


def find_split_folders(paths: Iterable[PurePosixPath]) -> tuple[int, dict[str, OfficialSplit]]:
    """The number of leading folders that all paths share, and the splits of the folders below; empty if not all are.

    `data/train/a.mp4` and `data/test/b.mp4` share 1, `data`. A folder that is named as a split is one even if all paths
    share it.
    """
    folders = {path.parts[:-1] for path in paths}
    depth = 0
    while True:
        names = {parts[depth] if depth < len(parts) else "" for parts in folders}
        splits = match_split_folders(names)
        if splits or len(names) != 1 or "" in names:
            return depth, splits
        depth += 1


def match_splits(paths: Sequence[str], telling: Sequence[str] = ()) -> list[OfficialSplit]:
    """The official split of each path, by the folders of `telling`, or of all paths; `all` if they name no splits."""
    depth, splits = find_split_folders(PurePosixPath(path) for path in telling or paths)
    if not splits:
        return ["all"] * len(paths)
    folders = (PurePosixPath(path).parts[:-1][depth : depth + 1] for path in paths)
    return [splits.get("".join(folder), "all") for folder in folders]


def hash_to_unit(*parts: str) -> float:
    """A uniform hash in [0,1): 53 bits of the SHA-256 of the parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _escape(found: re.Match[str]) -> str:
    # File names that are not UTF-8 contain lone surrogates.
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))
