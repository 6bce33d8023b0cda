"""`t2v sweep`: train one model per point of a grid of params, several at a time, each with a log file of its own."""

import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.errors import Interrupted, UserError
from pipeline.params import check_params, load_params
from pipeline.repository import child_environment, git, require_git

PAUSE = 0.5  # seconds between two looks at the running jobs
PATIENCE = 120  # seconds that an interrupted training may take to save its state
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

FOLDER = Path("runs/sweeps")
PARAMS = Path("params.yaml")


@dataclass
class Job:
    """One command, from waiting to its end."""

    name: str
    title: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    slot: int = 0  # which of the pool's places it runs in
    began: float = 0.0
    seconds: float = 0.0

    @property
    def state(self) -> str:
        """waiting, running, done, or failed with its exit code."""
        if self.process is None:
            return "waiting"
        code = self.process.returncode
        return "running" if code is None else "done" if code == 0 else f"failed ({code})"

    @property
    def ended(self) -> bool:
        """Whether it ran and is over."""
        return self.process is not None and self.process.returncode is not None

    def last_line(self) -> str:
        """The last line of its log that says something."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            text = ANSI.sub("", file.read().decode("utf-8", "replace"))
        lines = [line.strip() for line in re.split(r"[\r\n]", text)]
        return next((line for line in reversed(lines) if line), "")


def run_jobs(jobs: Sequence[Job], environments: Sequence[dict[str, str]], on_change: Callable[[Job], None]) -> None:
    """Run the jobs, at most one per environment at a time; `on_change` hears of each start and end.

    A KeyboardInterrupt passes to every job that runs, and on when all of them have ended.
    """
    free = list(range(len(environments)))
    waiting = list(jobs)
    running: list[Job] = []
    try:
        while waiting or running:
            while waiting and free:
                job = waiting.pop(0)
                job.slot = free.pop(0)
                running.append(job)  # before it starts: a Ctrl-C in between would leave it running
                _start(job, environments[job.slot])
                on_change(job)
            time.sleep(PAUSE)
            for job in running:
                if _look(job):
                    free.append(job.slot)
                    on_change(job)
            running = [job for job in running if not job.ended]
    finally:
        _stop([job for job in running if job.process is not None])


def _start(job: Job, environment: dict[str, str]) -> None:
    with job.log.open("wb") as log:
        # A session of its own: Ctrl-C reaches it once, from us, and with it all that it has started.
        job.process = subprocess.Popen(
            job.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    job.began = time.monotonic()


def _look(job: Job) -> bool:
    """Whether the job has ended, with its time brought up to date."""
    assert job.process is not None
    job.seconds = time.monotonic() - job.began
    return job.process.poll() is not None


def _stop(running: Sequence[Job]) -> None:
    """Interrupt the jobs as Ctrl-C would and wait; a second Ctrl-C, or too long a wait, kills them.

    SIGTERM would not do: `dvc` leaves its temporary folder, and the experiment shows as running for ever.
    """
    _send(running, signal.SIGINT)
    if running:
        print("stopping: waiting until the running points have saved (Ctrl-C again to kill them)", file=sys.stderr)
    try:
        deadline = time.monotonic() + PATIENCE
        while [job for job in running if not _look(job)] and time.monotonic() < deadline:
            time.sleep(PAUSE)
    finally:
        _send([job for job in running if not job.ended], signal.SIGKILL)


def _send(jobs: Sequence[Job], number: signal.Signals) -> None:
    for job in jobs:
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, number)


@dataclass(frozen=True)
class Point:
    """One combination: pairs of a dotted key of params.yaml and its value."""

    values: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.values)

    def overrides(self) -> list[str]:
        """The point as arguments of `dvc exp run`. JSON is quoted as its grammar wants; `++` also adds a new key."""
        settings = [f"++{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.values]
        return [word for setting in settings for word in ("-S", setting)]


def read_points(arguments: Sequence[str], tree: Any) -> list[Point]:
    """All combinations of the arguments' values over the params `tree`. Raises UserError for a value it refuses."""
    axes = [_read_axis(argument) for argument in arguments]
    keys = [key for key, _ in axes]
    if len(set(keys)) != len(keys):
        raise UserError(f"{max(keys, key=keys.count)} is given twice; write its values in one list: KEY=1,2")
    combinations = itertools.product(*(values for _, values in axes))
    points = [Point(tuple(zip(keys, values, strict=True))) for values in combinations]
    for point in points:
        check_params(_changed(tree, point), f"params.yaml with {point}")
    return points


def _read_axis(argument: str) -> tuple[str, list[Any]]:
    key, equals, text = argument.partition("=")
    if not (equals and text and all(key.split("."))):
        raise UserError(f"{argument!r} is no axis; write KEY=VALUE,VALUE such as train.penalties.r1=0.1,1,10")
    try:
        values: list[Any] = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        raise UserError(f"{argument!r}: the values are not a list of YAML values; put brackets in quotes") from None
    if any(isinstance(value, dict) for value in values):
        raise UserError(f"{argument!r}: `-S` would mix sections instead of replacing them; name the key within")
    if any(value in values[:place] for place, value in enumerate(values)):
        raise UserError(f"{argument!r}: a value is given twice")
    return key, values


def _changed(tree: Any, point: Point) -> Any:
    changed = copy.deepcopy(tree)
    for key, value in point.values:
        *sections, last = key.split(".")
        place = changed
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"{key}: {section} is a value, no section; see params.yaml")
        place[last] = value
    return changed


def run_shared_stages(keys: Sequence[str], environment: dict[str, str]) -> None:
    """`dvc repro` of the stages that no change of the params `keys` reaches. Raises UserError if one fails."""
    stages = shared_stages(keys)
    if not stages:
        return
    print(f"what all points share: {', '.join(stages)}", flush=True)
    if subprocess.run([sys.executable, "-m", "dvc", "repro", *stages], env=environment, check=False).returncode:
        raise UserError("a stage that all points share has failed (see above), so none was started")


def shared_stages(keys: Sequence[str]) -> list[str]:
    """Names of the stages that neither read one of the params `keys` nor follow one that does."""
    import networkx  # these two take a second, which `t2v --help` need not wait for
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph  # from a stage to the stages that it needs
        ours = {stage for stage in graph if stage.path_in_repo == "dvc.yaml"}
        needed = ours.union(*(networkx.descendants(graph, stage) for stage in ours))  # the demo only while it is used
        touched = {stage for stage in graph if any(_overlap(key, read) for key in keys for read in _list_params(stage))}
        reached = touched.union(*(networkx.ancestors(graph, stage) for stage in touched))
        return [stage.addressing for stage in networkx.dfs_postorder_nodes(graph) if stage in needed - reached]


def _list_params(stage: Any) -> list[str]:
    return [name for dependency in stage.params for name in dependency.params]


def _overlap(key: str, read: str) -> bool:
    """Whether one dotted name is the other or lies within it."""
    return f"{key}.".startswith(f"{read}.") or f"{read}.".startswith(f"{key}.")


def sweep(
    axes: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE,VALUE...", help="such as train.penalties.r1=0.1,1,10")
    ],
    jobs: Annotated[int, typer.Option(min=1, help="points at a time; each gets its share of the GPUs")] = 1,
    name: Annotated[str, typer.Option(help="the sweep's name; else the first free of sweep-1, sweep-2, ...")] = "",
) -> None:
    """Train one model per combination of values, each as a DVC experiment.

    Tracked files go as they are, committed or not; new files only after `git add`. The workspace's params.yaml stays
    as it is. An interrupted point goes on where it was when the same sweep is given again.
    """
    load_params(PARAMS)
    require_git()
    points = read_points(axes, yaml.safe_load(PARAMS.read_text(encoding="utf-8")))
    folder = FOLDER / _free_name(name)
    environments = device_environments(min(jobs, len(points)))
    run_shared_stages([key for key, _ in points[0].values], environments[0])
    folder.mkdir(parents=True)
    work = [make_job(folder, number, point) for number, point in enumerate(points, start=1)]
    try:
        _run(work, environments)
    except KeyboardInterrupt:
        done = f"{sum(job.state == 'done' for job in work)} of {len(work)} points are done, the others have saved"
        raise Interrupted(f"{done}{' (under another --name)' if name else ''}") from None
    failed = [job for job in work if job.state != "done"]
    for job in failed:
        print(f"{job.name} {job.title}: {job.state}; its log is {job.log}", file=sys.stderr)
    print("see them all:      dvc exp show --only-changed")
    print("take one over:     dvc exp apply NAME   (commit first: it drops uncommitted edits without a word)")
    if failed:
        raise typer.Exit(1)


def make_job(folder: Path, number: int, point: Point) -> Job:
    """The command that runs one point as an experiment `<sweep>-<number>`, with its log in the sweep's folder."""
    name = f"{folder.name}-{number}"
    run = [sys.executable, "-m", "dvc", "--wait-for-lock", "exp", "run", "--temp", "--name", name]
    return Job(name, str(point), [*run, *point.overrides()], folder / f"{name}.log")


def device_environments(jobs: int) -> list[dict[str, str]]:
    """One environment per place in the pool; the GPUs that `devices` names are dealt out evenly between them."""
    environment = child_environment()
    if jobs == 1:
        return [environment]
    from pipeline.distributed.devices import VARIABLE, parse_devices  # brings torch, which takes seconds

    gpus = [device.index for device in parse_devices(load_params(PARAMS).devices) if device.type == "cuda"]
    return [environment | ({VARIABLE: places} if places else {}) for places in deal(gpus, jobs)]


def deal(gpus: Sequence[int], jobs: int) -> list[str]:
    """Each job's GPUs as T2V_DEVICES takes them; equally many for all, shared where there are fewer than jobs.

    Equally many, since the order of sums depends on the number of devices.
    """
    if not gpus:
        return [""] * jobs
    each = max(1, len(gpus) // jobs)
    return [",".join(str(gpus[(job * each + place) % len(gpus)]) for place in range(each)) for job in range(jobs)]


def _free_name(name: str) -> str:
    refs = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split()
    taken = {ref.rpartition("-")[0] for ref in refs} | {path.name for path in FOLDER.glob("*")}
    if name and name in taken:
        raise UserError(f"--name {name}: there is such a sweep already; choose another name")
    if name and git("check-ref-format", f"refs/exps/{name}").returncode:
        raise UserError(f"--name {name}: cannot be part of a git name; use letters, digits and hyphens")
    return name or next(free for free in map("sweep-{}".format, range(1, len(taken) + 2)) if free not in taken)


def _run(work: Sequence[Job], environments: Sequence[dict[str, str]]) -> None:
    """Run the pool with a live table on a terminal, a line per start and end elsewhere."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # they too should stop the points that run
    console = Console()
    if not console.is_terminal:
        run_jobs(work, environments, lambda job: print(f"{job.name} {job.title}: {job.state}; {job.log}", flush=True))
        return
    with Live(get_renderable=lambda: table(work), console=console, refresh_per_second=2):
        run_jobs(work, environments, lambda _: None)


def table(work: Sequence[Job]) -> Table:
    """The jobs as they stand."""
    drawn = Table("experiment", "point", "state", "time", "last line of its log", expand=True)
    for job in work:
        minutes, seconds = divmod(int(job.seconds), 60)
        drawn.add_row(job.name, job.title, job.state, f"{minutes}:{seconds:02}", job.last_line()[-60:])
    return drawn
