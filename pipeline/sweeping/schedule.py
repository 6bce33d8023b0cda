"""Which run of a sweep is next: those in its record that are not done, then points chosen by what those gave."""

from collections.abc import Callable, Collection, Sequence
from statistics import fmean

from pipeline.sweeping.axes import Axis
from pipeline.sweeping.record import Sweep
from pipeline.sweeping.search import Trial, suggest_point


class Schedule:
    """Hands out the names of runs, each once; `score` gives the metric of one that is done, None where it has none."""

    def __init__(
        self, sweep: Sweep, axes: Sequence[Axis], done: Collection[str], score: Callable[[str], float | None]
    ) -> None:
        self._sweep, self._axes, self._score = sweep, axes, score
        self._waiting = [name for name in sweep.runs if name not in done]
        self._ended = {name for name in sweep.runs if name in done}

    def take(self) -> str | None:
        """The next run; None where there is none to begin."""
        if not self._waiting and self._may_choose():
            self._choose()
        return self._waiting.pop(0) if self._waiting else None

    def note_end(self, name: str) -> None:
        """The run has ended, well or not."""
        self._ended.add(name)

    def _may_choose(self) -> bool:
        plan = self._sweep.plan
        return bool(plan.metric) and len(self._sweep.points()) < (plan.points or 0)

    def _choose(self) -> None:
        plan, runs = self._sweep.plan, self._sweep.runs
        trials = [self._weigh(names) for names in self._sweep.points().values()]
        seeds = sorted({run.seed for run in runs.values()})
        values = suggest_point(self._axes, trials, plan.points or 0, plan.largest, seeds[0])
        before = set(runs)
        self._sweep.add_point(values, seeds)
        self._sweep.save()
        self._waiting += [name for name in runs if name not in before]

    def _weigh(self, names: Sequence[str]) -> Trial:
        ended = all(name in self._ended for name in names)
        scores = [score for name in names if ended and (score := self._score(name)) is not None]
        return Trial(self._sweep.runs[names[0]].values, fmean(scores) if scores else None, ended)
