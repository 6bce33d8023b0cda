"""Which run of a sweep is next: those in its record that are not done, then points chosen by what those gave.

Points are chosen by Optuna (the extra `optuna`), whose study is made anew from the record for each of them, so nothing
but that record has to survive. Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for Hyper-Parameter Optimization":
the tree-structured Parzen estimator.
"""

from collections.abc import Callable, Collection, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UserError
from pipeline.sweeping.axes import Axis, Choices, Values
from pipeline.sweeping.record import Sweep

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LEAST_AT_RANDOM, MOST_AT_RANDOM = 3, 10  # points before the estimator says anything; a third of all in between


class Trial(NamedTuple):
    """A point that has been begun: its score, the mean over its seeds, is None until they have ended."""

    values: Values
    score: float | None
    ended: bool


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


def require_optuna() -> None:
    """Raises UserError where it is not installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("--maximise and --minimise need Optuna; pip install 't2v[optuna]'") from None


def suggest_point(axes: Sequence[Axis], trials: Sequence[Trial], count: int, largest: bool, seed: int) -> Values:
    """The point to try after `trials`, of `count` in all; the same for the same arguments."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    at_random = min(MOST_AT_RANDOM, max(LEAST_AT_RANDOM, count // 3))
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials), n_startup_trials=at_random, constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction="maximize" if largest else "minimize")
    distributions = {axis.key: _distribute(axis) for axis in axes}
    for trial in trials:
        state = optuna.trial.TrialState
        study.add_trial(
            optuna.trial.create_trial(
                params={axis.key: _encode(axis, trial.values[axis.key]) for axis in axes},
                distributions=distributions,
                value=trial.score,
                state=state.RUNNING if not trial.ended else state.FAIL if trial.score is None else state.COMPLETE,
            )
        )
    drawn = study.ask(distributions).params
    return {axis.key: _decode(axis, drawn[axis.key]) for axis in axes}


def _distribute(axis: Axis) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Choices):  # by their places, since Optuna takes no lists
        return CategoricalDistribution(range(len(axis.values)))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _encode(axis: Axis, value: Any) -> Any:
    return axis.values.index(value) if isinstance(axis, Choices) else value


def _decode(axis: Axis, value: Any) -> Any:
    return axis.values[value] if isinstance(axis, Choices) else axis.round(value)
