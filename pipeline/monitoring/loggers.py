"""Loggers for the metrics and sample clips of a training: the terminal, TensorBoard, DVCLive, GIF files."""

import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import text

from pipeline.data.dataset import TrainingSplit, to_frames
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError, first_line, name_install, naming
from pipeline.files import atomic_write
from pipeline.models.networks import TextToVideo
from pipeline.monitoring.event_file import EventFile
from pipeline.monitoring.throughput import CostLogger, ThroughputMeter
from pipeline.params import LoggingParams, TrainParams
from pipeline.records import Clip, Frames
from pipeline.training.history import MetricRow, Values

FRAME_MILLISECONDS = 125

SAMPLES = 8  # clips side by side
LIVE = "dvclive"  # the folder
STEP = "clips"  # the step of a row, no value
SHOWN = ("loss/", "logits/", "penalty/", "error/", "val/")  # begin the names of the values in the terminal


class Logger(Protocol):
    """Receives the reports of a run, with the number of clips seen."""

    def log_scalars(self, clips_seen: int, values: Mapping[str, float]) -> None: ...

    def log_clips(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Sample clips [N,T,H,W,3]."""

    def close(self) -> None: ...


class TensorBoardLogger:
    """Event files in `folder`; what a stopped run wrote there after `clips_seen` is hidden."""

    def __init__(self, folder: Path, clips_seen: int) -> None:
        self._file = EventFile(folder, clips_seen + 1)

    def log_scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        shown = (Summary.Value(tag=name, simple_value=value) for name, value in values.items() if name != STEP)
        self._file.write(clips_seen, Summary(value=shown))

    def log_clips(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Log an animated image, with the captions from left to right as text."""
        count, _, height, width, _ = clips.shape
        image = Summary.Image(height=height, width=count * width, colorspace=3, encoded_image_string=_encode_gif(clips))
        self._file.write(clips_seen, Summary(value=[Summary.Value(tag="samples", image=image)]))
        self._file.write(clips_seen, text("captions of the samples", "\n\n".join(captions)))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        pass


class DvcLiveLogger:
    """DVCLive files in `dvclive/`, which git ignores, rewritten from the history of the run so far.

    Saves no experiment and writes no dvc.yaml or report, which would change tracked files. Raises UserError if the
    package is not installed, or refuses the git repository, as it does one without a commit.
    """

    def __init__(self, history: Sequence[Mapping[str, float]]) -> None:
        try:
            from dvclive import Live
            from scmrepo.exceptions import SCMError
        except ImportError:
            raise UserError(
                f"logging.dvclive: DVCLive is not installed; {name_install('dvclive')}, or set it to false"
            ) from None
        try:
            self._live = Live(LIVE, save_dvc_exp=False, dvcyaml=None)
        except SCMError as error:
            raise UserError(
                f"logging.dvclive: DVCLive cannot read the last commit ({first_line(error)}); commit the project, or "
                "set it to false"
            ) from None
        for row in history:
            self.log_scalars(int(row[STEP]), row)

    def log_scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        self._live.step = clips_seen
        with naming(Path(LIVE)):
            for name, value in values.items():
                if name != STEP:
                    self._live.log_metric(name, value)
            self._live.sync()

    def log_clips(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        """Does nothing: DVCLive would keep one frame of an animated image."""

    def close(self) -> None:
        self._live.end()


class GifLogger:
    """The newest `keep` sets of samples as `samples-<clips>.gif` in `folder`."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def log_scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        pass

    def log_clips(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        with atomic_write(self._folder / f"samples-{clips_seen:09}.gif") as temporary:
            provenance = {"made_by": "stages.train_model", "clips": clips_seen, "captions": list(captions)}
            temporary.write_bytes(_encode_gif(clips, json.dumps(provenance, ensure_ascii=False)))
        with atomic_write(self._folder / "captions.txt") as temporary:
            temporary.write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")
        # By time, since an earlier equal run may have left pictures of later steps.
        drawn = sorted(self._folder.glob("samples-*.gif"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in drawn[: -self._keep]:
            path.unlink()

    def close(self) -> None:
        pass


def open_loggers(
    logging: LoggingParams | None, folder: Path, clips_seen: int, history: Sequence[Mapping[str, float]]
) -> list[Logger]:
    """The loggers that params select; they continue after `clips_seen` clips and these rows of the history."""
    loggers: list[Logger] = []
    if logging and logging.tensorboard:
        loggers.append(TensorBoardLogger(folder, clips_seen))
    if logging and logging.dvclive:
        loggers.append(DvcLiveLogger(history))
    if logging and logging.keep_pictures:
        loggers.append(GifLogger(folder, logging.keep_pictures))
    return loggers


def _encode_gif(clips: Frames, comment: str = "") -> bytes:
    """Clips [N,T,H,W,3] side by side as a looping GIF, with a comment."""
    images = [Image.fromarray(np.concatenate(list(frame), axis=1)) for frame in clips.transpose(1, 0, 2, 3, 4)]
    file = io.BytesIO()
    options = {"comment": comment.encode()} if comment else {}
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=FRAME_MILLISECONDS, loop=0, **options)
    return file.getvalue()


class RunMonitor:
    """The monitor of a run: reports to the terminal and the loggers, measures throughput, logs fixed samples."""

    def __init__(
        self,
        device: torch.device,
        params: TrainParams,
        logging: LoggingParams | None,
        folder: Path,
        samples: "FixedSamples",
    ) -> None:
        self._device, self._params = device, params
        self._logging, self._folder, self._samples = logging, folder, samples
        self._console = Console(stderr=True)
        self._loggers: list[Logger] = []
        self._progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[line]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    @property
    def sample_clips(self) -> int | None:
        """Training clips between two sets of samples; None: no samples."""
        return self._logging.sample_clips if self._logging else None

    @contextmanager
    def watch(self, total_clips: int, clips_seen: int, history: Sequence[MetricRow]) -> Iterator[None]:
        """A context in which loggers are open and the progress bar is live."""
        self._total = total_clips
        self._loggers = open_loggers(self._logging, self._folder, clips_seen, history)
        if self._logging:
            self._loggers.append(CostLogger(self._folder, clips_seen))
        self._throughput = ThroughputMeter(self._device, self._params, clips_seen)
        self._task = self._progress.add_task("train", total=total_clips, completed=clips_seen, line="")
        try:
            with self._progress:
                yield
        finally:
            for logger in self._loggers:
                logger.close()

    def measure(self, step: Callable[[], Values], *, penalised: bool) -> Values:
        """Run `step` and return its values; the operations of the first step of each kind are counted."""
        return self._throughput.measure(step, penalised=penalised)

    def advance(self, clips_seen: int) -> None:
        """Update the progress bar."""
        self._progress.update(self._task, completed=clips_seen)

    def report(self, clips_seen: int, row: MetricRow, waited: float) -> None:
        """Send a row of the history and the throughput to the loggers and the terminal."""
        rates = self._throughput.read(clips_seen, waited)
        for logger in self._loggers:
            logger.log_scalars(clips_seen, row | rates.scalars())
        losses = " ".join(f"{name.split('/')[-1]} {value:.3f}" for name, value in row.items() if name.startswith(SHOWN))
        self._progress.update(self._task, completed=clips_seen, line=f"{rates}  {losses}")
        if not self._console.is_terminal:
            left = (self._total - clips_seen) / max(rates.clips, 1e-9)
            print(
                f"train: {clips_seen}/{self._total} clips, {rates}, {left / 60:.1f} min left, {losses}",
                file=sys.stderr,
                flush=True,
            )

    def sample(self, clips_seen: int, generator: TextToVideo) -> None:
        """Generate and log the fixed samples."""
        clips = self._samples.generate(generator)
        for logger in self._loggers:
            logger.log_clips(clips_seen, clips, self._samples.captions)

    def warn(self, message: str) -> None:
        """Print a line above the progress bar."""
        self._console.print(message, markup=False, highlight=False)


class FixedSamples:
    """Samples with the same captions and the same noise throughout a run; `captions` are from left to right."""

    def __init__(self, seed: int, clips: TrainingSplit) -> None:
        self._seed = seed
        rows = select_varied(clips.clips, SAMPLES)
        self.captions = [clips.clips[row].caption for row in rows]
        self._token_ids = clips.token_ids[rows]

    def generate(self, generator: TextToVideo) -> Frames:
        """uint8 [N,T,H,W,3]."""
        z = draw_noise(self._seed, len(self.captions), generator.z_width).to(self._token_ids.device)
        with torch.no_grad():
            return to_frames(generator(z, self._token_ids))


def select_varied(clips: Sequence[Clip], count: int) -> list[int]:
    """The rows of `count` clips: categories in turn, with the commonest objects of each first.

    If there are more categories, an evenly spaced selection by name; if there are fewer meanings, they are repeated.
    """
    found = Counter((clip.category, clip.objects) for clip in clips)
    first = {(clip.category, clip.objects): row for row, clip in reversed(list(enumerate(clips)))}
    categories = sorted({category for category, _ in found})
    if len(categories) > count:
        categories = [categories[at] for at in np.linspace(0, len(categories) - 1, count).round().astype(int)]
    columns = [sorted((m for m in found if m[0] == name), key=lambda m: (-found[m], m)) for name in categories]
    turns = [meaning for turn in itertools.zip_longest(*columns) for meaning in turn if meaning]
    return [first[meaning] for meaning in itertools.islice(itertools.cycle(turns), count)]
