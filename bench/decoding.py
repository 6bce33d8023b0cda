"""Decoding videos to clips, compared with alternatives, with decoding alone, and with an earlier build.

The two builds run in alternating processes; the earlier one is unpacked from git and uses the same packages. It ignored
timestamps: at a constant frame rate, both must choose the same frames. For many parts of one long video, it is measured
how much is decoded, and what decoding the whole video for each part would cost.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import av
import ffmpeg
import numpy as np

from bench.measuring import ROOT, Times, cpu_seconds, interleaved, unpack_revision
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Frames
from pipeline.video import Budget
from pipeline.video.decode import DecodedVideo, Part, decode_parts, decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.pixels import SCALE_FLAGS
from pipeline.video.pyav_decoder import PyavReader
from pipeline.video.webm import UnsupportedFile, read_plain_webm

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"  # read by OpenCV when it opens a file

RATE, MINUTE = 25, 60
KEY_SECONDS = 10  # between key frames: x264's default at this rate

REVISION = "ff6f505^"  # the last build that chose frames by their index only

# Run in either tree, from which it imports `pipeline`. Identifies clips by digest.
WORKER = """
import hashlib, json, sys, time
from pathlib import Path
from pipeline.params import ClipParams, load_params
from pipeline.video.decode import decode_video
params = load_params(Path("params.yaml"))
shape = ClipParams(**{**params.clip.model_dump(), **json.loads(sys.argv[1])})
for line in sys.stdin:
    start = time.process_time()
    clips = decode_video(Path(line.strip()), shape, params.transcode, "").clips
    seconds = time.process_time() - start
    print(json.dumps([seconds, hashlib.sha256(b"".join(clips)).hexdigest()]), flush=True)
"""


def measure_decoding(paths: list[Path], shape: ClipParams, options: TranscodeParams, rounds: int) -> dict[str, Times]:
    """CPU seconds for all videos, per implementation."""
    packets = {
        path: [av.Packet(packet.data) for packet in read_plain_webm(path.read_bytes()).packets] for path in paths
    }
    decoder = av.CodecContext.create("vp9", "r")
    decoder.thread_count = 1
    works: dict[str, Callable[[Path], object]] = {
        "floor": partial(_decode_only, packets=packets, decoder=decoder),
        "ours": partial(_ours, shape=shape, options=options),
        "ffmpeg": partial(_one_process, shape=shape),
    }
    if (by_opencv := _opencv()) is not None:
        works["opencv"] = partial(by_opencv, shape=shape)
    return interleaved(works, paths, rounds, cpu_seconds)


def count_equal(paths: list[Path], shape: ClipParams, options: TranscodeParams) -> dict[str, int]:
    """The number of videos with equal frames by the plain WebM reader, `av.open` and ffmpeg; and of plain videos."""
    equal = plain = 0
    for path in paths:
        fast = decode_video(path, shape, options, path.stem).clips
        with patch("pipeline.video.pyav_decoder.read_plain_webm", side_effect=UnsupportedFile("as if it were")):
            opened = decode_video(path, shape, options, path.stem).clips
        by_ffmpeg = decode_video(path, shape, options.model_copy(update={"decoder": "ffmpeg"}), path.stem).clips
        equal += all(np.array_equal(fast, others) for others in (opened, by_ffmpeg))
        plain += _is_plain(path)
    return {"equal": equal, "plain": plain}


def _is_plain(path: Path) -> bool:
    try:
        read_plain_webm(path.read_bytes())
    except UnsupportedFile:
        return False
    return True


def _decode_only(path: Path, packets: Mapping[Path, list[av.Packet]], decoder: av.VideoCodecContext) -> None:
    """Decode only, in one thread, with packets in memory and a reused decoder."""
    for packet in packets[path]:
        decoder.decode(packet)


def _ours(path: Path, shape: ClipParams, options: TranscodeParams) -> list[Frames]:
    return decode_video(path, shape, options, path.stem).clips


def _one_process(path: Path, shape: ClipParams) -> Frames:
    """Crop and scale all frames by one process of the static ffmpeg, then select the wanted ones."""
    video = ffmpeg.input(str(path), threads=1).video.filter("crop", "ih", "ih")
    video = video.filter("scale", shape.width, shape.height, flags=SCALE_FLAGS)
    pixels = run(video.output("pipe:", f="rawvideo", pix_fmt="rgb24", threads=1), seconds=60)
    frames = np.frombuffer(pixels, np.uint8).reshape(-1, shape.height, shape.width, 3)
    return _spread(frames, shape.frames)


def _opencv() -> Callable[..., Frames] | None:
    """The 2019 project's implementation: OpenCV reads and resizes all frames; None if it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)

    def by_opencv(path: Path, shape: ClipParams) -> Frames:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        frames = []
        while True:
            read, frame = capture.read()
            if not read:
                break
            left = (frame.shape[1] - frame.shape[0]) // 2
            square = frame[:, left : left + frame.shape[0]]
            resized = cv2.resize(square, (shape.width, shape.height), interpolation=cv2.INTER_AREA)
            frames.append(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
        capture.release()
        return _spread(np.stack(frames), shape.frames)

    return by_opencv


def _spread(frames: Frames, wanted: int) -> Frames:
    return frames[[(2 * k + 1) * len(frames) // (2 * wanted) for k in range(wanted)]]


@dataclass(frozen=True, slots=True)
class PartCosts:
    """The cost of many parts of a video."""

    parts: int
    decoded_share: float  # seconds decoded per second wanted
    seconds: float  # CPU time for all parts
    seconds_of_whole: float  # CPU time to decode the video once; decoding it per row takes `parts` times as long


def draw_long(folder: Path, minutes: int) -> Path:
    """H.264 in MP4: one synthetic minute, repeated."""
    folder.mkdir(parents=True)
    minute, listed, path = folder / "minute.mp4", folder / "minutes.txt", folder / "long.mp4"
    drawing = ffmpeg.input(f"testsrc2=s=320x240:r={RATE}:d={MINUTE}", f="lavfi")
    options = {"vcodec": "libx264", "preset": "ultrafast", "bf": 2, "g": KEY_SECONDS * RATE, "pix_fmt": "yuv420p"}
    run(drawing.output(str(minute), **options), seconds=300)
    listed.write_text(f"file '{minute}'\n" * minutes, encoding="utf-8")
    joined = ffmpeg.input(str(listed), f="concat", safe=0)
    run(joined.output(str(path), c="copy"), seconds=300)
    return path


def measure_parts(
    path: Path, minutes: int, parts: int, shape: ClipParams, options: TranscodeParams, at_once: int
) -> PartCosts:
    """Decode consecutive parts that cover the whole video, `at_once` per shard."""
    length = minutes * MINUTE / parts
    wanted = [Part(number * length, (number + 1) * length, str(number)) for number in range(parts)]
    add, decoded = Budget.add, 0

    def count(budget: Budget, width: int, height: int) -> None:
        nonlocal decoded
        decoded += 1
        add(budget, width, height)

    Budget.add = count  # type: ignore[method-assign]
    try:
        start = time.process_time()
        for place in range(0, parts, at_once):
            for found in decode_parts(path, wanted[place : place + at_once], shape, options):
                assert isinstance(found, DecodedVideo), found
        seconds = time.process_time() - start
    finally:
        Budget.add = add  # type: ignore[method-assign]
    limits = options.limits.model_copy(update={"video_frames": 10**9, "video_pixels": 10**15})
    start = time.process_time()
    PyavReader(path, limits).read(lambda _: (), lambda _: [])
    return PartCosts(parts, decoded / RATE / (minutes * MINUTE), seconds, time.process_time() - start)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two builds on the same videos."""

    before: Times  # CPU seconds
    now: Times
    median_of_pairs: float  # median ratio of the earlier build's time to the current one's, over all pairs
    equal_share: float  # of videos with equal bytes


def copy_as_mp4(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Transcode the videos to H.264 in MP4, with x264's B-frames."""
    folder.mkdir()
    copies = [folder / f"{path.stem}.mp4" for path in paths]
    for path, copy in zip(paths, copies, strict=True):
        run(ffmpeg.input(str(path)).output(str(copy), vcodec="libx264", preset="fast", threads=1), seconds=60)
    return copies


def compare_builds(paths: Sequence[Path], shape: dict[str, int], rounds: int) -> Comparison | None:
    """Compare both builds; None if git does not have the earlier revision."""
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in paths] for name in ("before", "now")}
    equal = [False] * len(paths)
    with TemporaryDirectory() as name:
        if not unpack_revision(REVISION, Path(name)):
            return None
        with _worker(Path(name), shape) as before, _worker(ROOT, shape) as now:
            workers = {"before": before, "now": now}
            for number in range(rounds + 1):
                for place, path in enumerate(paths):
                    order = ("before", "now") if (number + place) % 2 else ("now", "before")
                    found = {name: _decode(workers[name], path) for name in order}
                    equal[place] = found["before"][1] == found["now"][1]
                    for name in order if number else ():  # the first round warms up
                        seconds[name][place].append(found[name][0])
    pairs = [early / late for ways in zip(*seconds.values(), strict=True) for early, late in zip(*ways, strict=True)]
    early, late = (Times.add_up(seconds[name]) for name in ("before", "now"))
    return Comparison(early, late, median(pairs), sum(equal) / len(equal))


@contextmanager
def _worker(tree: Path, shape: dict[str, int]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", WORKER, json.dumps(shape)]
    with subprocess.Popen(command, cwd=tree, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


def _decode(worker: "subprocess.Popen[str]", path: Path) -> tuple[float, str]:
    """CPU seconds, and the digest of the clips."""
    assert worker.stdin is not None and worker.stdout is not None
    print(path.absolute(), file=worker.stdin, flush=True)
    seconds, digest = json.loads(worker.stdout.readline())
    return seconds, digest
