"""Labels on disk -> chosen clips: a reader per format, cleaning, categories, objects, splits."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

OfficialSplit = Literal["all", "train", "validation", "test"]  # of the dataset itself; `all` where it has none

_NAMES: dict[OfficialSplit, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "validate", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
OFFICIAL_SPLITS: dict[str, OfficialSplit] = {name: split for split, names in _NAMES.items() for name in names}
SPLIT_NAMES = ", ".join(OFFICIAL_SPLITS)

UNSAFE = re.compile(r"^\.|[^\w ./-]")  # a leading dot would hide the file that an id names
LOOSE = re.compile(r"(?:^|/)\.?(?:/|$)")
SIMPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]*")  # nearly every path
LONGEST = 160  # bytes; leaves room for what is appended to an id


class Segment(NamedTuple):
    """A part of a video: from `start` up to `end`, which is outside, in seconds from the first frame."""

    start: float
    end: float  # infinite: to the end of the video


WHOLE = Segment(0.0, math.inf)


# The name of a file, and where in it, counted from 1 as people do: `line 3`, or `row 3` and `entry 3` of a file without
# lines of its own, such as Parquet and JSON. Empty if the file as a whole is the place.
Place = tuple[str, str]


class LabelRow(NamedTuple):
    """One row of the labels, as it is written there; what is not text in the file is empty here."""

    id: str
    label: str
    template: str
    placeholders: tuple[str, ...]  # what should fill the slots of the template; often it does not
    objects: tuple[str, ...]  # where the format lists them; empty if they have to be found in the label
    official_split: OfficialSplit
    place: Place  # for messages
    video: str  # path within the videos folder; empty if the id names the file
    segment: Segment = WHOLE
    segment_fault: str = ""  # why it is none, where the labels say one that cannot be
    group: str = ""  # of one recording, person or place, which stays in one split; empty: the video is a group
    moves: str = ""  # which way the picture moves, as in `Clip`
    recording: str = ""  # that the part is of, where a file holds several; empty: the video is one


class Candidate(NamedTuple):
    """A usable row of a chosen category, whose video has not been looked at; it becomes a `Clip` or a `Drop`."""

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


def describe_place(place: Place) -> str:
    """The place in words: `line 3 of clips.csv`."""
    file, where = place
    return f"{where} of {file}" if where else file


def as_text(value: Any) -> str:
    """A string as it is and a whole number as its digits; anything else is unusable, as an empty text is."""
    if isinstance(value, str):
        return value
    # Tools that know no missing whole number make fractions of a column that has some.
    whole = value.is_integer() if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
    return str(int(value)) if whole else ""


def simplify_path(path: str) -> str:
    """The path with `./` and doubled or final slashes gone."""
    return str(PurePosixPath(path)) if path and LOOSE.search(path) else path


def make_relative(videos: str | Path, path: str) -> str:
    """An absolute path into the folder of videos as one that starts from there; any other path as it is."""
    if not path.startswith("/"):
        return path
    root = f"{Path(videos).absolute()}/"
    return path[len(root) :].lstrip("/") if path.startswith(root) else path


def make_id(path: str) -> str:
    """The path as one file name: `a/b.mp4` -> `a+b.mp4`. Different paths have different ids.

    Letters of any script, digits and ` .-_` stay, everything else is escaped as in a URL. A long path is cut and ends
    with its digest. An empty path has an empty id, which is unusable.
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
    return f"{name}@{segment.start:09.3f}-{end}"  # an escaped name holds no `@`


def make_path_row(
    video: str,
    label: str,
    template: str,
    split: OfficialSplit,
    place: Place,
    segment: Segment = WHOLE,
    segment_fault: str = "",
    group: str = "",
) -> LabelRow:
    """A row that is known by the path of its video, which names it: it has neither slots to fill nor listed objects."""
    name = make_segment_id(make_id(video), segment)
    return LabelRow(name, label, template, (), (), split, place, video, segment, segment_fault, group)


def number_repeats(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows, those with an id seen before as `<id>~2`, `<id>~3`: a video may have several captions."""
    seen: Counter[str] = Counter()
    numbered: list[LabelRow] = []
    for row in rows:
        seen[row.id] += 1
        # An escaped id holds no `~`, so these are new.
        numbered.append(row if seen[row.id] == 1 or not row.id else row._replace(id=f"{row.id}~{seen[row.id]}"))
    return numbered


def parse_split(name: str) -> OfficialSplit | None:
    """The official split that a name means, in upper or lower case; None if it means none."""
    return OFFICIAL_SPLITS.get(name.strip().lower())


def find_split(name: str) -> OfficialSplit | None:
    """The one official split that a word of a name means, as in `jester-v1-train`; None for none and for several."""
    words = re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", name)  # `trainingSet` has two
    splits = {split for word in words if (split := parse_split(word))}
    return splits.pop() if len(splits) == 1 else None


def match_split_folders(folders: Collection[str]) -> dict[str, OfficialSplit]:
    """Folder -> official split, where every folder is named as one; otherwise they are classes, and it is empty."""
    splits = {folder: split for folder in folders if (split := parse_split(folder))}
    return splits if len(splits) == len(folders) else {}


def find_split_folders(paths: Iterable[PurePosixPath]) -> tuple[int, dict[str, OfficialSplit]]:
    """How many folders the paths share, and the splits that those below are named as; empty unless all of them are.

    `data/train/a.mp4` and `data/test/b.mp4` share 1, `data`. A folder that is named as a split is one also where all
    paths share it.
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
    """The official split of each path, by the folders that `telling` lie in, or else all paths do; `all` without."""
    depth, splits = find_split_folders(PurePosixPath(path) for path in telling or paths)
    if not splits:
        return ["all"] * len(paths)
    folders = (PurePosixPath(path).parts[:-1][depth : depth + 1] for path in paths)
    return [splits.get("".join(folder), "all") for folder in folders]


def hash_to_unit(*parts: str) -> float:
    """Spread names evenly over [0,1): 53 bits of the SHA-256 of the parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _escape(found: re.Match[str]) -> str:
    # A name that is not UTF-8 comes from the disk with lone surrogates in it.
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))
