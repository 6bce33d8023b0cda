"""CPU time, memory and the machine: what every measure needs."""

import contextlib
import io
import os
import platform
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TypeVar

import psutil

from pipeline.errors import UserError
from pipeline.video.ffmpeg import find_executable

ROOT = Path(__file__).parents[1]
POLL_SECONDS = 0.05

Item = TypeVar("Item")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one way of doing something: the sum over its parts of the best round, and of the median one."""

    best: float
    median: float

    @classmethod
    def add_up(cls, seconds: Sequence[Sequence[float]]) -> "Times":
        """From the seconds of every round, for each part."""
        return cls(sum(map(min, seconds)), sum(map(median, seconds)))


def interleaved(
    ways: Mapping[str, Callable[[Item], object]], parts: Sequence[Item], rounds: int, clock: Clock
) -> dict[str, Times]:
    """Each way on each part in turn, round after round, so that a busy spell of the machine hits all alike.

    The best round of a part of some milliseconds is one in which nobody else was served.
    """
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in parts] for name in ways}
    for _ in range(rounds):
        for place, part in enumerate(parts):
            for name, way in ways.items():
                start = clock()
                way(part)
                seconds[name][place].append(clock() - start)
    return {name: Times.add_up(each) for name, each in seconds.items()}


def cpu_seconds() -> float:
    """CPU time of this process and of all that it has started and waited for: others may use the machine, too."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage and its processes took."""

    memory: int  # bytes, of all together at their most; pages that they share count once for each
    critical_seconds: float  # CPU time of the stage itself and of the busiest process that it started


def run_stage(module: str, folder: Path, *arguments: str) -> Usage:
    """Run a stage in `folder`, whose params.yaml it reads, and watch it."""
    command = [sys.executable, "-m", module, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    memory, seconds = 0, {}
    with (folder / "messages.txt").open("w", encoding="utf-8") as messages:
        stage = psutil.Popen(command, cwd=folder, env=environment, stdout=messages, stderr=messages)
        while stage.poll() is None:
            now = _look(stage)
            memory = max(memory, sum(resident for resident, _ in now.values()))
            seconds |= {pid: used for pid, (_, used) in now.items()}
            time.sleep(POLL_SECONDS)
    if stage.returncode:
        raise UserError(f"{' '.join(command)} failed:\n{(folder / 'messages.txt').read_text(encoding='utf-8')[-2000:]}")
    own = seconds.pop(stage.pid, 0.0)
    return Usage(memory, own + max(seconds.values(), default=0.0))


def _look(stage: psutil.Process) -> dict[int, tuple[int, float]]:
    """Resident bytes and CPU seconds of the process and of all below it."""
    found = {}
    for process in [stage, *stage.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():  # it may end while it is looked at
            times = process.cpu_times()
            found[process.pid] = process.memory_info().rss, times.user + times.system
    return found


def unpack_revision(revision: str, folder: Path) -> bool:
    """Put the tree of an earlier build into a folder; whether git knows it."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
    return archive.returncode == 0


def describe_machine() -> dict[str, object]:
    """Processor, cores and versions; no name of the machine."""
    packages = ("av", "ffmpeg-python", "imageio-ffmpeg", "numpy", "opencv-python-headless", "pyarrow", "torch")
    build = subprocess.run([find_executable(), "-version"], capture_output=True, text=True, check=True).stdout.split()[
        2
    ]
    return {
        "processor": _processor(),
        "usable_cores": len(psutil.Process().cpu_affinity() or [0]),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": round(os.getloadavg()[2], 1),  # of the last 15 minutes: above the cores, the clock tells little
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "ffmpeg": build,
        "packages": {name: _version(name) for name in packages},
    }


def _processor() -> str:
    """What the processor calls itself; virtual machines often shorten it, so its family and model stand beside it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except FileNotFoundError:
        return platform.processor()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return (
        f"{facts.get('model name', platform.machine())}, family {facts.get('cpu family')}, model {facts.get('model')}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
