"""Videos -> shards: one task per shard, each with a manifest; finished shards are kept until all exist.

Shards are made in any order and on any machine, each by a `ShardMaker`, whose worker is sandboxed. A shard is finished
once its manifest is written, so an interrupted run resumes with the missing shards; `publish_shards` then puts all of
them into the output.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple

from pipeline.compute import map_sandboxed
from pipeline.duplicates import FRAMES, GRID, Leak, count_leaks, find_leaks
from pipeline.errors import UserError
from pipeline.files import atomic_write, digest_file, digest_value
from pipeline.params import ClipParams, ComputeParams, TranscodeParams
from pipeline.records import DROPS, SIGNATURES, Clip, Drop, Progress, Signature, Split, no_progress
from pipeline.shards import Shard, write_index
from pipeline.source_code import digest_code
from pipeline.tables import split_batches, write_report, write_table
from pipeline.transcoding.shard_maker import (
    ShardMaker,
    ShardTask,
    count_clip_bytes,
    list_drops,
    list_signatures,
    read_manifests,
)

__all__ = [
    "compute_signatures",
    "fingerprint",
    "make_shards",
    "publish_shards",
    "require_fitting_shards",
    "require_order",
]

MAX_BYTES = 2**31 - 1  # of frames in one shard, for programs that use 32-bit sizes

NO_SPLITS: Mapping[str, Split] = MappingProxyType({})

PACKAGES = ("av", "imageio-ffmpeg", "numpy", "pyarrow")  # their versions affect the bytes of shards
# Little more than the resolution of a signature.
SIGNATURE_SHAPE = ClipParams(frames=FRAMES, height=2 * GRID, width=2 * GRID, spread="time", seconds=None, stride=None)


class Published(NamedTuple):
    """Numbers of clips read and kept, and of clips of each split with a near-duplicate in train."""

    read: int
    kept: int
    leaks: dict[Split, Leak]


def fingerprint(table: Path, shape: ClipParams, options: TranscodeParams) -> str:
    """A digest of everything that shards depend on: chosen clips, params, code and versions of packages."""
    return digest_value(
        {
            "clips": digest_file(table),
            "params": [shape.model_dump(), options.model_dump()],
            "code": digest_code("stages.transcode_clips"),
            "packages": [version(name) for name in PACKAGES],
        }
    )


def require_fitting_shards(clips: int, shape: ClipParams, options: TranscodeParams) -> None:
    """Raises UserError that names a `shard_clips` that fits, if a shard could exceed MAX_BYTES."""
    size = f"{shape.frames}x{shape.height}x{shape.width}x3 bytes"
    each = count_clip_bytes(shape) * options.windows
    longest = min(clips, options.shard_clips)
    fitting = MAX_BYTES // each
    if longest <= fitting:
        return
    windows = f" in {options.windows} windows each (transcode.windows)" if options.windows > 1 else ""
    detail = (
        f"transcode.shard_clips {options.shard_clips}: {longest:,} clips of {size}{windows} are "
        f"{longest * each / 2**30:.1f} GiB of frames in one shard, and 2 GiB is the most"
    )
    way_out = f"set transcode.shard_clips to {fitting} or less" if fitting else "even one is too large; see clip"
    raise UserError(f"{detail}; {way_out}")


def require_order(clips: Iterable[Clip], source: Path) -> Iterator[Clip]:
    """Yield the clips unchanged. Raises UserError if they are not sorted by id, as shards have to be."""
    last = ""
    for clip in clips:
        if clip.id <= last:
            raise UserError(f"{source}: clip {clip.id!r} after {last!r}, so not sorted; `dvc repro -f filter`")
        last = clip.id
        yield clip


def make_shards(
    folder: Path,
    videos: Path,
    clips: Iterable[Clip],
    shape: ClipParams,
    options: TranscodeParams,
    compute: ComputeParams,
    *,
    total: int,
    label: str,
    progress: Progress,
) -> list[Path]:
    """Make the shards of `total` clips, sorted by id, in a folder; returns their paths, in order."""
    shards = -(-total // options.shard_clips)
    paths = [folder / f"clips-{number:05}.{options.shard_format}" for number in range(shards)]
    parts = zip(paths, split_batches(clips, options.shard_clips), strict=True)
    tasks = (ShardTask(path, videos.absolute(), part, shape, options) for path, part in parts)
    seconds = options.limits.seconds
    for _ in map_sandboxed(ShardMaker(), tasks, shards, compute, seconds=seconds, label=label, progress=progress):
        pass
    return paths


def publish_shards(
    paths: list[Path], out: Path, shape: ClipParams, splits: Mapping[str, Split] = NO_SPLITS
) -> Published:
    """Write `out` from finished shards, the index last.

    Near-duplicates are counted between the `splits` of the ids. The shards also remain at `paths` until the caller
    removes them, so that nothing is lost if the process is killed. Raises UserError if no clip is left.
    """
    read = 0
    frames: Counter[int] = Counter()
    shards: list[Shard] = []
    signatures: list[Signature] = []
    for path, manifest in read_manifests(paths):
        read += manifest.read
        frames.update(manifest.frame_counts)
        if manifest.shard:
            _link(path, out / path.name)
            shards.append(manifest.shard)
            signatures += manifest.signatures
    if not shards:
        raise UserError(_explain_no_clip(paths))
    write_table(out / DROPS, Drop, list_drops(paths))
    write_table(out / SIGNATURES, Signature, signatures)
    leaks = count_leaks(find_leaks(signatures, splits), signatures, splits)
    write_report(
        out / "report.json",
        read=read,
        kept=frames.total(),
        drops=list_drops(paths),
        rows=sum(shard.clips for shard in shards),
        frames_per_video={"min": min(frames), "median": _find_low_median(frames), "max": max(frames)},
        near_duplicates_of_train={split: leak._asdict() for split, leak in leaks.items()},
    )
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    return Published(read, frames.total(), leaks)


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system does not support that or differs."""
    try:
        os.link(source, target)
    except OSError:
        with atomic_write(target) as temporary:
            shutil.copyfile(source, temporary)


def _find_low_median(histogram: Counter[int]) -> int:
    values = sorted(histogram)
    counts = accumulate(histogram[value] for value in values)
    return next(value for value, count in zip(values, counts, strict=True) if 2 * count >= histogram.total())


def _explain_no_clip(paths: list[Path]) -> str:
    reasons = Counter(drop.reason for drop in list_drops(paths))
    if not reasons:
        return "no clip is chosen; see filter.categories in params.yaml"
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    first = next(list_drops(paths))
    detail = f"none of the {reasons.total()} chosen clips is left ({counts}), the first because of {first.detail!r}"
    return f"{detail}; see dataset.segments.unit" if first.reason == "outside_video" else detail


def compute_signatures(
    videos: Path,
    clips: Sequence[Clip],
    options: TranscodeParams,
    compute: ComputeParams,
    progress: Progress = no_progress,
) -> list[Signature]:
    """The signatures of clips, sorted by id; clips that cannot be decoded are left out."""
    if not clips:
        return []
    whole = options.model_copy(update={"windows": 1, "shard_format": "parquet", "short_clips": "repeat_last"})
    local = compute.model_copy(update={"backend": "processes"})
    with TemporaryDirectory() as temporary:
        folder, label = Path(temporary), "filter, parts"
        return list_signatures(
            make_shards(
                folder, videos, clips, SIGNATURE_SHAPE, whole, local, total=len(clips), label=label, progress=progress
            )
        )
