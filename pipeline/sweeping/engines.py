"""Where the points of a sweep run: on this machine, or on those of a cluster that share its folder."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.sweeping.ray_points import check_tasks
from pipeline.sweeping.record import FILE, Sweep
from pipeline.sweeping.slurm import check_jobs, end_jobs


class Engine(NamedTuple):
    """What gives points to a cluster."""

    module: str  # that waits for a point: `python -m MODULE -- FOLDER NAME OPTIONS`
    check: Callable[[Sequence[str]], None]  # raises UserError where jobs with such options would be refused
    end: Callable[[Path, Collection[str], float], None]  # ends what is left of points, after seconds in which they save


ENGINES = {
    "slurm": Engine("pipeline.sweeping.slurm", check_jobs, end_jobs),
    "ray": Engine("pipeline.sweeping.ray_points", check_tasks, lambda *_: None),  # Ray ends tasks of who is gone
}


def find_engine(sweep: Sweep) -> Engine | None:
    """What the points of a sweep were last given to; None: this machine. Raises UserError where it is not known."""
    name = sweep.origin.engine
    if name and name not in ENGINES:
        raise UserError(
            f"{sweep.folder / FILE}: its points were given to {name!r}, of which this version of t2v knows nothing "
            f"({', '.join(ENGINES)}); go on with the version that began it, or use another --name"
        )
    return ENGINES[name] if name else None
