"""Ids and paths in labels -> videos in the videos folder, and their digests."""

import errno
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pipeline.corpus import make_relative, simplify_path
from pipeline.corpus.captions import escape_unwritable
from pipeline.corpus.contained import ContainedVideos, list_videos
from pipeline.corpus.video_names import (
    ANYWHERE,
    TRIED_ENDINGS,
    NoVideo,
    VideoIndex,
    differ_in_case,
    find_nearest_name,
    has_video_ending,
    normalise_name,
    rank_ending,
    split_ending,
)
from pipeline.errors import UserError
from pipeline.files import LONGEST_POINTER, is_lfs_pointer
from pipeline.records import Drop
from pipeline.sources import digest_source
from pipeline.sources.archives import is_archive
from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import PICTURE_ENDINGS, is_animated, may_lead
from pipeline.sources.tables import TABLE_ENDINGS

PICTURES = ", ".join(PICTURE_ENDINGS)
BATCH = 64  # videos
TABLE = re.compile(rf"(?:{'|'.join(map(re.escape, TABLE_ENDINGS))})/", re.IGNORECASE)  # in the path of a cell
LONGEST_ID = 200  # bytes; still a valid file name with an extension

Digests = dict[str, str | NoVideo]  # file -> its SHA-256, or why it cannot be read

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def find_videos(
    videos: Path,
    named: Sequence[tuple[str, str]],
    workers: int,
    pictures: str | None = None,
    digests: Digests | None = None,
) -> list[str | Drop]:
    """For each (id, path), the path of its video in the folder, or a Drop. The id is used if the path is empty.

    `pictures` is the pattern of frames, for folders that contain other images. Their digests, which are computed along
    the way, are stored in `digests`. Raises UserError if the folder does not exist.
    """
    if not videos.is_dir() and not (videos.is_file() and is_archive(videos.name)):
        raise UserError(f"{videos}: no such folder of videos; see dataset.videos")
    folder = VideosFolder(videos, pictures)

    def find(source: tuple[str, str]) -> str | Drop:
        name, path = source
        try:
            return folder.find_path(path) if path else folder.find_id(name)
        except NoVideo as error:
            return Drop(name, error.reason, error.detail)

    found = _map_in_threads(find, named, workers)
    folder.contained.warn()
    _print_other_case([path or name for name, path in named], found)
    if digests is not None:
        digests |= folder.contained.digests
    return found


def _print_other_case(wanted: Sequence[str], found: Sequence[str | Drop]) -> None:
    """Print how many videos have a name that differs from the labels in the case of its letters."""
    pairs = zip(wanted, found, strict=True)
    other = [(name, file) for name, file in pairs if isinstance(file, str) and differ_in_case(name, file)]
    if other:
        name, file = other[0]
        print(f"filter: {len(other)} videos have names in another case, such as {file} for {name}", file=sys.stderr)


def digest_videos(
    videos: Path, files: Sequence[str], workers: int, digests: Digests | None = None
) -> list[str | NoVideo]:
    """The SHA-256 of each file, or why it cannot be read; each is read once, also across calls with `digests`."""
    found = {} if digests is None else digests

    def digest(file: str) -> str | NoVideo:
        try:
            return digest_source(videos, file)
        except SourceFault as fault:
            return NoVideo("unusable_video", str(fault))

    # The cells of a table are read in order by one thread: several would each read all cells in between.
    tables: dict[str, list[str]] = defaultdict(list)
    for file in dict.fromkeys(file for file in files if file not in found):
        tables[file.rpartition("/")[0] if TABLE.search(file) else ""].append(file)
    alone, cells = tables.pop("", []), [sorted(listed) for listed in tables.values()]
    found |= dict(zip(alone, _map_in_threads(digest, alone, workers), strict=True))
    listed = _map_in_threads(lambda rows: [digest(row) for row in rows], cells, workers, batch=1)
    found |= dict(zip(chain.from_iterable(cells), chain.from_iterable(listed), strict=True))
    return [found[file] for file in files]


def suggest_videos_folder(videos: Path, missing: Iterable[str]) -> str:
    """Where the first missing video that exists elsewhere is, as the end of a message; empty if none does.

    Most often, `videos` is a parent of the right folder, or is itself named in the paths. It is listed recursively,
    which is slow: for failed runs only.
    """
    index = VideoIndex(list_videos(videos))
    for wanted in missing:
        if parent := _find_folder_above(videos, wanted, index):
            return f". Paths in the labels start above it: set dataset.videos to {parent}"
        name = wanted.rpartition("/")[2] if wanted.startswith("/") else wanted  # of another machine
        if found := index.list_candidates(name.removeprefix(ANYWHERE)):
            stem, _ = split_ending(found[0])
            above = stem.removesuffix(f"/{split_ending(name)[0]}")
            if above == stem or len(found) > 1:
                return f". There is {found[0]}"
            if name != wanted:
                return f". There is {found[0]}: set dataset.videos to {videos / above}"
            way = f"set dataset.videos to {videos / above}, or dataset.columns.path to '{ANYWHERE}{{its column}}'"
            return f". There is {found[0]}: {way}"
    return ""


def _find_folder_above(videos: Path, wanted: str, index: VideoIndex) -> Path | None:
    """The parent of `videos` that a missing path starts in, as `signs/a.mp4` does where `videos` ends with `signs`."""
    parts = tuple(wanted.split("/"))
    if ".." in parts:
        return None
    for depth in range(1, min(len(parts), len(videos.parts) + 1)):
        tail = "/".join(parts[depth:])
        if videos.parts[-depth:] == parts[:depth] and tail in index.list_candidates(tail):
            return videos.parents[depth - 1]
    return None


def is_usable_id(name: str) -> bool:
    """Whether `<id>.webm` is a safe name of a file at the top level of the videos folder."""
    safe = name.isprintable() and not re.search(r"[/\\]", name) and not name.startswith(".")
    return safe and 0 < len(name.encode()) <= LONGEST_ID


class VideosFolder:
    """The videos folder, with caches of the folders in it."""

    def __init__(self, videos: Path, pictures: str | None = None) -> None:
        # An archive may be a link to DVC's cache, where its name has no extension.
        self._root = os.path.realpath(videos) if videos.is_dir() else str(videos.absolute())
        self._videos = videos  # as in params, possibly a link
        self._holds = cache(self._encloses)  # by folder, of which there are few
        self._folders = cache(self._find_folder)
        self._names = cache(self._list_names)
        self._folded = cache(self._fold_names)
        self._stems = cache(self._sort_stems)
        self.contained = ContainedVideos(self._root, self._look_at, pictures)
        self._finds_pictures = False  # whether the last id was found as a folder of images
        self._index = VideoIndex(list_videos(self._root))

    def find_id(self, name: str) -> str:
        """The file `<id>.webm`, or with the first existing extension; else a video that is no file. Raises NoVideo."""
        if self._finds_pictures and (found := self._find_pictures_alone(name)):
            return found
        for file in (f"{name}{ending}" for ending in TRIED_ENDINGS):
            if self._is_video(file):
                return file
        if found := self.contained.find_pictures(name):
            self._finds_pictures = True
            return found
        if found := self._find_respelt(name) or self.contained.find(name):
            return found
        raise NoVideo(
            "missing_video",
            f"no {name}{TRIED_ENDINGS[0]}, nor with {', '.join(TRIED_ENDINGS[1:])}{self._suggest(name)}",
        )

    def _find_pictures_alone(self, name: str) -> str | None:
        """The folder of images with this name, if no video has it; a shortcut, since trying all extensions is slow."""
        folder, _, last = name.rpartition("/")
        listed = self._folders(folder)
        known = listed is None or normalise_name(split_ending(last)[0]) in self._names(listed)
        return None if known else self.contained.find_pictures(name)

    def find_path(self, text: str) -> str:
        """The video at a path that is relative to the folder, or absolute and leads into it. Raises NoVideo.

        After `**/` follows a name, possibly with folders, of a video in any folder.

        The extension may be missing or in another case, the Unicode normalisation may differ, and a backslash means a
        slash unless a file has it in its name.
        """
        if text != text.strip() and not os.path.lexists(f"{self._root}/{text}"):
            text = text.strip()  # trailing blanks in lists, unless they belong to the name
        if text.startswith(ANYWHERE):
            return self._find_anywhere(text.removeprefix(ANYWHERE))
        path = make_relative(self._root, make_relative(self._videos, text))
        _refuse_unusable(path, text)
        if "\\" in path and not os.path.lexists(f"{self._root}/{path}"):
            path = path.replace("\\", "/")
            _refuse_unusable(path, text)
        path = simplify_path(path)
        if self._is_animated(path):
            return path
        if has_video_ending(path):
            if self._is_video(path):
                return path
            if found := self._find_respelt(path) or self.contained.find(path):
                return found
            raise NoVideo("missing_video", f"no {path}{'' if '://' in text else self._suggest(path)}")
        try:
            return self.find_id(path.rstrip(".") if path[-1:] == "." and path.strip("./") else path)
        except NoVideo as error:
            if error.reason == "missing_video" and os.path.lexists(f"{self._root}/{path}"):
                is_folder = Path(self._root, path).is_dir()
                detail = (
                    f"is a folder without numbered pictures ({PICTURES})" if is_folder else "does not end like a video"
                )
                raise NoVideo("unusable_path", f"{path} {detail}") from None
            raise

    def _is_animated(self, path: str) -> bool:
        return path.lower().endswith(".webp") and self._is_video(path) and is_animated(Path(self._root, path))

    def _find_anywhere(self, name: str) -> str:
        _refuse_unusable(name, name)
        # A video at exactly this path is preferred, and listing the folders of a large dataset is slow.
        if video := self.contained.find_pictures(name):
            return video
        found = self._index.list_candidates(name)
        if len(found) > 1:
            raise NoVideo("missing_video", f"{found[0]} and {found[1]} are both called {name}")
        video = self._find_exact(found[0]) if found else None
        if not video:
            near = self._index.suggest(name)
            raise NoVideo("missing_video", f"no {name} in any folder{f'; the nearest is {near}' if near else ''}")
        return video

    def _find_exact(self, path: str) -> str | None:
        return path if has_video_ending(path) and self._is_video(path) else self.contained.find(path)

    def _find_respelt(self, path: str) -> str | None:
        """The file whose name differs only in case, in the absence of the extension, or in Unicode normalisation.

        Names in the same case have precedence. Raises NoVideo if there are several, or it is unusable.
        """
        folder, _, name = path.rpartition("/")
        found = self._folders(folder)
        if found is None:
            return None
        stem, ending = split_ending(name)
        stem = normalise_name(stem)
        alike = self._names(found).get(stem) or self._folded(found).get(stem.casefold(), [])
        fitting = [(rank, known) for rank, known in alike if not ending or known.lower().endswith(ending)]
        best = [known for rank, known in fitting if rank == fitting[0][0]]
        if len(best) > 1:
            raise NoVideo("missing_video", f"no {path}, and both {best[0]} and {best[1]} come near it")
        file = f"{found}/{best[0]}".lstrip("/") if best else None
        return file if file and self._is_video(file) else None

    def _find_folder(self, folder: str) -> str | None:
        """A folder in this one by its path, in any Unicode normalisation, or else in any case.

        None if it does not exist or is outside.
        """
        if not self._holds(f"{self._root}/{folder}"):
            return None
        if Path(self._root, folder).is_dir():
            return folder
        above, _, name = folder.rpartition("/")
        found = self._folders(above) if folder else None
        if found is None:
            return None
        name = normalise_name(name)
        with os.scandir(f"{self._root}/{found}") as entries:
            listed = [(normalise_name(entry.name), entry) for entry in entries]
            alike = sorted(e.name for known, e in listed if known.casefold() == name.casefold() and e.is_dir())
        same = [known for known in alike if normalise_name(known) == name] or alike
        path = f"{found}/{same[0]}".lstrip("/") if len(same) == 1 else None
        return path if path and self._holds(f"{self._root}/{path}") else None

    def _list_names(self, folder: str) -> dict[str, list[tuple[int, str]]]:
        """Names without extension -> (rank of the extension, name) of the videos in a folder, sorted."""
        listed: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for name in (path.name for path in Path(self._root, folder).iterdir()):
            stem, ending = split_ending(name)
            if ending and name[0] != ".":
                listed[normalise_name(stem)].append((rank_ending(ending), name))
        return {stem: sorted(known) for stem, known in listed.items()}

    def _fold_names(self, folder: str) -> dict[str, list[tuple[int, str]]]:
        """As `_list_names`, by case-folded names."""
        folded: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for stem, known in self._names(folder).items():
            folded[stem.casefold()] += known
        return {stem: sorted(known) for stem, known in folded.items()}

    def _suggest(self, path: str) -> str:
        """The most similar existing name, for a message; empty if none is similar."""
        folder, _, name = path.rpartition("/")
        found = self._folders(folder)
        if found is None:
            return self._suggest_tail(path)
        near = find_nearest_name(normalise_name(split_ending(name)[0]).casefold(), self._stems(found))
        file = f"{found}/{near}".lstrip("/")
        return f"; the nearest is {file}" if near and file != path else ""

    def _suggest_tail(self, path: str) -> str:
        """A suffix of the path that exists, for a message: most often, a path starts in a parent of this folder."""
        parts = path.split("/")
        for file in ("/".join(parts[start:]) for start in range(1, len(parts))):
            if self._encloses(f"{self._root}/{file}") and Path(self._root, file).is_file():
                return f"; from dataset.videos, {file} is there"
        return ""

    def _sort_stems(self, folder: str) -> list[tuple[str, str]]:
        """(case-folded stem, name) of the videos in a folder, sorted."""
        return sorted((stem.casefold(), listed[0][1]) for stem, listed in self._names(folder).items())

    def _is_video(self, file: str) -> bool:
        """Whether the file exists. Raises NoVideo if it is unusable."""
        try:
            found = self._look_at(file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            raise NoVideo("unusable_path", f"{file[:80]}: {error.strerror}") from None
        if stat.S_ISDIR(found.st_mode) and self.contained.find_pictures(file):
            return False
        # Reading a pipe or a device could block forever.
        if not stat.S_ISREG(found.st_mode):
            raise NoVideo("missing_video", f"{file} is not a regular file")
        if found.st_size == 0:
            raise NoVideo("empty_video", f"{file} holds no bytes")
        if found.st_size <= LONGEST_POINTER and is_lfs_pointer(Path(self._root, file)):
            raise NoVideo("missing_video", f"{file} is a pointer of Git LFS; `git lfs pull` fetches the video")
        return True

    def _look_at(self, file: str) -> os.stat_result:
        """The stat of a file, or of the target of a link. Raises NoVideo if it is outside."""
        path, (folder, _, _) = f"{self._root}/{file}", file.rpartition("/")
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(path)
            if may_lead(target, self._root):
                return Path(path).stat()
        elif not folder or self._holds(f"{self._root}/{folder}"):
            return found
        raise NoVideo("unusable_path", f"{file} is a link out of the videos folder, or is behind one")

    def _encloses(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _refuse_unusable(path: str, text: str) -> None:
    """Raise NoVideo for an invalid path, before any access; `text` is the path in the labels."""
    fault = ""
    if path.startswith("/"):
        fault = "is absolute; paths start from dataset.videos"
    elif ".." in path.split("/"):
        fault = "climbs with `..`"
    elif "\0" in path:
        fault = "holds a NUL"
    elif escape_unwritable(path) != path:
        fault = "is not UTF-8"
    if fault:
        raise NoVideo("unusable_path", f"{ascii(text)[:80]} {fault}")


def _map_in_threads(
    function: Callable[[Item], Answer], items: Sequence[Item], workers: int, batch: int = BATCH
) -> list[Answer]:
    """The results in order, from threads, since reading and hashing release the GIL.

    In batches: a task per item would cost more than a small file.
    """
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    with ThreadPoolExecutor(workers) as pool:
        return list(chain.from_iterable(pool.map(lambda batch: [function(item) for item in batch], batches)))
