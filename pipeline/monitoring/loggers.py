"""Where the figures and sample clips of a training go: the terminal, TensorBoard, DVCLive, GIF files."""

import io
import itertools
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from pipeline.data.batches import to_frames
from pipeline.data.dataset import TrainingSplit
from pipeline.data.sampler import noise
from pipeline.errors import UserError
from pipeline.files import replacing
from pipeline.monitoring.throughput import Rates
from pipeline.params import LoggingParams
from pipeline.records import Clip, Frames
from pipeline.training.history import Row
from pipeline.training.step import Networks

FRAME_MILLISECONDS = 125

SHOWN = 8  # clips in a picture


class Board(Protocol):
    """Takes what a run reports after so many clips."""

    def scalars(self, clips_seen: int, values: Mapping[str, float]) -> None: ...

    def picture(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Sample clips [N,T,H,W,3]."""

    def close(self) -> None: ...


class TensorBoard:
    """Event files in `folder`; what a stopped run wrote there after `clips_seen` is hidden."""

    def __init__(self, folder: Path, clips_seen: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=clips_seen + 1)

    def scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, clips_seen)

    def picture(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """As one animated picture in the image tab, with the captions from left to right."""
        count, _, height, width, _ = clips.shape
        image = Summary.Image(height=height, width=count * width, colorspace=3, encoded_image_string=moving(clips))
        summary = Summary(value=[Summary.Value(tag="samples", image=image)])
        self._writer._get_file_writer().add_summary(summary, clips_seen)  # type: ignore[no-untyped-call]
        self._writer.add_text("captions of the samples", "\n\n".join(captions), clips_seen)

    def close(self) -> None:
        self._writer.close()


class DvcLive:
    """Files of DVCLive in `dvclive/`, made anew from the history of the run so far; git ignores the folder.

    It saves no experiment, writes no dvc.yaml and no report: those are the pipeline's own, and would be changes in git.
    Raises UserError where the package is not installed.
    """

    def __init__(self, history: Sequence[Mapping[str, float]]) -> None:
        try:
            from dvclive import Live
        except ImportError:
            raise UserError(
                "logging.dvclive: DVCLive is not installed; pip install 't2v[dvclive]', or say false"
            ) from None
        self._live = Live("dvclive", save_dvc_exp=False, dvcyaml=None)
        for row in history:
            self.scalars(int(row["clips"]), row)

    def scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        self._live.step = clips_seen
        for name, value in values.items():
            if name != "clips":
                self._live.log_metric(name, value)
        self._live.sync()

    def picture(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Nothing: of a moving picture DVCLive keeps one frame."""

    def close(self) -> None:
        self._live.end()


class Pictures:
    """The newest `keep` pictures of samples as `samples-<clips>.gif` in `folder`."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        pass

    def picture(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        with replacing(self._folder / f"samples-{clips_seen:09}.gif") as temporary:
            temporary.write_bytes(moving(clips))
        with replacing(self._folder / "captions.txt") as temporary:
            temporary.write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")
        for path in sorted(self._folder.glob("samples-*.gif"))[: -self._keep]:
            path.unlink()

    def close(self) -> None:
        pass


def open_boards(
    logging: LoggingParams | None, folder: Path, clips_seen: int, history: Sequence[Mapping[str, float]]
) -> list[Board]:
    """Those that are asked for, to go on after so many clips and the rows of the history so far."""
    boards: list[Board] = []
    if logging and logging.tensorboard:
        boards.append(TensorBoard(folder, clips_seen))
    if logging and logging.dvclive:
        boards.append(DvcLive(history))
    if logging and logging.keep_pictures:
        boards.append(Pictures(folder, logging.keep_pictures))
    return boards


def moving(clips: Frames) -> bytes:
    """Clips [N,T,H,W,3] side by side as an endless GIF."""
    images = [Image.fromarray(np.concatenate(list(frame), axis=1)) for frame in clips.transpose(1, 0, 2, 3, 4)]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=FRAME_MILLISECONDS, loop=0)
    return file.getvalue()


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


class Sampled:
    """The same captions with the same noise throughout a run: `captions`, from left to right."""

    def __init__(self, seed: int, clips: TrainingSplit) -> None:
        self._seed = seed
        rows = spread_out(clips.clips, SHOWN)
        self.captions = [clips.clips[row].caption for row in rows]
        self._token_ids = clips.token_ids[rows]

    def draw(self, nets: Networks) -> Frames:
        """Samples of the averaged generator: uint8 [N,T,H,W,3]."""
        z = noise(self._seed, len(self.captions), nets.average.z_width).to(self._token_ids.device)
        with torch.no_grad():
            return to_frames(nets.average(z, self._token_ids))


def spread_out(clips: Sequence[Clip], count: int) -> list[int]:
    """Rows of `count` clips: every category in turn, of each the commonest objects first.

    Of more categories than that a part is taken, evenly by name; with fewer meanings than that they come again.
    """
    found = Counter((clip.category, clip.objects) for clip in clips)
    first = {(clip.category, clip.objects): row for row, clip in reversed(list(enumerate(clips)))}
    categories = sorted({category for category, _ in found})
    if len(categories) > count:
        categories = [categories[at] for at in np.linspace(0, len(categories) - 1, count).round().astype(int)]
    columns = [sorted((m for m in found if m[0] == name), key=lambda m: (-found[m], m)) for name in categories]
    turns = [meaning for turn in itertools.zip_longest(*columns) for meaning in turn if meaning]
    return [first[meaning] for meaning in itertools.islice(itertools.cycle(turns), count)]
