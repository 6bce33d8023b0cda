"""What opening a shard gives: its clips by name, and their frames in pieces that are brought in when needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.records import Frames


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring clips that are brought in together."""

    clips: int
    bring: Callable[[], Frames]  # -> uint8 [clips,T,H,W,3]; raises what reading a damaged file raises
    mapped: bool  # in place: costs no memory


@dataclass(frozen=True, slots=True)
class OpenShard:
    """One shard; its pieces in row order."""

    ids: list[str]
    captions: list[str]
    pieces: list[Piece]


def map_frames(path: Path, start: int, shape: tuple[int, ...]) -> Frames:
    """The bytes of a file from `start` on as a read-only array: only what is touched is read."""
    return np.asarray(np.memmap(path, np.uint8, "r", start, shape))
