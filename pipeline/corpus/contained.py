"""Videos that are not separate files: folders of images, members of archives, and cells of tables."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from pipeline.corpus.video_names import TRIED_ENDINGS, NoVideo, VideoIndex, has_video_ending, is_hidden, split_ending
from pipeline.sources import split_container
from pipeline.sources.archives import UNREAD, Archive, is_archive, open_archive
from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import (
    FolderRead,
    describe_gap,
    is_pattern,
    is_picture,
    may_lead,
    order_pictures,
    read_folder,
)
from pipeline.sources.tables import is_table

Look = Callable[[str], os.stat_result]  # stat of a path in the videos folder; raises NoVideo if it leads outside


class ContainedVideos:
    """Finds videos in the videos folder that are not video files. The folder may be an archive."""

    def __init__(self, root: str, look: Look, pictures: str | None) -> None:
        self._root = root
        self._look = look
        self._pattern = pictures or ""
        self.digests: dict[str, str] = {}  # of the folders of images found so far
        self._gaps: dict[str, tuple[int, str]] = {}
        self._left_out: dict[str, str] = {}  # archive -> the first ignored member

    def find(self, path: str) -> str | None:
        """The images, member or cell at a path, whose extension may be missing or that of the original video.

        Raises NoVideo if what is there is unusable.
        """
        found = self.find_pictures(path) or self._find_member(path)
        # Folders of frames are named after the original videos, with or without the extension.
        others = [split_ending(path)[0]] if has_video_ending(path) else [f"{path}{ending}" for ending in TRIED_ENDINGS]
        return found or next(filter(None, map(self.find_pictures, others)), None) or self._find_archived(path)

    def find_pictures(self, path: str) -> str | None:
        """The folder at a path, with the pattern of its images; None if it is not a folder or has no images."""
        folder, pattern = path, self._pattern
        if is_pattern(path):
            folder, _, pattern = path.rpartition("/")
        try:
            if not stat.S_ISDIR(self._look(folder).st_mode):
                return None
            found = read_folder(f"{self._root}/{folder}", pattern)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except SourceFault as fault:
            raise NoVideo("unusable_video", f"{folder}: {fault}") from None
        if found is None:
            return None
        self._check_links(folder, found)
        video = f"{folder}/{found.pattern}"
        self.digests[video] = found.digest
        if found.numbered.missing:
            self._gaps[video] = found.numbered.missing, f"{folder}, {describe_gap(found.numbered)}"
        return video

    def warn(self) -> None:
        """Warn on stderr of missing images in the folders found, and of ignored members of archives."""
        for archive, member in sorted(self._left_out.items()):
            detail = "members that are links or devices, or lead elsewhere, are left out"
            print(f"warning: {archive}: {detail}, such as {member}", file=sys.stderr)
        if self._gaps:
            count = sum(missing for missing, _ in self._gaps.values())
            first = self._gaps[min(self._gaps)][1]
            detail = f"{len(self._gaps)} folders of pictures lack {count} of them, such as {first}"
            print(f"warning: {detail}: the picture before it is shown for longer", file=sys.stderr)

    def _check_links(self, folder: str, found: FolderRead) -> None:
        for name in found.links:
            if not may_lead(os.path.realpath(f"{self._root}/{folder}/{name}"), self._root):
                raise NoVideo("unusable_path", f"{folder}/{name} is a link out of the videos folder")

    def _find_member(self, path: str) -> str | None:
        container = split_container(f"{self._root}/{path}")
        if container is None:
            self._refuse_unread(path)
            return None
        file, inside = container
        here = os.path.relpath(file, self._root) if str(file) != self._root else ""
        if here:
            self._look(here)
        if is_table(file):
            return path
        try:
            found = self._find_in(open_archive(file), inside)
        except SourceFault as fault:
            raise NoVideo("unusable_video", f"{path}: {fault}") from None
        return f"{here}/{found}".lstrip("/") if found else None

    def _find_in(self, archive: Archive, path: str) -> str | None:
        """A video or a folder of images in an archive."""
        if archive.left_out:
            self._left_out[archive.name] = archive.left_out[0]
        stem, ending = split_ending(path)
        for name in [path] if ending else [f"{path}{ending}" for ending in TRIED_ENDINGS]:
            member = archive.find(name)
            if member is not None and not member.size:
                raise NoVideo("empty_video", f"{archive.name}/{name} holds no bytes")
            if member is not None:
                return name
        if is_pattern(path):
            folder, _, pattern = path.rpartition("/")
            return self._find_members(archive, folder, pattern)
        named = next((folder for folder in (path, stem) if archive.list_names(folder)), None)
        return None if named is None else self._find_members(archive, named, self._pattern)

    def _find_members(self, archive: Archive, folder: str, pattern: str) -> str | None:
        """The images of a folder in an archive."""
        names = archive.list_names(folder)
        ordered = order_pictures(names, pattern) if names else None
        if ordered is None:
            return None
        video = f"{folder}/{ordered[0]}".lstrip("/")
        if ordered[1].missing:
            detail = f"{archive.name}/{folder}, {describe_gap(ordered[1])}"
            self._gaps[f"{archive.name}/{video}"] = ordered[1].missing, detail
        return video

    def _find_archived(self, name: str) -> str | None:
        """The video with this name, or path suffix, in an archive at the top level of the folder."""
        if not self._archives:
            return None
        found = self._index.list_candidates(name)
        if len(found) > 1:
            raise NoVideo("missing_video", f"no {name}, and both {found[0]} and {found[1]} come near it")
        return self._find_member(found[0]) if found else None

    def _refuse_unread(self, path: str) -> None:
        parts = path.split("/")
        for index, part in enumerate(parts[:-1], 1):
            if part.lower().endswith(UNREAD) and Path(self._root, *parts[:index]).is_file():
                raise NoVideo("unusable_video", f"{'/'.join(parts[:index])} is not read in place; unpack it")

    @cached_property
    def _archives(self) -> list[str]:
        """The archives at the top level of the videos folder; the folder itself if it is an archive."""
        if Path(self._root).is_file():
            return [""]
        with os.scandir(self._root) as entries:
            return sorted(e.name for e in entries if is_archive(e.name) and e.is_file() and e.name[0] != ".")

    @cached_property
    def _index(self) -> VideoIndex:
        return VideoIndex(chain.from_iterable(list_members(self._root, file) for file in self._archives))


def holds_containers(videos: Path) -> bool:
    """Whether the videos folder is an archive, or has archives or tables at its top level."""
    if not videos.is_dir():
        return videos.is_file()
    with os.scandir(videos) as entries:
        return any(is_archive(entry.name) or is_table(Path(entry.name)) for entry in entries)


def list_videos(videos: str | Path) -> Iterator[str]:
    """The paths of all videos and folders of images, also in archives; hidden ones are skipped."""
    if Path(videos).is_file():
        yield from list_members(videos, "")
        return
    for folder, below, files in os.walk(videos):
        below[:] = sorted(name for name in below if not is_hidden(name))
        here = os.path.relpath(folder, videos)
        files = [name for name in sorted(files) if name[0] != "."]
        paths = files if here == "." else [f"{here}/{name}" for name in files]
        found = [path for path in paths if has_video_ending(path)]
        yield from found or ([here] if any(map(is_picture, files)) else [])
        for path in paths:
            if is_archive(path):
                yield from list_members(videos, path)


def list_members(videos: str | Path, file: str) -> Iterator[str]:
    """The paths of videos and folders of images in an archive; a damaged archive is skipped with a warning."""
    try:
        archive = open_archive(Path(videos, file))
    except SourceFault as fault:
        print(f"warning: {Path(videos, file)} is skipped: {fault}", file=sys.stderr)
        return
    for folder in archive.folders:
        names = archive.list_names(folder)
        found = [name for name in names if has_video_ending(name)]
        pictures = [] if found or not any(map(is_picture, names)) else [""]
        yield from ("/".join(filter(None, (file, folder, name))) for name in found or pictures)
