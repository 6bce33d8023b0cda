"""Real clips of a dataset with what is said of them, a split at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.records import Caption, Clip, Frames, Split
from pipeline.shards import ShardReader
from pipeline.tables import read_table


class Material:
    """The clips that have frames and a caption. A row is a window of a video, so clips may come several times."""

    def __init__(self, labels: Path, clips: Path, captions: Path) -> None:
        self.shards = ShardReader(clips)
        self.captions = {caption.id: caption for caption in read_table(captions / "captions.parquet", Caption)}
        labelled = {clip.id: clip for clip in read_table(labels / "clips.parquet", Clip)}
        self._clips = [labelled.get(name) if name in self.captions else None for name in self.shards.ids]

    def rows(self, split: Split, most: int) -> list[int]:
        """The rows of a split in order; of more than `most`, so many spread evenly over it."""
        rows = [row for row, clip in enumerate(self._clips) if clip is not None and clip.split == split]
        if len(rows) <= most:
            return rows
        return [rows[place] for place in np.linspace(0, len(rows) - 1, most).round().astype(int)]

    def clips(self, rows: Sequence[int]) -> list[Clip]:
        """What is known of these rows."""
        return [clip for row in rows if (clip := self._clips[row]) is not None]

    def frames(self, rows: Sequence[int]) -> Frames:
        """uint8 [N,T,H,W,3]."""
        return self.shards.frames(rows)
