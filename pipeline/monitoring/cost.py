"""The cost of a training on this machine: a file next to its logs, not an output of a stage, since times differ."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import read_json, write_json
from pipeline.records import Frames
from pipeline.training.history import summarise

COST = "cost.json"
MEMORY = "speed/memory_gb"


class CostLogger:
    """Keeps seconds, CPU seconds and memory of the first process, with the last row of the history.

    A run that was stopped goes on from what its file says, so that the sums are those of the whole training.
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
    """The cost of the training that ended with this row, a `training.json`, from the logs of all; empty for none."""
    for path in sorted(logs.glob(f"*/{COST}")):
        cost = _read_cost(path)
        row = cost.pop("row", None)
        if isinstance(row, dict) and summary and summarise(row) == dict(summary):
            return cost
    return {}


def _read_cost(path: Path) -> dict[str, float]:
    """What the file holds; empty where it is absent or broken, since it is a help alone."""
    try:
        cost = read_json(path, "")
    except UserError:
        return {}
    return cost if isinstance(cost, dict) else {}
