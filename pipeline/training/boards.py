"""Where the figures and pictures of a training go besides the terminal. No stage depends on any of it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from pipeline.errors import UserError
from pipeline.files import replacing
from pipeline.params import LoggingParams
from pipeline.records import Frames

FRAME_MILLISECONDS = 125


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
