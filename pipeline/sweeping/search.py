"""The next point of a sweep that looks for the best value of a metric, chosen by Optuna (the extra `optuna`).

Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for Hyper-Parameter Optimization": the tree-structured Parzen
estimator. The study is made anew from the record for each point, so nothing but that record has to survive.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UserError
from pipeline.sweeping.axes import Axis, Choices, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LEAST_AT_RANDOM, MOST_AT_RANDOM = 3, 10  # points before the estimator says anything; a third of all in between


class Trial(NamedTuple):
    """A point that has been begun: its score, the mean over its seeds, is None until they have ended."""

    values: Values
    score: float | None
    ended: bool


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
