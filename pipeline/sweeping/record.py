"""What a sweep has noted of itself in `runs/sweeps/NAME/sweep.json`: enough to go on after any end."""

import fcntl
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.errors import UserError, describe_fault
from pipeline.files import read_json, write_json
from pipeline.sweeping.axes import Values

FOLDER = Path("runs/sweeps")
FILE = "sweep.json"
LOCK = "lock"


@dataclass(frozen=True)
class Plan:
    """What was asked for; the same plan goes on with a sweep that is not whole."""

    axes: tuple[str, ...]  # as they were written
    points: int | None = None  # that are drawn; None: every combination
    seeds: int = 1
    metric: str = ""  # that the choice of points goes by; empty: none
    largest: bool = True  # whether the largest value of it is sought
    until: str = ""  # the stage that points end with; empty: the last one

    def __str__(self) -> str:
        """As the words of the command."""
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
    """What every point starts from: the same files, whatever becomes of the workspace meanwhile."""

    baseline: str  # the commit that the experiments belong to
    snapshot: str  # the commit of the tracked files as they were when the sweep began
    stages: tuple[str, ...]  # that a point runs, in their order
    inputs: tuple[str, ...]  # stages of which these read products
    files: tuple[str, ...]  # that these write and git keeps, not DVC
    settings: str  # DVC's config.local for the copies
    cores: int  # that each point has
    engine: str = ""  # what its points were last given to: slurm, ray; empty: this machine
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)  # stages that it does not run -> their outs
    left_to_git: tuple[str, ...] = ()  # files that those would write and git keeps


@dataclass
class Run:
    """One training: a point with a seed."""

    point: int
    values: Values
    seed: int
    failure: str = ""  # the message of the last try, if that failed


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
    """The sweep in a folder. Raises UserError where there is none, or it was written by another version."""
    tree = read_json(folder / FILE, "`t2v sweep` writes it")
    try:
        plan = Plan(**{**tree["plan"], "axes": tuple(tree["plan"]["axes"])})
        lists = {key: tuple(tree["origin"][key]) for key in ("stages", "inputs", "files")}
        lists["left_to_git"] = tuple(tree["origin"].get("left_to_git", ()))
        keys = [axis.partition("=")[0] for axis in plan.axes]  # in their order, which JSON does not keep
        runs = {
            run.pop("name"): Run(**run | {"values": {key: run["values"][key] for key in keys}}) for run in tree["runs"]
        }
        return Sweep(folder.name, plan, Origin(**{**tree["origin"], **lists}), runs)
    except (KeyError, TypeError) as error:
        fault = describe_fault(error)
        raise UserError(f"{folder / FILE}: written by another version of t2v ({fault}); use another --name") from None


def list_sweeps() -> list[Sweep]:
    """The sweeps of this project, the newest first; one that cannot be read is reported in a line and passed over."""
    found = []
    for path in sorted(FOLDER.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            found.append(read_sweep(path.parent))
        except UserError as error:
            print(f"passed over: {error}", file=sys.stderr)
    return found


@contextmanager
def lock_sweep(folder: Path) -> Iterator[None]:
    """Hold the sweep for this process alone. Raises UserError while another one runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: this sweep is running; wait for it, or use another --name") from None
        yield
