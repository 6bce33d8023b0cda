"""What a run says while it trains: a live line, TensorBoard, and the rows of the history.

The history is an output of the stage, so it holds no clock; clips/s go to the terminal and TensorBoard only.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from pipeline.records import Frames

Row = dict[str, float]


class Log:
    """Reports of one run; quiet on every rank but the first. Use as a context."""

    def __init__(self, folder: Path, total_clips: int, clips_seen: int, *, quiet: bool) -> None:
        self._quiet = quiet
        self._total = total_clips
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal and not quiet
        self._board = None if quiet else SummaryWriter(str(folder), purge_step=clips_seen)
        self._progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[line]}"),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("train", total=total_clips, completed=clips_seen, line="")
        self._since, self._seen = time.monotonic(), clips_seen

    def __enter__(self) -> "Log":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._board is not None:
            self._board.close()

    def advance(self, clips_seen: int) -> None:
        """Move the live bar."""
        self._progress.update(self._task, completed=clips_seen)

    def report(self, clips_seen: int, row: Row) -> None:
        """One row of the history: to TensorBoard and the terminal."""
        if self._board is None:
            return
        now = time.monotonic()
        speed = (clips_seen - self._seen) / max(now - self._since, 1e-9)
        self._since, self._seen = now, clips_seen
        for name, value in {**row, "clips_per_second": speed}.items():
            self._board.add_scalar(name, value, clips_seen)
        losses = " ".join(f"{name.split('/')[-1]} {value:.3f}" for name, value in row.items() if "/" in name)
        self._progress.update(self._task, completed=clips_seen, line=f"{speed:.1f} clips/s  {losses}")
        if not self._live:
            left = (self._total - clips_seen) / max(speed, 1e-9)
            print(
                f"train: {clips_seen}/{self._total} clips, {speed:.1f} clips/s, {left / 60:.1f} min left, {losses}",
                file=sys.stderr,
                flush=True,
            )

    def show(self, clips_seen: int, clips: Frames) -> None:
        """Sample clips [N,T,H,W,3], as one animated picture in TensorBoard's image tab."""
        if self._board is None:
            return
        images = [Image.fromarray(np.concatenate(list(frame), axis=1)) for frame in clips.transpose(1, 0, 2, 3, 4)]
        file = io.BytesIO()
        images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=125, loop=0)
        width, height = images[0].size
        picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=file.getvalue())
        summary = Summary(value=[Summary.Value(tag="samples", image=picture)])
        self._board._get_file_writer().add_summary(summary, clips_seen)  # type: ignore[no-untyped-call]

    def warn(self, message: str) -> None:
        """Say something once, above the live line."""
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False)
