"""What a run says while it trains: a live line, its boards, and the rows of the history.

The history is an output of the stage, so it holds no clock; clips/s go to the terminal and the boards only.
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.records import Frames
from pipeline.training.boards import Board
from pipeline.training.meter import Rates

Row = dict[str, float]


class Log:
    """Reports of one run; quiet and without boards on every rank but the first. Use as a context."""

    def __init__(self, boards: Sequence[Board], total_clips: int, clips_seen: int, *, quiet: bool) -> None:
        self._quiet = quiet
        self._total = total_clips
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal and not quiet
        self._boards = boards
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

    def __enter__(self) -> "Log":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        for board in self._boards:
            board.close()

    def advance(self, clips_seen: int) -> None:
        """Move the live bar."""
        self._progress.update(self._task, completed=clips_seen)

    def report(self, clips_seen: int, row: Row, rates: Rates) -> None:
        """One row of the history and what it took: to the boards and the terminal."""
        for board in self._boards:
            board.scalars(clips_seen, row | rates.scalars())
        losses = " ".join(f"{name.split('/')[-1]} {value:.3f}" for name, value in row.items() if "/" in name)
        self._progress.update(self._task, completed=clips_seen, line=f"{rates}  {losses}")
        if not self._live:
            left = (self._total - clips_seen) / max(rates.clips, 1e-9)
            print(
                f"train: {clips_seen}/{self._total} clips, {rates}, {left / 60:.1f} min left, {losses}",
                file=sys.stderr,
                flush=True,
            )

    def show(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Sample clips [N,T,H,W,3] of these captions."""
        for board in self._boards:
            board.picture(clips_seen, clips, captions)

    def warn(self, message: str) -> None:
        """Say something once, above the live line."""
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False)
