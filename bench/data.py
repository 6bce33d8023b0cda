"""The speed of the data stages: `make bench-data` prints a table and writes bench/data.json.

Each ratio is measured within one run, alternating between implementations; in CPU time wherever that is fair, since the
machine may be shared. The best round of each part of the work counts; the ratio of medians is shown next to it.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.dataset import draw_clips, draw_short
from bench.decoding import (
    REVISION,
    compare_builds,
    copy_as_mp4,
    count_equal,
    draw_long,
    measure_decoding,
    measure_parts,
)
from bench.measuring import Times, cpu_seconds, describe_machine, interleaved
from bench.stages import measure_cores, measure_pictures, measure_sandbox, measure_texts, measure_transcode_memory
from bench.table import Measure, collect_figures, print_measures, ratio
from pipeline.errors import run
from pipeline.files import write_json
from pipeline.params import ClipParams, load_params
from pipeline.records import Frames
from pipeline.shards import ShardReader, write_index, write_shard

SHAPE = {"frames": 16, "height": 64, "width": 64}
SIDES = (16, 64, 64)
SHARD_CLIPS, BATCH_CLIPS = 250, 50  # of the shards that are read
WHOLE_VIDEO = ClipParams(**SHAPE, spread="time", seconds=None, stride=None)
REPEATS = 8  # of every video when the whole stage is timed, so that starting processes is negligible


def main(
    clips: Annotated[int, typer.Option(min=1, help="videos to draw and decode")] = 200,
    rows: Annotated[int, typer.Option(min=1, help="label rows of filter and tokenize")] = 220_847,
    transcode_rows: Annotated[int, typer.Option(min=1, help="label rows of transcode")] = 100_000,
    picture_folders: Annotated[int, typer.Option(min=1, help="folders of 40 images that filter reads")] = 22_000,
    rounds: Annotated[int, typer.Option(min=1, help="number of measurements of everything")] = 3,
    minutes: Annotated[int, typer.Option(min=1, help="length of the video whose segments are decoded")] = 60,
    parts: Annotated[int, typer.Option(min=1, help="number of its segments")] = 1000,
    out: Annotated[Path, typer.Option(help="output file")] = Path("bench/data.json"),
) -> None:
    """Measure everything, which takes some ten minutes; use smaller numbers for a smoke test."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = draw_clips(folder / "videos", clips, workers=2)
        sizes = [path.stat().st_size for path in videos]
        measures = [*_decoding(videos, rounds), *_before(folder / "copies", videos, rounds)]
        measures += _cores(folder / "cores", videos, rounds)
        measures += _sandbox(folder / "sandbox", videos, rounds)
        measures += _reading(folder / "shards", 5 * clips, rounds)
        measures += _parts(folder / "parts", minutes, parts)
        measures += _texts(folder / "texts", rows) + _pictures(folder / "pictures", picture_folders)
        measures += _memory(folder / "memory", videos[0], transcode_rows)
    print_measures(measures)
    drawn = {"count": clips, "mean_bytes": round(sum(sizes) / clips), "rounds": rounds}
    write_json(out, collect_figures(measures) | {"videos": drawn, "rows": rows, "machine": describe_machine()})


def _decoding(videos: list[Path], rounds: int) -> list[Measure]:
    shape, options = WHOLE_VIDEO, load_params().transcode
    times = measure_decoding(videos, shape, options, rounds)
    equal = count_equal(videos, shape, options)
    ours, count = times["ours"], len(videos)
    return [
        ratio("transcode_of_floor", "video to clip, relative to decoding alone", ">= 0.85", times["floor"], ours),
        ratio(
            "transcode_vs_ffmpeg", "relative to one process of static ffmpeg per video", ">= 2.2", times["ffmpeg"], ours
        ),
        ratio("transcode_vs_opencv", "relative to OpenCV decoding all frames", ">= 1.8", times.get("opencv"), ours),
        Measure("transcode_clips_per_second", "on one core", "", count / ours.best, count / ours.median),
        Measure(
            "frames_equal",
            "share of videos with equal frames by plain reader, av.open and ffmpeg",
            "1",
            equal["equal"] / count,
        ),
        Measure("frames_by_plain_reader", "share of videos that the plain reader can read", "", equal["plain"] / count),
    ]


def _before(folder: Path, videos: list[Path], rounds: int) -> list[Measure]:
    """This build compared with the last one that ignored timestamps, on videos with a constant frame rate."""
    measures = []
    for kind, paths in (("webm", videos), ("mp4", copy_as_mp4(videos, folder))):
        found = compare_builds(paths, SHAPE, rounds)
        what = f"{kind}: relative to the build {REVISION}"
        if found is None:
            measures += [Measure(f"transcode_{kind}_vs_before", f"{what}: not in this clone", ">= 1", None)]
            continue
        measures += [
            ratio(f"transcode_{kind}_vs_before", what, ">= 1", found.before, found.now),
            Measure(
                f"transcode_{kind}_vs_before_pairs", "the same, median of all pairs", ">= 1", found.median_of_pairs
            ),
            Measure(f"frames_{kind}_as_before", "share of videos with the same bytes", "1", found.equal_share),
        ]
    return measures


def _cores(folder: Path, videos: list[Path], rounds: int) -> list[Measure]:
    times, by_cpu = measure_cores(folder, videos * REPEATS, SHAPE, rounds)
    count = len(videos) * REPEATS
    return [
        ratio("two_cores_vs_one", "the whole stage, wall time", ">= 1.85", times["1"], times["2"]),
        Measure("two_cores_vs_one_by_cpu", "the same, CPU time of the busiest process", ">= 1.85", by_cpu),
        Measure(
            "stage_clips_per_second",
            "the whole stage on two cores",
            "",
            count / times["2"].best,
            count / times["2"].median,
        ),
    ]


def _sandbox(folder: Path, videos: list[Path], rounds: int) -> list[Measure]:
    times = measure_sandbox(folder, videos * REPEATS, SHAPE, rounds)
    sandboxed, free = times["auto"], times["off"]
    what = "CPU time that the sandbox adds to the whole stage, as a share"
    return [
        Measure("sandbox_cost", what, "<= 0.02", sandboxed.best / free.best - 1, sandboxed.median / free.median - 1),
    ]


def _reading(folder: Path, clips: int, rounds: int) -> list[Measure]:
    times = measure_reading(folder, clips, rounds)
    ours = times["ours"]
    return [
        ratio("shuffled_vs_memmap", "shuffled batches, relative to np.memmap", ">= 0.9", times["memmap"], ours),
        Measure("shuffled_clips_per_second", "on one core", "", clips / ours.best, clips / ours.median),
    ]


def measure_reading(folder: Path, clips: int, rounds: int) -> dict[str, Times]:
    """CPU seconds to read all clips in random order, in batches: by ShardReader, and by indexing a memory map."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (clips, *SIDES, 3), dtype=np.uint8)
    rows = [(f"{number:07}", "", clip) for number, clip in enumerate(frames)]
    parts = [rows[start : start + SHARD_CLIPS] for start in range(0, clips, SHARD_CLIPS)]
    write_index(folder, SIDES, [write_shard(folder / f"{n:05}.parquet", part) for n, part in enumerate(parts)])
    frames.tofile(folder / "all.bin")
    mapped: Frames = np.memmap(folder / "all.bin", np.uint8, "r", 0, frames.shape)
    reader = ShardReader(folder)
    order = reader.shuffled(range(clips), seed=0)
    batches = [order[start : start + BATCH_CLIPS] for start in range(0, clips, BATCH_CLIPS)]
    return interleaved({"memmap": lambda rows: mapped[rows], "ours": reader.frames}, batches, rounds, cpu_seconds)


def _parts(folder: Path, minutes: int, parts: int) -> list[Measure]:
    options = load_params().transcode
    costs = measure_parts(draw_long(folder, minutes), minutes, parts, WHOLE_VIDEO, options, options.shard_clips)
    what = f"{parts:,} segments of a video of {minutes} minutes"
    by_row = costs.seconds_of_whole * parts / costs.seconds
    return [
        Measure("parts_decoded_share", f"{what}: seconds decoded per second wanted", "<= 1.2", costs.decoded_share),
        Measure(
            "parts_vs_whole_each", "the same: CPU time relative to decoding the whole video for each", ">= 20", by_row
        ),
        Measure("parts_seconds", "the same: CPU seconds in total", "", costs.seconds),
    ]


def _memory(folder: Path, video: Path, rows: int) -> list[Measure]:
    peak = measure_transcode_memory(folder, video, draw_short(video.with_name("short.webm")), rows, SHAPE)
    return [Measure("transcode_memory_gb", f"transcode at {rows:,} label rows, all processes", "< 1", peak / 1e9)]


def _texts(folder: Path, rows: int) -> list[Measure]:
    found = measure_texts(folder, rows)
    every = f"{rows:,} label rows, all chosen"
    stages = {
        "filter": (f"filter: {rows:,} label rows, the shipped categories", "< 15"),
        "filter_all": (f"filter: {every}, all videos digested", ""),
        "tokenize": (f"tokenize: {every}", ""),
    }
    measures = []
    for name, (what, target) in stages.items():
        measures += [
            Measure(f"{name}_seconds", what, target, found[f"{name}_seconds"]),
            Measure(f"{name}_cpu_seconds", "", "", found[f"{name}_cpu_seconds"]),
            Measure(f"{name}_memory_gb", "", "", found[f"{name}_memory"] / 1e9),
        ]
    return measures


def _pictures(folder: Path, folders: int) -> list[Measure]:
    found = measure_pictures(folder, folders)
    what, share = f"filter: {folders:,} folders of 40 images, all chosen", folders / 220_847
    return [
        Measure("filter_pictures_seconds", what, f"< {60 * share:.3g}", found["filter_pictures_seconds"]),
        Measure("filter_pictures_cpu_seconds", "", "", found["filter_pictures_cpu_seconds"]),
        Measure("filter_pictures_memory_gb", "", "< 1", found["filter_pictures_memory"] / 1e9),
    ]


if __name__ == "__main__":
    run(main)
