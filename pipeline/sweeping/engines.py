"""Where the points of a sweep run: on this machine, or on those of a cluster that share its folder."""

import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.sweeping.axes import show_point
from pipeline.sweeping.point import build_command
from pipeline.sweeping.pool import Job
from pipeline.sweeping.ray_points import check_tasks
from pipeline.sweeping.record import FILE, Sweep
from pipeline.sweeping.slurm import check_jobs, end_slurm_jobs


class Engine(NamedTuple):
    """What gives points to a cluster."""

    module: str  # that waits for a point: `python -m MODULE -- FOLDER NAME OPTIONS`
    check: Callable[[Sequence[str]], None]  # raises UserError where jobs with such options would be refused
    end: Callable[[Path, Collection[str], float], None]  # ends what is left of points, after seconds in which they save


ENGINES = {
    "slurm": Engine("pipeline.sweeping.slurm", check_jobs, end_slurm_jobs),
    "ray": Engine("pipeline.sweeping.ray_points", check_tasks, lambda *_: None),  # Ray ends tasks of who is gone
}


def _find_engine(sweep: Sweep) -> Engine | None:
    """What the points of a sweep were last given to; None: this machine. Raises UserError where it is not known."""
    name = sweep.origin.engine
    if name and name not in ENGINES:
        raise UserError(
            f"{sweep.folder / FILE}: its points were given to {name!r}, of which this version of t2v knows nothing "
            f"({', '.join(ENGINES)}); go on with the version that began it, or use another --name"
        )
    return ENGINES[name] if name else None


def check_cluster(on: str, options: str) -> None:
    """Refuse, before anything runs, what the cluster would. Raises UserError."""
    if on and on not in ENGINES:
        raise UserError(f"--on {on}: points run on {', '.join(ENGINES)}, or without --on on this machine")
    if options and not on:
        raise UserError("--job-options are for the jobs of a cluster; say of which: --on " + " | ".join(ENGINES))
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise UserError(f"--job-options {options!r}: {error}") from None
    if on:
        ENGINES[on].check(words)


def end_jobs(sweep: Sweep, runs: Collection[str], patience: float) -> None:
    """End what is left of runs on the cluster that they were last given to, after seconds in which they may save."""
    if engine := _find_engine(sweep):
        engine.end(sweep.folder, runs, patience)


def make_job(sweep: Sweep, run: str, recorded: bool = False, options: str = "") -> Job:
    """The process that trains one run, or waits for its job on a cluster, with its log in the sweep's folder."""
    seed = {"seed": sweep.runs[run].seed} if sweep.plan.seeds > 1 else {}
    title = show_point({**sweep.runs[run].values, **seed})
    log = sweep.folder / f"{run}.log"
    if engine := _find_engine(sweep):
        command = [sys.executable, "-m", engine.module, "--", str(sweep.folder), run, options]
        return Job(run, title, command, log, recorded, partial(end_jobs, sweep, [run], 0.0))
    return Job(run, title, build_command(sweep.folder, run), log, recorded)
