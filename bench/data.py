"""How fast the data half is, each figure as a share of a floor measured in the same run: bench/data.json.

The clips are like Something-Something-V2's: VP9, 427x240, 12 fps, 45 frames, some 100 kB.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import ffmpeg
import numpy as np

from pipeline.compute.processes import map_ordered
from pipeline.files import write_json
from pipeline.params import ClipParams, load_params
from pipeline.records import Frames
from pipeline.shards import ShardReader, write_index, write_shard
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.geometry import SCALE_FLAGS

CLIPS = 80
SHAPE = ClipParams(frames=16, height=64, width=64, seconds=None, stride=None)
OPTIONS = load_params(Path("params.yaml")).transcode
ROUNDS = 3  # the best of them counts


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [_draw(folder / f"{number}.webm", number) for number in range(8)] * (CLIPS // 8)
        floor, ours, by_ffmpeg = (_seconds(partial(_each, work, paths)) for work in (_floor, _ours, _ffmpeg))
        one, two = (min(_warm_seconds(paths, workers) for _ in range(ROUNDS)) for workers in (1, 2))
        measures = {
            "transcode_clips_per_second": CLIPS / ours,
            "transcode_of_floor": floor / ours,
            "transcode_vs_ffmpeg": by_ffmpeg / ours,
            "two_cores_vs_one": one / two,
            "shuffled_vs_memmap": _reading(folder / "shards"),
        }
    for measure, value in measures.items():
        print(f"{measure:28} {value:8.2f}")
    write_json(Path(__file__).with_suffix(".json"), {measure: round(value, 3) for measure, value in measures.items()})


def _draw(path: Path, number: int) -> Path:
    drawing = ffmpeg.input(f"testsrc2=s=427x240:r=12,hue=h={40 * number},noise=alls=8:allf=t", f="lavfi")
    options = {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "video_bitrate": "200k", "cpu-used": 8, "g": 999}
    run(drawing.output(str(path), **options, **{"frames:v": 45, "deadline": "realtime", "threads": 1}), seconds=60)
    return path


def _floor(path: Path) -> None:
    """Nothing but decoding on one thread."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def _ours(path: Path) -> int:
    return decode_video(path, SHAPE, OPTIONS, path.stem).count


def _ffmpeg(path: Path) -> None:
    """One process of the static ffmpeg per clip, all frames scaled."""
    video = ffmpeg.input(str(path), threads=1).video.filter("crop", 240, 240).filter("scale", 64, 64, flags=SCALE_FLAGS)
    run(video.output("pipe:", f="rawvideo", pix_fmt="rgb24"), seconds=60)


def _each(work: Callable[[Path], object], paths: list[Path]) -> None:
    for path in paths:
        work(path)


def _warm_seconds(paths: list[Path], workers: int) -> float:
    """Time for the clips after the first tenth, when every worker has started."""
    results = map_ordered(_ours, paths, workers, label="bench")
    for _ in range(CLIPS // 10):
        next(results)
    start = time.perf_counter()
    list(results)
    return time.perf_counter() - start


def _reading(folder: Path) -> float:
    """Shuffled reading of shards in batches of 32, to a memory map of all frames."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (500, 16, 64, 64, 3), dtype=np.uint8)
    rows = [(f"{number:04}", "", clip) for number, clip in enumerate(frames)]
    parts = [rows[start : start + 250] for start in range(0, len(rows), 250)]
    write_index(folder, (16, 64, 64), [write_shard(folder / f"{part[0][0]}.parquet", part) for part in parts])
    frames.tofile(folder / "all.bin")
    reader = ShardReader(folder)
    mapped: Frames = np.memmap(folder / "all.bin", np.uint8, "r", 0, frames.shape)
    batches = rng.permutation(len(rows)).reshape(-1, 50).tolist()
    return _seconds(lambda: [mapped[batch] for batch in batches]) / _seconds(
        lambda: [reader.frames(batch) for batch in batches]
    )


def _seconds(work: Callable[[], object]) -> float:
    """CPU time, that of processes it starts included: others may be using the machine, too."""
    times = []
    for _ in range(ROUNDS):
        start = _cpu()
        work()
        times.append(_cpu() - start)
    return min(times)


def _cpu() -> float:
    return time.process_time() + sum(os.times()[2:4])


if __name__ == "__main__":
    main()
