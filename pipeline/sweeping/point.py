"""One point of a sweep, with all that it starts: `python -m pipeline.sweeping.point FOLDER NAME`.

It ends with the sweep that started it, and leaves no process behind, whoever of them is killed.
"""

import fcntl
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
from pipeline.sweeping import read_sweep
from pipeline.sweeping.experiments import WorkingCopy
from pipeline.sweeping.pool import PATIENCE, PAUSE, SlotQueue, Slots, end_processes

CORES = "T2V_CORES"  # the numbers of those that the point has
CORE_COUNT = "T2V_CORE_COUNT"  # how many it may take of the machine that a cluster has sent it to
SEED = "training_seed"
# Commands of DVC in one process, up to the first that fails: to start it and read the project takes 0.6 seconds.
IN_TURN = (
    "import json, sys; from dvc.cli import main; "
    "sys.exit(next((code for words in json.loads(sys.argv[1]) if (code := main(words))), 0))"
)


class Supervisor:
    """Runs commands one after another, and asks them to stop when the process that started this one has gone.

    SIGINT reaches the commands as well: they are of our group. A command that only waits is in a session of its own:
    `end` ends what it waits for, and then it is killed.
    """

    def __init__(self, end: Callable[[], None] | None = None) -> None:
        self._end = end
        self._parent = os.getppid()
        self._stopped: float | None = None  # when it was asked to stop
        signal.signal(signal.SIGINT, lambda *_: self._note())

    def call(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
        """The exit code of the command. Raises Interrupted where it was asked to stop."""
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
    """What runs the point of this name of the sweep in a folder, on whatever machine."""
    return [sys.executable, "-m", "pipeline.sweeping.point", str(folder), name]


def take_cores() -> Slots:
    """Stay on the cores that were given to this point, or on as many as it may have that no other one holds.

    A cluster may say how many those are and leave which they are to its jobs.
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
    """Wait until no other process has the point, such as one on a cluster that is saving. Raises UserError."""
    deadline = time.monotonic() + 2 * PATIENCE
    with (folder / f"{name}.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(f"{name} still runs on another machine; stop it there, or wait for it") from None
            time.sleep(PAUSE)
        yield


def main(folder: Path, name: str) -> None:
    """Run the stages of a point in a copy of the project and commit what they give as an experiment of DVC."""
    sweep = read_sweep(folder)
    point, origin = sweep.runs[name], sweep.origin
    held = take_cores()
    environment = os.environ | {"DVC_ROOT": str(Path.cwd())}  # where states of interrupted trainings lie
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
