"""Shared by benchmarks: CPU time, memory and a description of the machine."""

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
    """Seconds of one implementation: sums over parts of the best round, and of the median one."""

    best: float
    median: float

    @classmethod
    def add_up(cls, seconds: Sequence[Sequence[float]]) -> "Times":
        """Sum up seconds by part and round."""
        return cls(sum(map(min, seconds)), sum(map(median, seconds)))


def interleaved(
    ways: Mapping[str, Callable[[Item], object]], parts: Sequence[Item], rounds: int, clock: Clock
) -> dict[str, Times]:
    """Time all implementations on each part in turn, for several rounds, so that other load affects all equally.

    For parts of some milliseconds, the best round is one without interruption by other processes.
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
    """CPU time of this process and of its children that have ended; other processes do not affect it."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources used by a stage and its processes."""

    memory: int  # peak bytes of all processes together; shared pages count once per process
    critical_seconds: float  # CPU time of the stage itself and of its busiest child process


def run_stage(module: str, folder: Path, *arguments: str) -> Usage:
    """Run a stage in `folder`, which has params.yaml, and monitor it. Raises UserError if it fails."""
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
    """Resident bytes and CPU seconds of the process and its descendants."""
    found = {}
    for process in [stage, *stage.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():  # it may end meanwhile
            times = process.cpu_times()
            found[process.pid] = process.memory_info().rss, times.user + times.system
    return found


def unpack_revision(revision: str, folder: Path) -> bool:
    """Unpack an earlier revision into a folder; returns whether git has it."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
    return archive.returncode == 0


def describe_machine() -> dict[str, object]:
    """Processor, cores and versions; without the machine's name."""
    packages = ("av", "ffmpeg-python", "imageio-ffmpeg", "numpy", "opencv-python-headless", "pyarrow", "torch")
    build = subprocess.run([find_executable(), "-version"], capture_output=True, text=True, check=True).stdout.split()[
        2
    ]
    return {
        "processor": _processor(),
        "usable_cores": len(psutil.Process().cpu_affinity() or [0]),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": round(
            os.getloadavg()[2], 1
        ),  # of the last 15 minutes: above the number of cores, wall time is unreliable
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "ffmpeg": build,
        "packages": {name: _version(name) for name in packages},
    }


def _processor() -> str:
    """The processor's name with family and model, since virtual machines often abbreviate the name."""
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
