"""Readers of labels and of vectors that have been taken over, as it were; what is read says what they try.

The attempts are those of `planted_workers`, or an answer that is wrong.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from planted_workers import ATTEMPTS

from pipeline.compute.reading import Answer
from pipeline.corpus import LabelRow, make_path_row
from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.text.vector_files import FoundVectors


def send_rows(_: object, labels: Path, __: object) -> Answer:
    """In place of what sends rows."""
    return _attempt(labels)


def send_vectors(_: object, __: object, file: Path, *___: object) -> Answer:
    """In place of what sends vectors."""
    return _attempt(file)


def send_videos(videos: Path, *_: object) -> Answer:
    """In place of what sends the paths of videos."""
    return _attempt(videos / "plan")


def _attempt(file: Path) -> Answer:
    """A real intruder would keep still about what failed."""
    plan = json.loads(file.read_text())
    if "answer" in plan:
        return plan["answer"], [memoryview(bytes.fromhex(plan["content"]))]
    try:
        value, _ = ATTEMPTS[plan["attempt"]](plan, "")
    except OSError as error:
        raise UserError(f"refused: {error!r}") from None
    raise UserError(str(value))


def read_all(labels: Path, dataset: DatasetParams) -> Iterator[LabelRow]:
    """The rows of everything in a folder, in order, each as labels of their own."""
    for path in sorted(labels.iterdir()):
        videos = path if path.is_dir() else labels / "videos"
        yield from read_rows(path, dataset.model_copy(update={"labels": str(path), "videos": str(videos)}))


def read_own(labels: Path, _: DatasetParams) -> Sequence[LabelRow]:
    """A reader of the user's own, which tells the process that it runs in."""
    return [make_path_row("a.mp4", str(os.getpid()), "all", "all", (labels.name, ""))]


def find_nothing() -> FoundVectors:
    """No vector at all."""
    return FoundVectors({}, [])
