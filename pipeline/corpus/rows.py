"""The rows that every reader returns: their ids, their official splits, and which of them share a video."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

Part = Literal["all", "train", "validation", "test"]  # which official part a row is in; `all` where there are none

UNSAFE = re.compile(r"^\.|[^\w ./-]")  # a leading dot would hide the file that an id names
LOOSE = re.compile(r"(?:^|/)\.?(?:/|$)")
SIMPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]*")  # nearly every path
LONGEST = 160  # bytes; leaves room for what is put behind an id

NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "eval"),
}
PARTS: dict[str, Part] = {name: part for part, names in NAMES.items() for name in names}
KNOWN = ", ".join(PARTS)


class Row(NamedTuple):
    """One row of a label file, as it stands there; what is not text in the file is empty here."""

    id: str
    label: str
    template: str
    placeholders: tuple[str, ...]  # what should fill the slots of the template; often it does not
    objects: tuple[str, ...]  # named as such, to be taken as they are; empty where the format names none
    part: Part
    place: tuple[str, int]  # file name and row number from 0, for messages
    video: str  # path within the videos folder; empty where the id names the file


class Labelled(NamedTuple):
    """One usable row of a chosen category, before its video was looked at."""

    id: str
    caption: str
    category: str  # slug
    template: str
    objects: tuple[str, ...]
    part: Part
    video: str
    original: str  # the label before cleaning


def text_of(value: Any) -> str:
    """A string as it is and a whole number as its digits; anything else is unusable, as an empty text is."""
    if isinstance(value, str):
        return value
    # Tools that know no missing whole number make fractions of a column that has some.
    whole = value.is_integer() if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
    return str(int(value)) if whole else ""


def plain_path(path: str) -> str:
    """The path with `./` and doubled or final slashes gone."""
    return str(PurePosixPath(path)) if path and LOOSE.search(path) else path


def id_of_path(path: str) -> str:
    """The path as one file name: `a/b.mp4` -> `a+b.mp4`. Different paths have different ids.

    Letters of any script, digits and ` .-_` stay, everything else is escaped as in a URL. A long path is cut and ends
    with its digest. An empty path has an empty id, which is unusable.
    """
    if not path:
        return ""
    path = plain_path(path)
    name = (path if SIMPLE.fullmatch(path) else UNSAFE.sub(_escape, path)).replace("/", "+")
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name.encode()[: LONGEST - 17].decode(errors='ignore')}-{digest}"


def _escape(found: re.Match[str]) -> str:
    # A name that is not UTF-8 comes from the disk with lone surrogates in it.
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))


def number_repeats(rows: Sequence[Row]) -> list[Row]:
    """The rows, those with an id seen before as `<id>~2`, `<id>~3`: a video may have several captions."""
    seen: Counter[str] = Counter()
    numbered: list[Row] = []
    for row in rows:
        seen[row.id] += 1
        # An escaped id holds no `~`, so these are new.
        numbered.append(row if seen[row.id] == 1 or not row.id else row._replace(id=f"{row.id}~{seen[row.id]}"))
    return numbered


def part_of(name: str) -> Part | None:
    """The part that a name stands for in any case; None where it stands for none."""
    return PARTS.get(name.strip().lower())


def parts_of_folders(folders: Collection[str]) -> dict[str, Part]:
    """Folder -> part where every folder is named as one; else they are classes or anything, and the answer is empty."""
    parts = {folder: part for folder in folders if (part := part_of(folder))}
    return parts if len(parts) == len(folders) else {}


def unit_hash(*parts: str) -> float:
    """Spread names evenly over [0,1): 53 bits of the SHA-256 of the parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def video_name(clip: Labelled) -> str:
    """What names the clip's video: its path, or its id where it has none."""
    return clip.video or clip.id


class Companions:
    """The clips of each video."""

    def __init__(self, clips: Iterable[Labelled]) -> None:
        self._clips: dict[str, list[Labelled]] = defaultdict(list)
        for clip in clips:
            self._clips[video_name(clip)].append(clip)

    def join(self, clips: Iterable[Labelled]) -> list[Labelled]:
        """These clips and all others of their videos, each once."""
        names = dict.fromkeys(video_name(clip) for clip in clips)
        return [clip for name in names for clip in self._clips[name]]
