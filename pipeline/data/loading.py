"""Where the frames of a split lie: whole on the device, or in their shards and read ahead of the steps."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError
from pipeline.params import Loading
from pipeline.shards import ShardReader

# Of both versions of Linux's control groups: folder, limit, usage, and the part of the usage that is reclaimable cache.
GROUPS = (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file")
OLD_GROUPS = (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")

AHEAD = 4  # batches that are read before they are asked for, each by a thread of its own
COPIED_CLIPS = 256  # clips copied to the device at a time
RESIDENT_SHARE = 0.5  # of the free memory that clips may take; the rest is for networks and activations

Rows = NDArray[np.int64]


def measure_free_memory(device: torch.device) -> int:
    """Free bytes: of a GPU, else of the machine and of each control group around this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([psutil.virtual_memory().available, *_list_free_in_groups()])


def _list_free_in_groups() -> Iterator[int]:
    """Bytes that the memory limits of containers and schedulers leave, from this process's own group outwards."""
    own = Path("/proc/self/cgroup")
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, limit, used, cache = OLD_GROUPS if controllers else GROUPS
        group = root / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
            if (folder / limit).is_file() and (
                allowed := (folder / limit).read_text(encoding="ascii").strip()
            ) != "max":
                cached = dict(row.split() for row in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
                yield int(allowed) - int((folder / used).read_text(encoding="ascii")) + int(cached[cache])


class Resident:
    """All frames on the device; nothing else holds more than a few of them while they are brought there."""

    waited = 0.0  # seconds: nobody ever waits

    def __init__(self, shards: ShardReader, rows: Rows, device: torch.device) -> None:
        self._frames = torch.empty((len(rows), *shards.shape), dtype=torch.uint8, device=device)
        for start in range(0, len(rows), COPIED_CLIPS):
            part = slice(start, start + COPIED_CLIPS)
            self._frames[part] = torch.from_numpy(shards.frames(rows[part])).to(device)
        shards.release()  # mapped pages count as this process's memory for as long as it trains

    def __str__(self) -> str:
        return f"{self._frames.nbytes / 1e9:.2f} GB on {self._frames.device}"

    def take(self, rows: Rows) -> Tensor:
        """The clips at `rows` of the split: uint8 [len(rows),T,H,W,3] on the device."""
        places = to_device(torch.from_numpy(rows), self._frames.device)
        return self._frames.index_select(0, places)  # copies whole clips

    @contextmanager
    def read_ahead(self, coming: Iterable[Rows]) -> Iterator[None]:  # noqa: ARG002
        """Nothing is left to be read."""
        yield


class Streamed:
    """Frames that stay in their shards; memory holds a few batches of them.

    An error of a reading thread is raised by `take` at the batch that it concerns.
    """

    def __init__(self, shards: ShardReader, rows: Rows, device: torch.device) -> None:
        self.waited = 0.0  # seconds in which `take` waited for a batch
        self._shards, self._rows, self._device = shards, rows, device
        self._pinned = device.type == "cuda"  # from where a GPU fetches while the processor goes on
        self._pool: ThreadPoolExecutor | None = None
        self._coming: Iterator[Rows] = iter(())
        self._reading: deque[tuple[Rows, Future[Tensor]]] = deque()

    def __str__(self) -> str:
        return f"{len(self._rows) * np.prod(self._shards.shape) / 1e9:.2f} GB read from the shards meanwhile"

    def take(self, rows: Rows) -> Tensor:
        """The clips at `rows` of the split: uint8 [len(rows),T,H,W,3] on the device."""
        start = time.perf_counter()
        if self._reading and np.array_equal(self._reading[0][0], rows):
            frames = self._reading.popleft()[1].result()
            self._read_next()
        else:
            frames = self._read(rows)
        self.waited += time.perf_counter() - start
        return frames.to(self._device, non_blocking=True)

    @contextmanager
    def read_ahead(self, coming: Iterable[Rows]) -> Iterator[None]:
        """A context in which the batches of `coming` are read ahead of the calls of `take`, in this order."""
        with ThreadPoolExecutor(AHEAD, "clips") as self._pool:
            self._coming = iter(coming)
            for _ in range(AHEAD):
                self._read_next()
            try:
                yield
            finally:
                self._reading.clear()
                self._pool.shutdown(cancel_futures=True)  # waits only for what is being read at this moment

    def _read_next(self) -> None:
        rows = next(self._coming, None)
        if rows is not None and self._pool is not None:
            self._reading.append((rows, self._pool.submit(self._read, rows)))

    def _read(self, rows: Rows) -> Tensor:
        frames = torch.from_numpy(self._shards.frames(self._rows[rows]))
        return frames.pin_memory() if self._pinned else frames  # a buffer is used again once the GPU has fetched it


def open_source(
    shards: ShardReader, rows: Rows, device: torch.device, loading: Loading, sharers: int
) -> Resident | Streamed:
    """The frames at `rows` of the shards for one of `sharers` processes that take their memory from the same.

    `auto` decides by what is free now, before anything is read. Raises UserError where clips are to be resident and
    cannot.
    """
    if loading == "streamed":
        return Streamed(shards, rows, device)
    needed = len(rows) * int(np.prod(shards.shape)) * (sharers if device.type == "cpu" else 1)
    free = measure_free_memory(device)
    if needed <= free * RESIDENT_SHARE or (loading == "resident" and needed <= free):
        return Resident(shards, rows, device)
    if loading == "auto":
        return Streamed(shards, rows, device)
    raise UserError(
        f"compute.loading: resident, but the clips take {needed / 1e9:.1f} GB and {device} has {free / 1e9:.1f} GB "
        "available; choose auto or streamed"
    )


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device, without waiting for the work queued on a GPU."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
