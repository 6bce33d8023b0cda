"""Ids and paths -> video files and their digests."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pipeline.corpus.inside import Refused, VideosFolder
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.records import Drop

BATCH = 64  # videos
LONGEST_ID = 200  # bytes; with an ending still a legal file name

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def usable_id(name: str) -> bool:
    """Whether `<id>.webm` can only be a file directly in the videos folder."""
    safe = name.isprintable() and not re.search(r"[/\\]", name) and not name.startswith(".")
    return safe and 0 < len(name.encode()) <= LONGEST_ID


def find_videos(videos: Path, named: Sequence[tuple[str, str]], workers: int) -> list[str | Drop]:
    """For each (id, path) the path of its video in the folder, or why it has none. The id counts if the path is empty.

    Raises UserError if the folder is absent.
    """
    if not videos.is_dir():
        raise UserError(f"{videos}: no such folder of videos; see dataset.videos")
    folder = VideosFolder(videos)

    def find(source: tuple[str, str]) -> str | Drop:
        name, path = source
        try:
            return folder.find_path(path) if path else folder.find_id(name)
        except Refused as refused:
            return Drop(name, refused.reason, refused.detail)

    return _for_each(find, named, workers)


def digest_videos(videos: Path, files: Sequence[str], workers: int) -> list[str]:
    """The SHA-256 of each file; one that is named several times is read once."""
    distinct = list(dict.fromkeys(files))
    digests = _for_each(lambda file: digest_file(videos / file), distinct, workers)
    found = dict(zip(distinct, digests, strict=True))
    return [found[file] for file in files]


def _for_each(function: Callable[[Item], Answer], items: Sequence[Item], workers: int) -> list[Answer]:
    """The answers in order, from threads, since reading and hashing let other threads run.

    By the batch: a task of its own for each would cost more than a small file.
    """
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        return list(chain.from_iterable(pool.map(lambda batch: [function(item) for item in batch], batches)))
