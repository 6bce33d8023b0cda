"""Ids -> video files and their digests."""

import re
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.records import Drop

ENDINGS = (".webm", ".mp4", ".mkv", ".avi", ".mov")
BATCH = 64  # videos
LONGEST_ID = 200  # bytes; with an ending still a legal file name


@dataclass(frozen=True, slots=True)
class Video:
    """A file name inside the videos folder, and the SHA-256 of what is in it."""

    file: str
    digest: str


def usable_id(name: str) -> bool:
    """Whether `<id>.webm` can only be a file directly in the videos folder."""
    safe = name.isprintable() and not re.search(r"[/\\]", name) and not name.startswith(".")
    return safe and 0 < len(name.encode()) <= LONGEST_ID


def digest_videos(videos: Path, ids: Sequence[str], workers: int) -> list[Video | Drop]:
    """For each id its video, or why it has none. Raises UserError if the folder is absent.

    The files are read in threads, since hashing lets other threads run, and by the batch: a task of its own for each
    would cost more than a small file.
    """
    if not videos.is_dir():
        raise UserError(f"{videos}: no such folder of videos; see dataset.videos")
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        return list(
            chain.from_iterable(pool.map(lambda batch: [_digest_video(videos, name) for name in batch], batches))
        )


def _digest_video(videos: Path, name: str) -> Video | Drop:
    for file in (f"{name}{ending}" for ending in ENDINGS):
        try:
            found = (videos / file).stat()
        except FileNotFoundError:
            continue
        # A pipe or a device would keep us reading for ever.
        if not stat.S_ISREG(found.st_mode):
            return Drop(name, "missing_video", f"{file} is not a regular file")
        if found.st_size == 0:
            return Drop(name, "empty_video", f"{file} holds no bytes")
        return Video(file, digest_file(videos / file))
    return Drop(name, "missing_video", f"no {name}{ENDINGS[0]}, nor with {', '.join(ENDINGS[1:])}")
