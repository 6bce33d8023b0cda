"""Runs one point of a sweep: `python -m pipeline.sweeping.point FOLDER NAME`.

It stops if the sweep that started it has ended, and leaves no processes behind, even if one is killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import Interrupted, UserError, run
from pipeline.files import try_lock
from pipeline.sweeping import read_sweep
from pipeline.sweeping.experiments import WorkingCopy
from pipeline.sweeping.pool import PATIENCE, PAUSE, SlotQueue, Slots, end_processes

CORES = "T2V_CORES"  # the indices of the point's cores
CORE_COUNT = "T2V_CORE_COUNT"  # the number of cores it may take on a cluster node
SEED = "training_seed"
# DVC commands in one process, up to the first that fails; starting DVC for each would take 0.6 seconds.
IN_TURN = (
    "import json, sys; from dvc.cli import main; "
    "sys.exit(next((code for words in json.loads(sys.argv[1]) if (code := main(words))), 0))"
)


class Supervisor:
    """Runs commands in sequence, and interrupts them if the parent process has ended.

    Commands are in this process group, so they receive SIGINT too. With `end`, the command only waits for something
    elsewhere: it is in its own session, and is killed after `end` has ended what it waits for.
    """

    def __init__(self, end: Callable[[], None] | None = None) -> None:
        self._end = end
        self._parent = os.getppid()
        self._stopped: float | None = None  # time of the stop request
        signal.signal(signal.SIGINT, lambda *_: self._note())

    def call(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
        """Run the command -> its exit code. Raises Interrupted after a stop request."""
        self._require_going()
        process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=bool(self._end))
        while process.poll() is None:
            if self._stopped is None and os.getppid() != self._parent:
                os.killpg(0, signal.SIGINT)
                self._note()
            if self._stopped is not None and self._end:
                self._end()
                process.kill()
            elif self._stopped is not None and time.monotonic() - self._stopped > PATIENCE:
                process.kill()
            try:
                process.wait(timeout=PAUSE)
            except subprocess.TimeoutExpired:
                continue
        self._require_going()
        return process.returncode

    def _note(self) -> None:
        self._stopped = self._stopped or time.monotonic()

    def _require_going(self) -> None:
        if self._stopped is not None:
            raise Interrupted("the point was asked to stop")


def build_command(folder: Path, name: str) -> list[str]:
    """The command that runs a point of the sweep in `folder`, on any machine."""
    return [sys.executable, "-m", "pipeline.sweeping.point", str(folder), name]


def take_cores() -> Slots:
    """Set the CPU affinity to the cores assigned to this point, or else to as many free ones as it may take.

    A cluster may set only their number, without binding its jobs to cores.
    """
    seen = sorted(os.sched_getaffinity(0))
    if cores := os.environ.get(CORES):
        os.sched_setaffinity(0, map(int, cores.split(",")))
    elif 0 < (count := int(os.environ.get(CORE_COUNT) or 0)) < len(seen):
        queue = SlotQueue("core", [str(core) for core in seen], count)
        while (slots := queue.take()) is None:
            time.sleep(PAUSE)
        os.sched_setaffinity(0, map(int, slots.names))
        return slots
    return Slots("core", {})


@contextmanager
def lock_point(folder: Path, name: str) -> Iterator[None]:
    """Lock the point; wait for a process that is saving it, such as on a cluster. Raises UserError on timeout."""
    deadline = time.monotonic() + 2 * PATIENCE
    while (file := try_lock(folder / f"{name}.lock")) is None:
        if time.monotonic() > deadline:
            raise UserError(f"{name} still runs on another machine; stop it there, or wait for it")
        time.sleep(PAUSE)
    with file:
        yield


def main(folder: Path, name: str) -> None:
    """Run the stages of a point in a copy of the project, and commit the result as a DVC experiment."""
    sweep = read_sweep(folder)
    point, origin = sweep.runs[name], sweep.origin
    held = take_cores()
    environment = os.environ | {"DVC_ROOT": str(Path.cwd())}  # where the states of interrupted trainings are
    seeds = {SEED: point.seed} if sweep.plan.seeds > 1 else {}
    supervisor = Supervisor()
    try:
        with lock_point(folder, name), WorkingCopy(origin, name) as copy:
            copy.change_params({**seeds, **point.values})
            copy.leave_out()
            fetched = [["checkout", *origin.inputs]] if origin.inputs else []
            steps = json.dumps([*fetched, ["repro", "--single-item", *origin.stages]])
            if code := supervisor.call([sys.executable, "-c", IN_TURN, steps], copy.project, environment):
                sys.exit(code if code > 0 else 128 - code)
            copy.commit()
    finally:
        end_processes(folder, name)
        held.release()


if __name__ == "__main__":
    run(main)
