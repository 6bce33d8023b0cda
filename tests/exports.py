"""Exports of labelling tools for tests: written small, with the videos that they name, and read."""

from pathlib import Path
from typing import Any

from settings import reading

from pipeline.corpus import LabelRow
from pipeline.corpus.readers import read_rows


def write_media(folder: Path, *names: str) -> Path:
    """A folder `videos` beside the labels with a file for each name, of a few bytes."""
    for name in names:
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / name).write_bytes(b"v")
    return folder / "videos"


def read_export(
    kind: str, labels: Path, *, rate: float | None = None, around: float | None = None, **columns: Any
) -> list[LabelRow]:
    """The rows of the labels; the videos are in `videos` beside them."""
    dataset = reading(kind, labels, **columns)
    segments = dataset.segments.model_copy(update={"rate": rate, "around": around})
    return read_rows(labels, dataset.model_copy(update={"segments": segments}))


def show(rows: list[LabelRow]) -> list[tuple[Any, ...]]:
    """Of each row the video, the category, the caption, and its part in milliseconds or why it is none."""
    return [
        (
            row.video.removeprefix("**/"),
            row.template,
            row.label,
            *([row.segment_fault] if row.segment_fault else [_ms(row.segment.start), _ms(row.segment.end)]),
        )
        for row in rows
    ]


def _ms(seconds: float) -> float:
    return seconds if seconds == float("inf") else round(seconds * 1000, 2)
