"""Where the points of a sweep run: on this machine, or on those of a cluster that share its folder."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.sweeping.ray_points import check_tasks
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
