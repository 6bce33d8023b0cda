"""Stage `transcode`: chosen videos -> shards of uint8 frames [T,H,W,3], whole when `index.json` is there."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from pipeline.compute.processes import map_ordered
from pipeline.errors import UserError, run
from pipeline.files import digest_file
from pipeline.params import ClipParams, TranscodeParams, load_params, worker_count
from pipeline.records import Clip, Drop, Frames
from pipeline.reports import write_report
from pipeline.shards import INDEX, Shard, write_index, write_shard
from pipeline.tables import read_table, write_table
from pipeline.video.decode import DecodeError, decode_video
from pipeline.video.timing import ShortClip


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make: paths and labels travel to the worker, frames never travel back."""

    path: Path
    videos: Path
    clips: tuple[Clip, ...]
    shape: ClipParams
    options: TranscodeParams

    def __str__(self) -> str:
        return f"{self.path.name} ({self.clips[0].video} to {self.clips[-1].video})"


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What became of one task; no shard where no clip was left."""

    shard: Shard | None
    drops: tuple[Drop, ...]
    frame_counts: tuple[int, ...]  # of the whole videos that were kept


def transcode_clips(
    labels: Path, videos: Path, out: Path, shape: ClipParams, options: TranscodeParams, workers: int
) -> None:
    """Decode every chosen clip; one that fails is listed with its reason, never lost.

    Raises UserError where a video is no longer the one that `filter` chose, and where no clip is left.
    """
    clips = sorted(read_table(labels / "clips.parquet", Clip), key=lambda clip: clip.id)
    _clear(out)
    parts = [tuple(clips[i : i + options.shard_clips]) for i in range(0, len(clips), options.shard_clips)]
    tasks = [
        ShardTask(out / f"clips-{number:05}.{options.shard_format}", videos, part, shape, options)
        for number, part in enumerate(parts)
    ]
    results = list(map_ordered(make_shard, tasks, workers, label="transcode, shards"))
    drops = [drop for result in results for drop in result.drops]
    counts = [count for result in results for count in result.frame_counts]
    if not counts:
        raise UserError(f"{labels}: {_explain(drops)}")
    write_table(out / "dropped.parquet", Drop, drops)
    frames = {"min": min(counts), "median": median_low(counts), "max": max(counts)}
    write_report(out / "report.json", read=len(clips), kept=len(counts), drops=drops, frames_per_video=frames)
    shards = [result.shard for result in results if result.shard]
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    print(f"transcode: {len(clips)} clips read, {len(counts)} kept in {len(shards)} shards")


def make_shard(task: ShardTask) -> ShardResult:
    """Decode the clips of one shard and write it; runs in a worker."""
    rows: list[tuple[str, str, Frames]] = []
    drops: list[Drop] = []
    counts: list[int] = []
    for clip in task.clips:
        path = task.videos / clip.video
        _check_unchanged(path, clip.digest)
        try:
            decoded = decode_video(path, task.shape, task.options, clip.id)
        except ShortClip as error:
            drops.append(Drop(clip.id, "too_short", str(error)))
        except DecodeError as error:
            drops.append(Drop(clip.id, "undecodable", str(error)))
        else:
            rows.append((clip.id, clip.caption, decoded.clips[0]))
            counts.append(decoded.count)
    shard = write_shard(task.path, rows) if rows else None
    return ShardResult(shard, tuple(drops), tuple(counts))


def _check_unchanged(path: Path, digest: str) -> None:
    try:
        same = digest_file(path) == digest
    except FileNotFoundError:
        same = False
    if not same:
        raise UserError(f"{path}: not the file any more that `filter` chose; `dvc repro -f filter` looks at all again")


def _clear(out: Path) -> None:
    """Remove an earlier run's shards, the index first: without it the folder is not whole."""
    (out / INDEX).unlink(missing_ok=True)
    for path in out.glob("clips-*"):
        path.unlink()


def _explain(drops: list[Drop]) -> str:
    if not drops:
        return "no clip is chosen; see filter.categories in params.yaml"
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(Counter(d.reason for d in drops).items()))
    return f"none of the {len(drops)} chosen clips is left ({reasons}), the first because of {drops[0].detail!r}"


def main(
    videos: Path = Path("data/demo/videos"), labels: Path = Path("data/labels"), out: Path = Path("data/clips")
) -> None:
    """Decode the chosen clips to the shape that params.yaml gives."""
    params = load_params()
    transcode_clips(labels, videos, out, params.clip, params.transcode, worker_count(params.compute))


if __name__ == "__main__":
    run(main)
