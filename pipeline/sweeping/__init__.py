"""A sweep: its record in `runs/sweeps/NAME/sweep.json`, from which it can always be resumed, and its next run.

The unfinished runs in the record come first, then points suggested by Optuna (the extra `optuna`) from their results.
Optuna's study is rebuilt from the record for each point, so that there is no other state. Bergstra, Bardenet, Bengio &
Kégl 2011, "Algorithms for Hyper-Parameter Optimization": the tree-structured Parzen estimator.
"""

import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UserError, describe_fault, name_install
from pipeline.files import read_json, try_lock, write_json
from pipeline.sweeping.axes import Axis, Choices, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FOLDER = Path("runs/sweeps")
FILE = "sweep.json"
LOCK = "lock"

MIN_AT_RANDOM, MAX_AT_RANDOM = 3, 10  # bounds of the random points before the estimator: a third of all


@dataclass(frozen=True)
class Plan:
    """The request for a sweep; the same plan resumes an unfinished sweep."""

    axes: tuple[str, ...]  # as given on the command line
    points: int | None = None  # number of points to draw; None: all combinations
    seeds: int = 1
    metric: str = ""  # that points are optimised for; empty: none
    largest: bool = True  # whether it is maximised
    until: str = ""  # the last stage of each point; empty: the last of the graph

    def __str__(self) -> str:
        """The arguments of the command."""
        options = {
            "points": self.points,
            "seeds": None if self.seeds == 1 else self.seeds,
            "maximise" if self.largest else "minimise": self.metric,
            "until": self.until,
        }
        words = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
        return shlex.join([*self.axes, *words])


@dataclass(frozen=True)
class Origin:
    """What all points start from: the same files, even if the workspace changes during the sweep."""

    baseline: str  # the commit that the experiments belong to
    snapshot: str  # a commit of the tracked files at the start of the sweep
    stages: tuple[str, ...]  # that a point runs, in order
    inputs: tuple[str, ...]  # stages whose outputs these read
    files: tuple[str, ...]  # outputs of these that are in git instead of DVC's cache
    settings: str  # DVC's config.local for the copies
    cores: int  # of each point
    engine: str = ""  # where its points last ran: slurm, ray; empty: this machine
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)  # stages that points do not run -> their outs
    left_to_git: tuple[str, ...] = ()  # outputs of those that are in git


@dataclass
class Run:
    """One training: a point and a seed."""

    point: int
    values: Values
    seed: int
    failure: str = ""  # the message of the last attempt, if it failed


@dataclass
class Sweep:
    """A sweep and its runs by name."""

    name: str
    plan: Plan
    origin: Origin
    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def add_point(self, values: Values, seeds: Sequence[int]) -> None:
        """Add a run of the point for each seed."""
        point = 1 + max((run.point for run in self.runs.values()), default=0)
        for seed in seeds:
            self.runs[f"{self.name}-{len(self.runs) + 1}"] = Run(point, values, seed)

    def points(self) -> dict[int, list[str]]:
        """The names of the runs of each point."""
        found: dict[int, list[str]] = {}
        for name, run in self.runs.items():
            found.setdefault(run.point, []).append(name)
        return found

    def save(self) -> None:
        # A list, since keys of JSON are sorted and runs are not.
        runs = [{"name": name, **asdict(run)} for name, run in self.runs.items()]
        write_json(self.folder / FILE, {"plan": asdict(self.plan), "origin": asdict(self.origin), "runs": runs})


def read_sweep(folder: Path) -> Sweep:
    """The sweep in a folder. Raises UserError if there is none, or another version wrote it."""
    tree = read_json(folder / FILE, "`t2v sweep` writes it")
    try:
        plan = Plan(**{**tree["plan"], "axes": tuple(tree["plan"]["axes"])})
        lists = {key: tuple(tree["origin"][key]) for key in ("stages", "inputs", "files")}
        lists["left_to_git"] = tuple(tree["origin"].get("left_to_git", ()))
        keys = [axis.partition("=")[0] for axis in plan.axes]  # in order, which JSON does not preserve
        runs = {
            run.pop("name"): Run(**run | {"values": {key: run["values"][key] for key in keys}}) for run in tree["runs"]
        }
        return Sweep(folder.name, plan, Origin(**{**tree["origin"], **lists}), runs)
    except (KeyError, TypeError) as error:
        fault = describe_fault(error)
        raise UserError(f"{folder / FILE}: written by another version of t2v ({fault}); use another --name") from None


def list_sweeps() -> list[Sweep]:
    """The sweeps of this project, newest first; those that cannot be read are reported and skipped."""
    found = []
    for path in sorted(FOLDER.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            found.append(read_sweep(path.parent))
        except UserError as error:
            print(f"skipped: {error}", file=sys.stderr)
    return found


@contextmanager
def lock_sweep(folder: Path) -> Iterator[None]:
    """Lock the sweep for this process. Raises UserError if another process runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = try_lock(folder / LOCK)
    if file is None:
        raise UserError(f"{folder}: this sweep is running; wait for it, or use another --name")
    with file:
        yield


def is_taken(folder: Path) -> bool:
    """Whether the sweep exists, or a process is starting it: its record is written after the shared stages have run."""
    if (folder / FILE).exists():
        return True
    if not (folder / LOCK).exists():
        return False
    try:
        with lock_sweep(folder):
            return False
    except UserError:
        return True


class Trial(NamedTuple):
    """A point that was started; its score, the mean over its seeds, is None until all have ended."""

    values: Values
    score: float | None
    ended: bool


class Schedule:
    """Returns the names of runs, each once; `score` returns the metric of a finished run, or None."""

    def __init__(
        self, sweep: Sweep, axes: Sequence[Axis], done: Collection[str], score: Callable[[str], float | None]
    ) -> None:
        self._sweep, self._axes, self._score = sweep, axes, score
        self._waiting = [name for name in sweep.runs if name not in done]
        self._ended = {name for name in sweep.runs if name in done}

    def take(self) -> str | None:
        """The next run; None if there is none at present."""
        if not self._waiting and self._may_choose():
            self._choose()
        return self._waiting.pop(0) if self._waiting else None

    def note_end(self, name: str) -> None:
        """Note that the run has ended, whether it succeeded or not."""
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
    """Raises UserError if Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise UserError(f"--maximise and --minimise need Optuna; {name_install('optuna')}") from None


def suggest_point(axes: Sequence[Axis], trials: Sequence[Trial], count: int, largest: bool, seed: int) -> Values:
    """The next point after `trials`, of `count` in total; deterministic."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    at_random = min(MAX_AT_RANDOM, max(MIN_AT_RANDOM, count // 3))
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

    if isinstance(axis, Choices):  # by index, since Optuna does not support lists
        return CategoricalDistribution(range(len(axis.values)))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _encode(axis: Axis, value: Any) -> Any:
    return axis.values.index(value) if isinstance(axis, Choices) else value


def _decode(axis: Axis, value: Any) -> Any:
    return axis.values[value] if isinstance(axis, Choices) else axis.round(value)
