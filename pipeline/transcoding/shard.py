"""One shard: its clips decoded and written, in a worker that is guarded against what the videos may do to it."""

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pipeline.compute.guarded import Loss
from pipeline.compute.memory import memory_limit
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Drop, Frames, Reason
from pipeline.shards import write_shard
from pipeline.transcoding.accounts import Account, account_path, is_finished, write_account
from pipeline.video.decode import DecodedVideo, decode_video
from pipeline.video.limits import DecodeError
from pipeline.video.timing import ShortClip

LOSSES: dict[str, tuple[Reason, str]] = {
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make: paths and labels travel to the worker, frames never travel back."""

    path: Path
    videos: Path
    clips: tuple[Clip, ...]  # sorted by id
    shape: ClipParams
    options: TranscodeParams

    def __str__(self) -> str:
        return f"{self.path.name} ({self.clips[0].video} to {self.clips[-1].video})"


class _Refused(Exception):
    """A video is left out, with the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def make_shard(task: ShardTask, lost: Mapping[str, Loss]) -> Generator[str | None, None, None]:
    """Write the shard and then its account; a shard that is finished already stays as it is. See `compute.guarded`.

    Raises UserError where a video is no longer the one that `filter` chose.
    """
    if is_finished(task.path):
        return
    rows: list[tuple[str, str, Frames]] = []
    drops: list[Drop] = []
    counts: Counter[int] = Counter()
    for video, group in groupby(task.clips, key=lambda clip: clip.video):
        clips = list(group)  # one, or a clip and its mirrored twin
        yield video
        try:
            decoded = _decode(task, clips[0], lost.get(video))
        except _Refused as refused:
            drops += [Drop(clip.id, refused.reason, refused.detail) for clip in clips]
            continue
        for clip in clips:
            windows = [frames[:, :, ::-1] if clip.mirrored else frames for frames in decoded.clips]
            rows += [(clip.id, clip.caption, frames) for frames in windows]
            counts[decoded.count] += 1
    yield None
    shard = write_shard(task.path, rows) if rows else None
    write_account(account_path(task.path), Account(len(task.clips), tuple(drops), counts, shard))


def _decode(task: ShardTask, clip: Clip, loss: Loss | None) -> DecodedVideo:
    """The windows of a video, the same ones for all its clips. Raises _Refused."""
    path, limits = task.videos / clip.video, task.options.limits
    if loss is not None:
        reason, hint = LOSSES[loss.kind]
        raise _Refused(reason, f"{loss.detail}{hint}")
    _check_unchanged(path, clip.digest)
    try:
        with memory_limit(limits.memory_bytes):
            return decode_video(path, task.shape, task.options, key=clip.video)
    except ShortClip as error:
        raise _Refused("too_short", str(error)) from None
    except DecodeError as error:
        raise _Refused("undecodable", str(error)) from None
    except MemoryError:
        told = f"needs more than {limits.memory_bytes} bytes of memory; see transcode.limits.memory_bytes"
        raise _Refused("decoder_died", told) from None


def _check_unchanged(path: Path, digest: str) -> None:
    try:
        same = digest_file(path) == digest
    except FileNotFoundError:
        same = False
    if not same:
        raise UserError(f"{path}: not the file any more that `filter` chose; `dvc repro -f filter` looks at all again")
