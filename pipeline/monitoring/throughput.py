"""The throughput of a training: clips/s, time spent waiting for data, memory, and FLOP/s relative to matrix products.

As clock times, they go to the terminal, the loggers and a cost file beside their logs, never into an output. Also
profiles a few steps, to find the operations that take longest.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from pipeline.errors import UserError
from pipeline.files import atomic_write, read_json, write_json
from pipeline.models.flops import Result, count_flops
from pipeline.params import TrainParams
from pipeline.records import Frames
from pipeline.training.history import summarise
from pipeline.training.loop import Trainer

MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}  # large enough for full speed, small enough for milliseconds
MATMUL_SECONDS = 0.1
Clock = Callable[[], float]

TAIL = 8192  # bytes at the end of a trace: more than what follows its events
WARM_STEPS = 3  # at least: the first ones allocate memory, and select and compile kernels

COST = "cost.json"
MEMORY = "speed/memory_gb"


def measure_matmul_rate(
    device: torch.device, dtype: torch.dtype = torch.float32, clock: Clock = time.perf_counter
) -> float:
    """FLOP/s of a product of square matrices, the best of those within a tenth of a second.

    Uses its own random generator, so that a run's random numbers do not change.
    """
    side = MATMUL_SIDE[device.type]
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.rand(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    product = a @ b  # the first one is slow
    best, end = float("inf"), time.perf_counter() + MATMUL_SECONDS
    while best == float("inf") or time.perf_counter() < end:
        _finish(device)
        start = clock()
        torch.mm(a, b, out=product)
        _finish(device)
        best = min(best, clock() - start)
    return 2 * side**3 / max(best, 1e-9)


def measure_memory(device: torch.device) -> int:
    """Peak reserved bytes of a GPU; on a CPU, the current bytes of this process without mapped files.

    A process that trains on a CPU keeps freed memory, so its current memory is its peak, too.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


@dataclass(frozen=True)
class Throughput:
    """Measured between two reports; memory and FLOP/s are of one device."""

    clips: float  # per second, over all devices
    waiting: float  # share of the time spent waiting for data
    memory: int  # bytes
    flops: float | None  # per second; None if not counted
    matmul: float  # FLOP/s of matrix products, for comparison

    def scalars(self) -> dict[str, float]:
        """Values by name, for the loggers."""
        found = {"clips_per_second": self.clips, "waiting_for_data": self.waiting, "memory_gb": self.memory / 1e9}
        if self.flops is not None:
            found |= {"gflops": self.flops / 1e9, "share_of_matmul": self.flops / self.matmul}
        return {f"speed/{name}": value for name, value in found.items()}

    def __str__(self) -> str:
        detail = f"{self.clips:.1f} clips/s, {self.waiting:.1%} waiting for data, {self.memory / 1e9:.2f} GB"
        if self.flops is None:
            return detail
        return f"{detail}, {self.flops / 1e9:.3g} GFLOP/s ({self.flops / self.matmul:.0%} of matrix products)"


class ThroughputMeter:
    """Measures the steps of one process."""

    def __init__(self, device: torch.device, params: TrainParams, clips_seen: int) -> None:
        # On a GPU always compared with the tensor cores, even if a run does not use them.
        fast = device.type == "cuda" or params.precision == "bf16"
        self._device, self._matmul = device, measure_matmul_rate(device, torch.bfloat16 if fast else torch.float32)
        self._counts = not params.compile  # counted steps run uncompiled, which changes rounding
        self._flops: dict[bool, int] = {}  # of a step, by whether it is penalised
        self._steps: Counter[bool] = Counter()  # since the last report, by the same key
        self._since, self._seen, self._waited = time.perf_counter(), clips_seen, 0.0

    def measure(self, step: Callable[[], Result], *, penalised: bool) -> Result:
        """Run `step` and return its result. The first of each kind is counted; the others cost the same."""
        self._steps[penalised] += 1
        if penalised in self._flops or not self._counts:
            return step()
        result, self._flops[penalised] = count_flops(step)
        return result

    def read(self, clips_seen: int, waited: float) -> Throughput:
        """The throughput since the last call; `waited`: seconds since the start spent waiting for data."""
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        clips, waiting = (clips_seen - self._seen) / seconds, (waited - self._waited) / seconds
        flops = sum(self._flops[kind] * steps for kind, steps in self._steps.items()) if self._counts else 0
        self._since, self._seen, self._waited = now, clips_seen, waited
        self._steps.clear()
        memory = measure_memory(self._device)
        return Throughput(clips, waiting, memory, flops / seconds if self._counts else None, self._matmul)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class OperationCost:
    """One operation, without the operations that it calls."""

    name: str
    calls: float  # in a step
    seconds: float  # in a step, on the GPU or else the CPU
    share: float  # of the time of all operations


@dataclass(frozen=True)
class StepProfile:
    """The cost of a few steps by operation."""

    costs: Sequence[OperationCost]  # costliest first
    presence: float  # CPU time of this thread over wall time; `costs` on a CPU are of wall time


def profile_steps(trainer: Trainer, steps: int, file: Path) -> StepProfile:
    """Trace steps after a warm-up, the first of them penalised, and write the trace to `file`.

    Raises UserError if it cannot be written.
    """
    every, on_gpu = trainer.run.params.penalty_every, trainer.rank.device.type == "cuda"
    warm = every * -(-WARM_STEPS // every)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    costs: list[OperationCost] = []

    def keep(traced: profile) -> None:
        _write_trace(traced, file)
        costs.extend(_costs(traced, steps, on_gpu=on_gpu))

    with profile(
        activities=activities, schedule=schedule(wait=warm - 1, warmup=1, active=steps), on_trace_ready=keep
    ) as p:
        for number, _ in enumerate(trainer.take_steps(warm + steps), 1):
            after = time.perf_counter(), time.thread_time()
            p.step()
            if number == warm:
                before = time.perf_counter(), time.thread_time()
    seconds, own_seconds = (end - start for start, end in zip(before, after, strict=True))
    return StepProfile(costs, own_seconds / seconds)


def _write_trace(traced: profile, file: Path) -> None:
    """Raises UserError if there is no room: torch raises nothing and leaves part of it, under its name or another."""
    with atomic_write(file) as temporary:
        traced.export_chrome_trace(str(temporary))
        if not _is_whole(temporary):
            temporary.with_name(f"{temporary.name}.tmp").unlink(missing_ok=True)
            raise UserError(f"{file}: torch could not write the trace; make room on the disk and run the command again")


def _is_whole(trace: Path) -> bool:
    """Whether the file is there and ends as JSON does after its list of events."""
    if not trace.exists():
        return False
    with trace.open("rb") as file:
        file.seek(-min(TAIL, trace.stat().st_size), os.SEEK_END)
        return re.search(rb"\][^]]*}\s*$", file.read()) is not None


def _costs(traced: profile, steps: int, *, on_gpu: bool) -> list[OperationCost]:
    found = {
        event.key: (event.count, event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        for event in traced.key_averages()
        if event.device_type == DeviceType.CPU and not event.key.startswith("ProfilerStep")  # callers include kernels
    }
    whole = max(sum(microseconds for _, microseconds in found.values()), 1e-9)
    costs = [OperationCost(name, n / steps, time / 1e6 / steps, time / whole) for name, (n, time) in found.items()]
    return sorted(costs, key=lambda cost: cost.seconds, reverse=True)


class CostLogger:
    """Writes seconds, CPU seconds and memory of rank 0, with the last row of the history.

    A resumed run adds to the values in the file, so that they are those of the whole training.
    """

    def __init__(self, folder: Path, clips_seen: int) -> None:
        self._path = folder / COST
        before = _read_cost(self._path) if clips_seen else {}
        self._seconds = before.get("seconds", 0.0) - time.perf_counter()
        self._cpu_seconds = before.get("cpu_seconds", 0.0) - time.process_time()
        self._memory = before.get("memory_gb", 0.0)

    def log_scalars(self, clips_seen: int, values: Mapping[str, float]) -> None:
        self._memory = max(self._memory, values.get(MEMORY, 0.0))
        cost = {
            "clips": clips_seen,
            "seconds": self._seconds + time.perf_counter(),
            "cpu_seconds": self._cpu_seconds + time.process_time(),
            "memory_gb": self._memory,
            "row": {name: value for name, value in values.items() if not name.startswith("speed/")},
        }
        write_json(self._path, cost)

    def log_clips(self, clips_seen: int, clips: Frames, captions: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass


def find_cost(logs: Path, summary: Mapping[str, float]) -> dict[str, float]:
    """The cost, among all logs, of the training whose last row is `summary`, a `training.json`; empty if not found."""
    for path in sorted(logs.glob(f"*/{COST}")):
        cost = _read_cost(path)
        row = cost.pop("row", None)
        if isinstance(row, dict) and summary and summarise(row) == dict(summary):
            return cost
    return {}


def _read_cost(path: Path) -> dict[str, float]:
    """The content of the file; empty if it is missing or damaged, since it is not essential."""
    try:
        cost = read_json(path, "")
    except UserError:
        return {}
    return cost if isinstance(cost, dict) else {}
