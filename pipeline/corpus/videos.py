"""Ids and paths -> video files and their digests."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipeline.corpus.inside import Refused, VideosFolder
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.records import Drop

BATCH = 64  # videos
LONGEST_ID = 200  # bytes; with an ending still a legal file name


@dataclass(frozen=True, slots=True)
class Video:
    """The path of a file inside the videos folder, and the SHA-256 of what is in it."""

    file: str
    digest: str


def usable_id(name: str) -> bool:
    """Whether `<id>.webm` can only be a file directly in the videos folder."""
    safe = name.isprintable() and not re.search(r"[/\\]", name) and not name.startswith(".")
    return safe and 0 < len(name.encode()) <= LONGEST_ID


def digest_videos(videos: Path, named: Sequence[tuple[str, str]], workers: int) -> list[Video | Drop]:
    """For each (id, path) its video, or why it has none. Raises UserError if the folder is absent.

    Where the path is empty the id names the file. The files are read in threads, since hashing lets other threads run,
    and by the batch: a task of its own for each would cost more than a small file.
    """
    if not videos.is_dir():
        raise UserError(f"{videos}: no such folder of videos; see dataset.videos")
    folder = VideosFolder(videos)
    # Several captions of one video read it once.
    distinct = list(dict.fromkeys(_source(*pair) for pair in named))
    batches = [distinct[start : start + BATCH] for start in range(0, len(distinct), BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        answers = chain.from_iterable(pool.map(lambda batch: [_look(folder, *source) for source in batch], batches))
        found = dict(zip(distinct, answers, strict=True))
    return [_answer(name, found[_source(name, path)]) for name, path in named]


def _source(name: str, path: str) -> tuple[str, str]:
    """What decides which file it is."""
    return ("", path) if path else (name, "")


def _look(folder: VideosFolder, name: str, path: str) -> Video | Refused:
    try:
        file = folder.find_path(path) if path else folder.find_id(name)
    except Refused as refused:
        return refused
    return Video(file, digest_file(folder.root / file))


def _answer(name: str, found: Video | Refused) -> Video | Drop:
    return found if isinstance(found, Video) else Drop(name, found.reason, found.detail)
