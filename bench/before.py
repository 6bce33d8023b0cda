"""Videos to clips by this build and by an earlier one, in two processes that take turns: is anything slower or other?

The earlier build is taken out of git and decodes with the same packages. It knew no times: whatever the frames of a
constant rate were by their numbers, they have to be still.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import ffmpeg

from bench.measuring import ROOT, Times, unpack_revision
from pipeline.video.ffmpeg import run

REVISION = "ff6f505^"  # the last build that chose frames by their numbers alone

# Run in either tree, whose package `pipeline` it finds first. Names a clip by its digest.
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two builds on the same videos."""

    before: Times  # CPU seconds
    now: Times
    median_of_pairs: float  # how many times as long the earlier build takes for a video, in the median of all pairs
    equal_share: float  # of the videos, with the same bytes by both


def copy_as_mp4(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The same videos as H.264 in MP4, with the B-frames of x264."""
    folder.mkdir()
    copies = [folder / f"{path.stem}.mp4" for path in paths]
    for path, copy in zip(paths, copies, strict=True):
        run(ffmpeg.input(str(path)).output(str(copy), vcodec="libx264", preset="fast", threads=1), seconds=60)
    return copies


def compare_builds(paths: Sequence[Path], shape: dict[str, int], rounds: int) -> Comparison | None:
    """None where git does not know the earlier build."""
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
