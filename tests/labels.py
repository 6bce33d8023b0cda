"""Small label files and folders of videos for tests; a video is a few bytes, since filtering never decodes."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from settings import reading

from pipeline.corpus import LabelRow
from pipeline.corpus.readers import read_rows

RIGHT = "Pushing [something] from left to right"
LEFT = "Pushing [something] from right to left"
UP = "Moving [something] up"


def row(clip_id: Any, template: str = RIGHT, *words: str) -> dict[str, Any]:
    """One row of an official file: the placeholders put into the template give the label."""
    placeholders = list(words) or ["a book"]
    label = template
    for word in placeholders:
        before, _, after = label.partition("[something]")
        label = before + word + after
    return {"id": clip_id, "label": label.lower(), "template": template, "placeholders": placeholders}


def rows(
    count: int, *, templates: Sequence[str] = (RIGHT, LEFT), words: Sequence[str] = ("a book", "a mug")
) -> list[dict[str, Any]]:
    """`count` rows with the ids 1..count that go through all templates with all words in turn."""
    cells = [(template, word) for word in words for template in templates]
    return [row(str(n + 1), cells[n % len(cells)][0], cells[n % len(cells)][1]) for n in range(count)]


def write_labels(path: Path, listed: Any) -> Path:
    """Write a label file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(listed), encoding="utf-8")
    return path


def read_something(path: Path) -> list[LabelRow]:
    """The rows of labels like Something-Something-V2's."""
    return read_rows(path, reading("something", path))


def write_videos(folder: Path, ids: Iterable[str]) -> Path:
    """A folder with `<id>.webm` for each id, each with other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip_id in ids:
        (folder / f"{clip_id}.webm").write_bytes(f"video {clip_id}".encode())
    return folder
