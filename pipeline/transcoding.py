"""Videos -> shards: one task a shard, a manifest beside each, and finished shards kept until all are there.

`make_shard` runs in a sandbox, in any order and on any machine. A shard is finished once its manifest is written, so a
run that was stopped resumes by making the missing shards only; `hand_over` then puts all of them into the output.
"""

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
from pipeline.files import digest_file, digest_value, read_json, replacing, write_json
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Drop, Frames, Reason
from pipeline.shards import Shard, write_index, write_shard
from pipeline.source_code import digest_code
from pipeline.tables import write_report, write_table
from pipeline.video.decode import DecodedVideo, decode_video
from pipeline.video.limits import DecodeError
from pipeline.video.timing import ShortClip

FAILURES: dict[str, tuple[Reason, str]] = {  # kind of failure in a sandbox -> reason, and a hint
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
}

PACKAGES = ("av", "imageio-ffmpeg", "numpy", "pyarrow")  # their versions decide bytes, too


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of the clips of one shard: of `read`, those not among `drops` were written; no shard if none was."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a whole video -> kept clips from such videos
    shard: Shard | None


def fingerprint(table: Path, shape: ClipParams, options: TranscodeParams) -> str:
    """A name for a run by all that its shards depend on: chosen clips, params, code and the packages that decode."""
    return digest_value(
        {
            "clips": digest_file(table),
            "params": [shape.model_dump(), options.model_dump()],
            "code": digest_code("stages.transcode_clips"),
            "packages": [version(name) for name in PACKAGES],
        }
    )


def require_order(clips: Iterable[Clip], source: Path) -> Iterator[Clip]:
    """The same clips, checked as they pass. Raises UserError where two are out of order: shards are sorted by id."""
    last = ""
    for clip in clips:
        if clip.id <= last:
            raise UserError(f"{source}: clip {clip.id!r} after {last!r}, so not sorted; `dvc repro -f filter`")
        last = clip.id
        yield clip


def make_shard(task: ShardTask, failures: Mapping[str, Failure]) -> Generator[str | None, None, None]:
    """Write the shard and then its manifest, in a sandbox; a shard that is finished already stays as it is.

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
            decoded = _decode(task, clips[0], failures.get(video))
        except _Undecoded as error:
            drops += [Drop(clip.id, error.reason, error.detail) for clip in clips]
            continue
        for clip in clips:
            windows = [frames[:, :, ::-1] if clip.mirrored else frames for frames in decoded.clips]
            rows += [(clip.id, clip.caption, frames) for frames in windows]
            counts[decoded.count] += 1
    yield None
    shard = write_shard(task.path, rows) if rows else None
    write_manifest(_manifest_path(task.path), Manifest(len(task.clips), tuple(drops), counts, shard))


def hand_over(paths: list[Path], out: Path, shape: ClipParams) -> tuple[int, int]:
    """Make `out` whole from finished shards, the index last -> clips read and kept.

    The shards also stay where they are until the caller removes them, so a kill in the middle loses nothing.
    Raises UserError where no clip is left.
    """
    read = 0
    frames: Counter[int] = Counter()
    shards: list[Shard] = []
    for path, manifest in _read_manifests(paths):
        read += manifest.read
        frames.update(manifest.frame_counts)
        if manifest.shard:
            _link(path, out / path.name)
            shards.append(manifest.shard)
    if not shards:
        raise UserError(_explain_no_clip(paths))
    write_table(out / "dropped.parquet", Drop, _list_drops(paths))
    write_report(
        out / "report.json",
        read=read,
        kept=frames.total(),
        drops=_list_drops(paths),
        rows=sum(shard.clips for shard in shards),
        frames_per_video={"min": min(frames), "median": _find_low_median(frames), "max": max(frames)},
    )
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    return read, frames.total()


def _manifest_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write it with its own digest, so that an altered one is recognised."""
    values = asdict(manifest)
    values["frame_counts"] = sorted(manifest.frame_counts.items())
    write_json(path, {"manifest": values, "digest": digest_value(values)})


def read_manifest(path: Path) -> Manifest | None:
    """What `write_manifest` wrote; None where there is none, or not a whole one."""
    try:
        tree = read_json(path, "")
        values = tree["manifest"]
        if digest_value(values) != tree["digest"]:
            return None
        return Manifest(
            read=values["read"],
            drops=tuple(Drop(**drop) for drop in values["drops"]),
            frame_counts=Counter(dict(values["frame_counts"])),
            shard=Shard(**values["shard"]) if values["shard"] else None,
        )
    except (UserError, ValueError, KeyError, TypeError):
        return None


def is_finished(shard: Path) -> bool:
    """Whether an earlier run wrote this shard and its manifest, and neither has been altered since."""
    manifest = read_manifest(_manifest_path(shard))
    if manifest is None:
        return False
    try:
        return manifest.shard is None or digest_file(shard) == manifest.shard.digest
    except FileNotFoundError:
        return False


class _Undecoded(Exception):
    """A video that is left out, with the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def _decode(task: ShardTask, clip: Clip, failure: Failure | None) -> DecodedVideo:
    """The windows of a video, the same ones for all its clips. Raises _Undecoded."""
    path, limits = task.videos / clip.video, task.options.limits
    if failure is not None:
        reason, hint = FAILURES[failure.kind]
        raise _Undecoded(reason, f"{failure.detail}{hint}")
    _check_unchanged(path, clip.digest)
    try:
        with memory_limit(limits.memory_bytes):
            return decode_video(path, task.shape, task.options, key=clip.video)
    except ShortClip as error:
        raise _Undecoded("too_short", str(error)) from None
    except DecodeError as error:
        raise _Undecoded("undecodable", str(error)) from None
    except MemoryError:
        message = f"needs more than {limits.memory_bytes} bytes of memory; see transcode.limits.memory_bytes"
        raise _Undecoded("decoder_died", message) from None


def _check_unchanged(path: Path, digest: str) -> None:
    try:
        same = digest_file(path) == digest
    except FileNotFoundError:
        same = False
    if not same:
        raise UserError(f"{path}: no longer the file that `filter` chose; `dvc repro -f filter` reads all videos again")


def _read_manifests(paths: list[Path]) -> Iterator[tuple[Path, Manifest]]:
    for path in paths:
        manifest = read_manifest(_manifest_path(path))
        if manifest is None:
            raise UserError(f"{path}: damaged while the stage ran; run the same command again")
        yield path, manifest


def _list_drops(paths: list[Path]) -> Iterator[Drop]:
    return (drop for _, manifest in _read_manifests(paths) for drop in manifest.drops)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links, or is another one."""
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _find_low_median(histogram: Counter[int]) -> int:
    values = sorted(histogram)
    counts = accumulate(histogram[value] for value in values)
    return next(value for value, count in zip(values, counts, strict=True) if 2 * count >= histogram.total())


def _explain_no_clip(paths: list[Path]) -> str:
    reasons = Counter(drop.reason for drop in _list_drops(paths))
    if not reasons:
        return "no clip is chosen; see filter.categories in params.yaml"
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    first = next(_list_drops(paths))
    return f"none of the {reasons.total()} chosen clips is left ({counts}), the first because of {first.detail!r}"
