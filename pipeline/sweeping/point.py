"""One point of a sweep, with all that it starts: `python -m pipeline.sweeping.point FOLDER NAME`.

It ends with the sweep that started it, and leaves no process behind, whoever of them is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import Interrupted, run
from pipeline.sweeping.experiments import WorkingCopy
from pipeline.sweeping.processes import PATIENCE, PAUSE, end_processes
from pipeline.sweeping.record import read_sweep

CORES = "T2V_CORES"  # the numbers of those that the point has
SEED = "training_seed"


class Keeper:
    """Runs commands one after another, and asks them to stop when the process that started this one has gone."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._stopped: float | None = None  # when it was asked to stop
        signal.signal(signal.SIGINT, lambda *_: self._note())  # it reaches the commands as well: they are of our group

    def call(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
        """The exit code of the command. Raises Interrupted where it was asked to stop."""
        self._require_going()
        process = subprocess.Popen(command, cwd=folder, env=environment)
        while process.poll() is None:
            if self._stopped is None and os.getppid() != self._parent:
                os.killpg(0, signal.SIGINT)
                self._note()
            if self._stopped is not None and time.monotonic() - self._stopped > PATIENCE:
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


def main(folder: Path, name: str) -> None:
    """Run the stages of a point in a copy of the project and commit what they give as an experiment of DVC."""
    sweep = read_sweep(folder)
    point, origin = sweep.runs[name], sweep.origin
    if cores := os.environ.get(CORES):
        os.sched_setaffinity(0, map(int, cores.split(",")))
    environment = os.environ | {"DVC_ROOT": str(Path.cwd())}  # where states of interrupted trainings lie
    dvc = [sys.executable, "-m", "dvc"]
    seeds = {SEED: point.seed} if sweep.plan.seeds > 1 else {}
    keeper = Keeper()
    try:
        with WorkingCopy(origin, name) as copy:
            copy.change_params({**seeds, **point.values})
            steps = [[*dvc, "checkout", *origin.inputs]] if origin.inputs else []
            for command in [*steps, [*dvc, "repro", "--single-item", *origin.stages]]:
                if code := keeper.call(command, copy.project, environment):
                    sys.exit(code if code > 0 else 128 - code)
            copy.commit()
    finally:
        end_processes(folder, name)


if __name__ == "__main__":
    run(main)
