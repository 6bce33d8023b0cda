"""Clips as numbered images in one folder: which images are the frames, in which order, and which are missing.

A pattern such as `img_*.jpg` selects images of a folder: the star stands for their numbers. The folder is on disk or in
an archive.
"""

import fnmatch
import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pipeline.files import CACHED, LONGEST_POINTER
from pipeline.sources.common import SourceFault, refuse_lfs_content

PICTURE_ENDINGS = {
    ".jpg": ".jpg",
    ".jpeg": ".jpg",
    ".png": ".png",
    ".webp": ".webp",
    ".bmp": ".bmp",
    ".tif": ".tif",
    ".tiff": ".tif",
}  # lower-case extension -> extension in a pattern
ANIMATION = 2  # flag in the header of a WebP
MAX_MISSING = 0.1  # share of the images from the first to the last; with more missing, the motion is damaged
SAMPLED = 4  # images of a folder whose sizes are part of its digest
FLOW = re.compile(r"flow(?![a-z]{2})|optical", re.IGNORECASE)  # names of optical flow computed from the frames
RUN = re.compile(r"(\d+)")


class Numbered(NamedTuple):
    """The images that match a pattern, in the order of their numbers, and their times."""

    names: tuple[str, ...]
    timestamps: tuple[int, ...]  # in frames from the first image; gaps remain for missing images

    @property
    def missing(self) -> int:
        return self.timestamps[-1] + 1 - len(self.timestamps)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The images of a clip, and a function that reads one of them."""

    numbered: Numbered
    read: Callable[[str], bytes]
    scratch: Path  # a folder for temporary files of a decoder


def is_picture(name: str) -> bool:
    """Whether a file has the extension of an image and is not hidden."""
    return f".{name.rpartition('.')[2].lower()}" in PICTURE_ENDINGS and name[0] != "."


def is_animated(path: Path) -> bool:
    """Whether a file is an animated WebP, which is a video, by its header."""
    if not path.name.lower().endswith(".webp") or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & ANIMATION)


def is_frame(name: str) -> bool:
    """Whether a file is an image with a number in its name."""
    return is_picture(name) and RUN.search(name.rpartition(".")[0]) is not None


def is_pattern(path: str) -> bool:
    """Whether the last part of a path is a pattern of images."""
    name = path.rpartition("/")[2]
    return "*" in name and is_picture(name)


def order_pictures(names: Iterable[str], pattern: str = "") -> tuple[str, Numbered] | None:
    """The pattern of the images in a folder, unless given, and the images; None if no image has a number.

    Raises SourceFault if the pattern is ambiguous, nothing matches it, or the numbers are duplicate or irregular.
    """
    names = sorted(names)
    quick = _match_simple(names)
    if quick and quick[0] == (pattern or quick[0]):
        pattern, numbers = quick
        return pattern, _check_gaps(Numbered(tuple(names), _make_timestamps(numbers)))
    if pattern and not any(_read_number(name, *_split_pattern(pattern)) is not None for name in names):
        # In patterns of users, the star may stand for more than a number.
        pattern = _find_pattern(fnmatch.filter(names, pattern)) or pattern
    pattern = pattern or _find_pattern(names)
    return (pattern, _number(names, pattern)) if pattern else None


def describe_gap(pictures: Numbered) -> str:
    """The first gap between images; empty if none is missing."""
    steps = zip(pairwise(pictures.names), pairwise(pictures.timestamps), strict=True)
    return next((f"first between {one} and {two}" for (one, two), (start, end) in steps if end - start > 1), "")


def digest_pictures(pictures: Numbered, measure: Callable[[str], int]) -> str:
    """SHA-256 of the names of all images and of the sizes of some, which `measure` returns in bytes.

    For millions of images, reading them would take minutes, and getting all sizes most of a minute.
    """
    count = len(pictures.names)
    sampled = sorted({index * (count - 1) // (SAMPLED - 1) for index in range(SAMPLED)})
    sizes = [f"{pictures.names[index]} {measure(pictures.names[index])}" for index in sampled]
    return hashlib.sha256("\0".join(["pictures", *pictures.names, *sizes]).encode(errors="surrogateescape")).hexdigest()


def _match_simple(names: Sequence[str]) -> tuple[str, Sequence[int]] | None:
    """A fast path: the pattern and numbers if sorted names differ only in zero-padded numbers; else None."""
    if len(names) < 2 or not is_picture(names[0]):
        return None
    first, last = names[0], names[-1]
    same = next((index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    before = first[:same].rstrip("0123456789")
    found = RUN.match(first, len(before))
    if not found or not first.isascii():
        return None
    start, end, rest = len(before), found.end(), first[found.end() :]
    if RUN.search(rest.rpartition(".")[0]) or RUN.search(before):
        return None  # several numbers
    # All names in one match: one by one would take as long as listing the folder.
    if not _compile_names(before, end - start, rest).fullmatch("\0".join([*names, ""])):
        return None
    ends = int(first[start:end]), int(last[start:end])
    numbers = range(ends[0], ends[1] + 1)
    if len(numbers) == len(names):
        return f"{before}*{_normalise_ending(rest)}", numbers
    return f"{before}*{_normalise_ending(rest)}", [int(name[start:end]) for name in names]


@lru_cache(64)
def _compile_names(before: str, digits: int, rest: str) -> re.Pattern[str]:
    """NUL-terminated names that differ only in their numbers."""
    return re.compile(f"(?:{re.escape(before)}[0-9]{{{digits}}}{re.escape(rest)}\0)+")


def _find_pattern(names: Iterable[str]) -> str:
    groups = _group_by_pattern(name for name in names if is_picture(name))
    if not groups:
        return ""
    likely = {pattern: count for pattern, count in groups.items() if not FLOW.search(pattern)} or groups
    most = max(likely.values())
    # A single image next to many is a cover or a thumbnail.
    likely = {pattern: count for pattern, count in likely.items() if count > 1 or most == 1}
    if len(likely) > 1:
        detail = ", ".join(f"{count} {pattern}" for pattern, count in sorted(likely.items())[:4])
        raise SourceFault(f"holds pictures of several names: {detail}; name the frames in dataset.pictures")
    return next(iter(likely))


def _number(names: Iterable[str], pattern: str) -> Numbered:
    before, after, ending = _split_pattern(pattern)
    numbers: dict[int, str] = {}
    for name in names:
        number = _read_number(name, before, after, ending)
        if number in numbers:
            raise SourceFault(f"holds two pictures of one number: {numbers[number]} and {name}")
        if number is not None:
            numbers[number] = name
    if not numbers:
        raise SourceFault(f"holds no picture called {pattern}")
    ordered = sorted(numbers)
    return _check_gaps(Numbered(tuple(numbers[number] for number in ordered), _make_timestamps(ordered)))


def _check_gaps(found: Numbered) -> Numbered:
    length = found.timestamps[-1] + 1
    if found.missing > MAX_MISSING * length:
        raise SourceFault(f"lacks {found.missing} of {length} pictures, {describe_gap(found)}")
    return found


def _normalise_ending(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return stem + PICTURE_ENDINGS[f".{ending.lower()}"]


def _group_by_pattern(names: Iterable[str]) -> Counter[str]:
    """The number of images per pattern. If names have several numbers, the last one that varies is the frame number."""
    shapes: defaultdict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for name in names:
        parts = RUN.split(_normalise_ending(name))
        if len(parts) > 1:
            shapes[tuple(parts[::2])].append(parts[1::2])
    groups: Counter[str] = Counter()
    for texts, numbers in shapes.items():
        varying = [index for index, column in enumerate(zip(*numbers, strict=True)) if len(set(column)) > 1]
        counter = varying[-1] if varying else len(texts) - 2
        for row in numbers:
            cells = [*row[:counter], "*", *row[counter + 1 :], ""]
            groups["".join(text + cell for text, cell in zip(texts, cells, strict=True))] += 1
    return groups


def _split_pattern(pattern: str) -> tuple[str, str, str]:
    """The text before and after the number, and the extension."""
    stem, _, ending = pattern.rpartition(".")
    before, _, after = stem.partition("*")
    return before, after, f".{ending.lower()}"


def _read_number(name: str, before: str, after: str, ending: str) -> int | None:
    stem, _, own = name.rpartition(".")
    if PICTURE_ENDINGS.get(f".{own.lower()}") != PICTURE_ENDINGS.get(ending) or name[0] == ".":
        return None
    if not stem.startswith(before) or not stem.endswith(after) or len(stem) <= len(before) + len(after):
        return None
    digits = stem[len(before) : len(stem) - len(after)]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 40 else None


def _make_timestamps(numbers: Sequence[int]) -> tuple[int, ...]:
    """Frame numbers with a constant step -> timestamps. Raises SourceFault if the step is irregular."""
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return tuple(range(len(numbers)))
    steps = Counter(after - before for before, after in pairwise(numbers))
    most = max(steps.values())
    step = min(step for step, count in steps.items() if count == most)
    odd = next((number for number in numbers if (number - numbers[0]) % step), None)
    if odd is not None:
        detail = f"most are {step} from the next, but {odd} is not so many from {numbers[0]}"
        raise SourceFault(f"the numbers of the pictures have no regular step: {detail}; renumber them")
    return tuple((number - numbers[0]) // step for number in numbers)


class FolderRead(NamedTuple):
    """The images of a folder."""

    pattern: str
    numbered: Numbered
    digest: str
    links: list[str]  # all names that are links; empty if none of the sampled images is a link


def read_folder(path: str | Path, pattern: str = "") -> FolderRead | None:
    """The images in a folder, by the pattern if given; None if no image has a number.

    Raises SourceFault if the images cannot be the frames of a clip, and OSError if it is not a folder.
    """
    with _opened(path) as folder:
        ordered = order_pictures(os.listdir(folder), pattern)  # noqa: PTH208  by descriptor
        if ordered is None:
            return None
        found, numbered = ordered
        links: list[str] = []
        digest = digest_pictures(numbered, lambda name: _measure(folder, name, links))
        if links:
            with os.scandir(folder) as entries:
                linked = {entry.name for entry in entries if entry.is_symlink()}
            links = [name for name in numbered.names if name in linked]
        return FolderRead(found, numbered, digest, links)


def may_lead(target: str, root: str) -> bool:
    """Whether a link in the videos folder may lead to `target`: within that folder, or in DVC's cache."""
    return target == root or target.startswith(f"{root}/") or CACHED.match(target) is not None


def read_picture(path: Path, root: Path) -> bytes:
    """Read an image in the videos folder. Raises SourceFault if it is not a file, or a link to elsewhere."""
    if path.is_symlink() and not may_lead(os.path.realpath(path), os.path.realpath(root)):
        raise SourceFault(f"{path.name} is a link out of the videos folder")
    if not path.is_file():  # reading a pipe could block forever
        raise SourceFault(f"{path.name} is not a regular file")
    content = path.read_bytes()
    refuse_lfs_content(path.name, content)
    return content


@contextmanager
def _opened(path: str | Path) -> Iterator[int]:
    # By descriptor: resolving the path again for each file would take half of the time.
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def _measure(folder: int, name: str, links: list[str]) -> int:
    """The size of a file in bytes; links are appended to `links`. Raises SourceFault if it cannot be an image."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            links.append(name)
            found = os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        raise SourceFault(f"{name} is a link to nothing") from None
    if not stat.S_ISREG(found.st_mode):
        raise SourceFault(f"{name} is not a regular file")
    if found.st_size == 0:
        raise SourceFault(f"{name} holds no bytes")
    if found.st_size <= LONGEST_POINTER:
        with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder), "rb") as file:  # noqa: PTH123  by descriptor
            refuse_lfs_content(name, file.read(LONGEST_POINTER))
    return found.st_size
