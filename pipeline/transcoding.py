"""Videos -> shards: one task a shard, a manifest beside each, and finished shards kept until all are there."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import accumulate, groupby
from pathlib import Path

from pipeline.compute.sandbox import Failure, memory_limit
from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, replacing, write_json
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Drop, Frames, Reason
from pipeline.shards import Shard, write_index, write_shard
from pipeline.source_code import digest_code
from pipeline.tables import write_report, write_table
from pipeline.video.decode import DecodedVideo, decode_video
from pipeline.video.limits import DecodeError
from pipeline.video.timing import ShortClip

LOSSES: dict[str, tuple[Reason, str]] = {
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
}

PACKAGES = ("av", "imageio-ffmpeg", "numpy", "pyarrow")  # they decide bytes, too


@dataclass(frozen=True, slots=True)
class Account:
    """Of `read` clips, those not among `drops` were written; no shard where none was left."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a whole video -> kept clips from such videos
    shard: Shard | None


def account_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def write_account(path: Path, account: Account) -> None:
    """Write it with a digest of itself, so that an altered one is known."""
    values = asdict(account)
    values["frame_counts"] = sorted(account.frame_counts.items())
    write_json(path, {"account": values, "digest": digest_value(values)})


def read_account(path: Path) -> Account | None:
    """What `write_account` wrote; None where there is none, or not a whole one."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        values = tree["account"]
        if digest_value(values) != tree["digest"]:
            return None
        return Account(
            read=values["read"],
            drops=tuple(Drop(**drop) for drop in values["drops"]),
            frame_counts=Counter(dict(values["frame_counts"])),
            shard=Shard(**values["shard"]) if values["shard"] else None,
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def is_finished(shard: Path) -> bool:
    """Whether an earlier run wrote this shard and its account, and neither was altered since."""
    account = read_account(account_path(shard))
    if account is None:
        return False
    try:
        return account.shard is None or digest_file(shard) == account.shard.digest
    except FileNotFoundError:
        return False


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


def make_shard(task: ShardTask, lost: Mapping[str, Failure]) -> Generator[str | None, None, None]:
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


def _decode(task: ShardTask, clip: Clip, loss: Failure | None) -> DecodedVideo:
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


def fingerprint(table: Path, shape: ClipParams, options: TranscodeParams) -> str:
    """Names a run by all that its shards depend on: chosen clips, params, code and the packages that decode."""
    return digest_value(
        {
            "clips": digest_file(table),
            "params": [shape.model_dump(), options.model_dump()],
            "code": digest_code("stages.transcode_clips"),
            "packages": [version(name) for name in PACKAGES],
        }
    )


def in_order(clips: Iterable[Clip], source: Path) -> Iterator[Clip]:
    """The same clips. Raises UserError where two are out of order: shards stand in the order of ids."""
    last = ""
    for clip in clips:
        if clip.id <= last:
            raise UserError(f"{source}: clip {clip.id!r} after {last!r}, so not sorted; `dvc repro -f filter`")
        last = clip.id
        yield clip


def hand_over(paths: list[Path], out: Path, shape: ClipParams) -> tuple[int, int]:
    """Make `out` whole from finished shards, the index last -> clips read and kept.

    The shards also stay where they are until their owner removes them, so a kill in the middle loses nothing.
    Raises UserError where no clip is left.
    """
    read = 0
    frames: Counter[int] = Counter()
    shards: list[Shard] = []
    for path, account in _accounts(paths):
        read += account.read
        frames.update(account.frame_counts)
        if account.shard:
            _link(path, out / path.name)
            shards.append(account.shard)
    if not shards:
        raise UserError(_explain(paths))
    write_table(out / "dropped.parquet", Drop, _drops(paths))
    write_report(
        out / "report.json",
        read=read,
        kept=frames.total(),
        drops=_drops(paths),
        rows=sum(shard.clips for shard in shards),
        frames_per_video={"min": min(frames), "median": _median_low(frames), "max": max(frames)},
    )
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    return read, frames.total()


def _accounts(paths: list[Path]) -> Iterator[tuple[Path, Account]]:
    for path in paths:
        account = read_account(account_path(path))
        if account is None:
            raise UserError(f"{path}: damaged while the stage ran; give the same command again")
        yield path, account


def _drops(paths: list[Path]) -> Iterator[Drop]:
    return (drop for _, account in _accounts(paths) for drop in account.drops)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links, or is another one."""
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _median_low(histogram: Counter[int]) -> int:
    values = sorted(histogram)
    counts = accumulate(histogram[value] for value in values)
    return next(value for value, count in zip(values, counts, strict=True) if 2 * count >= histogram.total())


def _explain(paths: list[Path]) -> str:
    reasons = Counter(drop.reason for drop in _drops(paths))
    if not reasons:
        return "no clip is chosen; see filter.categories in params.yaml"
    told = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    first = next(_drops(paths))
    return f"none of the {reasons.total()} chosen clips is left ({told}), the first because of {first.detail!r}"
