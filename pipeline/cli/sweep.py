"""`t2v sweep`: trains one model per point and seed, several at a time, resumable; `t2v sweep report`."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from typer.core import TyperGroup

from pipeline.cli.prepare import find_remote_fault
from pipeline.cli.sweep_report import report
from pipeline.cli.sweep_stages import SweptStages, run_shared_stages, settings_for_copies, split_stages
from pipeline.errors import Interrupted, UserError, spell_count, suggest_name
from pipeline.params import load_params, read_yaml
from pipeline.params.base import DEVICES_VARIABLE, VISIBLE_GPUS
from pipeline.repository import child_environment, git, require_git
from pipeline.sweeping import (
    FOLDER,
    Origin,
    Plan,
    Schedule,
    Sweep,
    is_taken,
    list_sweeps,
    lock_sweep,
    read_sweep,
    require_optuna,
)
from pipeline.sweeping.axes import Axis, check_axes, check_point, combine, draw_points, read_axes
from pipeline.sweeping.clusters import ENGINES, check_cluster, end_jobs, make_job
from pipeline.sweeping.point import (
    CORES,
    METRICS,
    SEED,
    differ,
    find_experiments,
    keep_snapshot,
    read_metrics,
    take_snapshot,
)
from pipeline.sweeping.pool import PATIENCE, Job, SlotQueue, Slots, end_processes, run_jobs

PARAMS = Path("params.yaml")
MAX_GPUS = 64  # of one machine


class Commands(TyperGroup):
    """`t2v sweep KEY=...` runs a sweep; only `report` is a sub-command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] in (["report"], ["run"]) else ["run", *args])


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None)


@app.callback()
def sweep() -> None:
    """Train one model per point, and report what differs."""


AxesArgument = Annotated[
    list[str],
    typer.Argument(metavar="KEY=VALUE,VALUE...", help="such as train.penalties.r1=0.1,1,10; a range: 0.1..10.0:log"),
]
PointsOption = Annotated[
    int | None, typer.Option(min=1, help="number of points, chosen at random, instead of all combinations")
]
JobOptions = Annotated[str, typer.Option(help="resources that each job requests; see docs/how-to/sweep-a-param.md")]


@app.command()
def run(
    axes: AxesArgument,
    jobs: Annotated[
        int, typer.Option(min=1, help="points to train at a time, each with its share of the cores or GPUs")
    ] = 1,
    name: Annotated[
        str, typer.Option(help="name of the sweep [default: the first free of sweep-1, sweep-2, ...]")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each point, with different training_seed")] = 1,
    points: PointsOption = None,
    maximise: Annotated[
        str, typer.Option(metavar="METRIC", help="choose the --points with Optuna to maximise this metric")
    ] = "",
    minimise: Annotated[str, typer.Option(metavar="METRIC", help="the same, to minimise it")] = "",
    until: Annotated[str, typer.Option(metavar="STAGE", help="last stage that points run, such as evaluate")] = "",
    on: Annotated[
        str, typer.Option(metavar="CLUSTER", help=f"run points as jobs of a cluster: {' | '.join(ENGINES)}")
    ] = "",
    job_options: JobOptions = "",
) -> None:
    """Train one model per point and seed, each as a DVC experiment; `t2v sweep report NAME` shows what differs.

    The same command resumes a sweep that was stopped or killed: finished runs are kept, interrupted ones continue from
    their checkpoints. Points run in copies of the tracked files, committed or not, from the start of the sweep; new
    files are included only after `git add`.

    Example: t2v sweep train.penalties.r1=0.1,1,10 --seeds 3 --name weights
    """
    plan = Plan(tuple(axes), points, seeds, maximise or minimise, bool(maximise) or not minimise, until)
    params = load_params(PARAMS)
    require_git()
    read = read_axes(plan.axes)
    check_plan(plan, read, both=bool(maximise and minimise))
    check_cluster(on, job_options)
    seed = params.seed if params.training_seed is None else params.training_seed
    with hold_sweep(plan, read, name, seed, jobs) as found:
        end_jobs(found, found.runs, PATIENCE)  # left by a killed call
        end_processes(found.folder, patience=PATIENCE)
        continue_sweep(found, read, jobs, on, job_options)


app.command()(report)


def check_plan(plan: Plan, axes: Sequence[Axis], both: bool) -> None:
    """Check the plan before anything runs. Raises UserError if it would fail later."""
    if both or (plan.metric and plan.points is None):
        raise UserError("give either --maximise METRIC or --minimise METRIC, and the number of --points")
    if plan.seeds > 1 and any(axis.key == SEED for axis in axes):
        raise UserError(f"--seeds sets {SEED}, which is also an axis of the sweep; remove one of them")
    check_axes(axes, read_yaml(PARAMS))
    if plan.points is None:
        combine(axes)
    if plan.metric:
        require_optuna()
        known = read_metrics("HEAD")
        valued = [name for name, value in known.items() if value is not None]
        if known and plan.metric not in known:
            raise UserError(f"{plan.metric}: no such metric in metrics.json{suggest_name(plan.metric, valued)}")
        if known and plan.metric not in valued:
            raise UserError(
                f"{plan.metric}: has no value in metrics.json of the last commit; choose another metric, or let "
                "`dvc repro evaluate` measure it and commit that file"
            )


@contextmanager
def hold_sweep(plan: Plan, axes: Sequence[Axis], name: str, seed: int, jobs: int) -> Iterator[Sweep]:
    """Yield the sweep that this call resumes, or a new one, locked for this process.

    A new one is locked already while its shared stages run, so that no other sweep takes its name.
    """
    found = find_sweep(plan, name)
    with ExitStack() as held:
        if found:
            held.enter_context(lock_sweep(found.folder))
            yield read_sweep(found.folder)  # the process that held the lock may have added points meanwhile
        else:
            stages = choose_stages(plan, axes)
            yield begin_sweep(plan, axes, stages, _lock_new_sweep(name, held), seed, jobs)


def _lock_new_sweep(name: str, held: ExitStack) -> str:
    """Lock the folder of a new sweep -> its name, which is another one if a sweep that starts meanwhile takes it."""
    while True:
        free = find_free_name(name)
        try:
            held.enter_context(lock_sweep(FOLDER / free))
        except UserError:
            if name:
                raise
        else:
            return free


def find_sweep(plan: Plan, name: str) -> Sweep | None:
    """The sweep that this call resumes, if there is one. Raises UserError if the name belongs to another sweep."""
    known = {sweep.name: sweep for sweep in list_sweeps()}
    if not known:
        return None
    now = take_snapshot()[1]
    if name in known:
        if known[name].plan != plan:
            raise UserError(
                f"--name {name}: this sweep already exists, of {known[name].plan}; choose another name, "
                "or repeat its command to resume it"
            )
        if differ(known[name].origin.snapshot, now):
            print(f"{name} resumes with the files as they were at its start; use another --name for the current ones")
        return known[name]
    equal = [sweep for sweep in known.values() if not name and sweep.plan == plan]
    return next((sweep for sweep in equal if not differ(sweep.origin.snapshot, now)), None)


def choose_stages(plan: Plan, axes: Sequence[Axis]) -> SweptStages:
    """The stages that points share, and those that they run. Raises UserError if those do not suit the plan."""
    stages = split_stages([axis.key for axis in axes] + ([SEED] if plan.seeds > 1 else []), plan.until)
    if not stages.swept:
        raise UserError(f"no stage depends on {', '.join(axis.key for axis in axes)}: all points would be the same")
    if plan.metric and METRICS not in stages.kept_by_git:
        raise UserError(f"points are chosen by {plan.metric}, but none of {', '.join(stages.swept)} writes {METRICS}")
    return stages


def begin_sweep(plan: Plan, axes: Sequence[Axis], stages: SweptStages, name: str, seed: int, jobs: int) -> Sweep:
    """Run the shared stages, and record what the points start from."""
    run_shared_stages(stages.shared, child_environment())
    baseline, snapshot = take_snapshot()
    keep_snapshot(name, snapshot)
    cores = max(1, len(os.sched_getaffinity(0)) // jobs)
    swept, inputs, files, unwritten = map(tuple, (stages.swept, stages.inputs, stages.kept_by_git, stages.left_to_git))
    origin = Origin(
        baseline, snapshot, swept, inputs, files, "", cores, left_out=stages.left_out, left_to_git=unwritten
    )
    begun = Sweep(name, plan, origin)
    at_first, tree = 1 if plan.metric else plan.points, read_yaml(PARAMS)
    for point in combine(axes) if at_first is None else draw_points(axes, at_first, seed):
        check_point(point, tree)
        begun.add_point(point, range(seed, seed + plan.seeds))
    begun.save()
    return begun


def continue_sweep(found: Sweep, axes: Sequence[Axis], jobs: int, on: str, options: str) -> None:
    """Run the unfinished trainings. Exits with code 1 if one failed; raises Interrupted if stopped."""
    # The project may have been moved, and a sweep may change between a cluster and this machine.
    found.origin = replace(found.origin, settings=settings_for_copies(), engine=on)
    found.save()
    done = find_experiments()
    schedule = Schedule(found, axes, done, lambda run: read_metric(run, found.plan.metric))
    make = partial(make_job, found, options=options)
    work = {run: make(run, recorded=run in done) for run in found.runs}

    def take() -> Job | None:
        run = schedule.take()
        return None if run is None else work.setdefault(run, make(run))

    def note(job: Job) -> None:
        if job.ended:
            schedule.note_end(job.name)
            found.runs[job.name].failure = job.message() if job.failed else ""
            found.save()

    try:
        run_pool(work, take, jobs, SlotQueue("job", [], 0) if on else _list_devices(found, jobs), note)
    except KeyboardInterrupt:
        kept = sum(job.state in ("done", "done before") for job in work.values())
        raise Interrupted(f"{kept} of {len(work)} runs are done, the others have saved their state") from None
    _report_end(found, work)


def _report_end(found: Sweep, work: Mapping[str, Job]) -> None:
    """Print the failures with reasons, and how to resume."""
    failed = [job for job in work.values() if job.failed]
    for job in failed:
        print(f"{job.name} {job.title}: {job.state}: {job.message()}; its log is {job.log}", file=sys.stderr)
    if fault := find_remote_fault():
        print(f"note: {fault}", file=sys.stderr)
    print(f"compare points:    t2v sweep report {found.name}")
    print("list all runs:     dvc exp show --only-changed")
    print("apply one:         dvc exp apply NAME   (commit first: it silently discards uncommitted changes)")
    if found.origin.left_out:
        print(f"run the rest:      dvc repro, after dvc exp apply   ({', '.join(found.origin.left_out)})")
    if failed:
        raise typer.Exit(1)


def _list_devices(found: Sweep, jobs: int) -> SlotQueue:
    """The devices to assign to runs: shares of the GPUs in `devices`, else as many cores as at the sweep's start."""
    from pipeline.distributed import parse_devices  # imports torch, which takes seconds

    devices = parse_devices(load_params(PARAMS).devices)
    gpus = [_list_gpus()[device.index] for device in devices if device.type == "cuda"]
    if gpus:
        if jobs > len(gpus):
            print(f"--jobs {jobs} on {spell_count(len(gpus), 'GPU')}: one run per GPU at a time")
        return SlotQueue("gpu", gpus, max(1, len(gpus) // jobs))
    cores = sorted(os.sched_getaffinity(0))
    return SlotQueue("core", [str(core) for core in cores], min(found.origin.cores, len(cores)))


def describe_slots(slots: Slots) -> dict[str, str]:
    """The environment variables of a run with these devices."""
    if slots.kind == "core":
        return child_environment() | {CORES: ",".join(slots.names)}
    if not slots.names:
        return child_environment()
    gpus = _list_gpus()
    return child_environment() | {DEVICES_VARIABLE: ",".join(str(gpus.index(name)) for name in slots.names)}


def _list_gpus() -> list[str]:
    """The names of the GPUs by torch's index, which counts those in CUDA_VISIBLE_DEVICES."""
    visible = [name.replace("/", "-") for name in os.environ.get(VISIBLE_GPUS, "").split(",") if name]
    return visible or [str(index) for index in range(MAX_GPUS)]


def read_metric(run: str, metric: str) -> float | None:
    """A metric of a finished run; None if it has none, or the run has failed."""
    commit = find_experiments().get(run)
    return read_metrics(commit).get(metric) if commit else None


def find_free_name(name: str) -> str:
    """The name if it is free, else with the first free number. Raises UserError if it is invalid."""
    taken = {run.rpartition("-")[0] for run in find_experiments()} | {
        path.name for path in FOLDER.glob("*") if is_taken(path)
    }
    if name and name in taken:
        raise UserError(f"--name {name}: experiments of that name already exist; choose another name")
    parted = {"/", ","} & set(name)  # valid in git, but not in a folder name or a list of Slurm jobs
    if name and (parted or git("check-ref-format", f"refs/exps/{name}").returncode):
        raise UserError(f"--name {name}: not a valid name for experiments; use letters, digits and hyphens")
    return name or next(free for free in map("sweep-{}".format, range(1, len(taken) + 2)) if free not in taken)


def run_pool(
    work: Mapping[str, Job], take: Callable[[], Job | None], jobs: int, slots: SlotQueue, note: Callable[[Job], None]
) -> None:
    """Run the pool with a live table on a terminal, otherwise with a line per start and end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup, so that a logout does not stop it
            signal.signal(number, signal.default_int_handler)  # these signals stop the running points, too
    console = Console()
    if console.is_terminal:
        with Live(get_renderable=lambda: draw_table(list(work.values())), console=console, refresh_per_second=2):
            run_jobs(take, jobs, slots, describe_slots, note)
        return

    def tell(job: Job) -> None:
        note(job)
        print(f"{job.name} {job.title}: {job.state}; {job.log}", flush=True)

    if recorded := sum(job.recorded for job in work.values()):
        print(f"{recorded} of {len(work)} runs are done already", flush=True)
    run_jobs(take, jobs, slots, describe_slots, tell)


def draw_table(work: Sequence[Job]) -> Table:
    """A table of the jobs and their states."""
    drawn = Table("experiment", "point", "state", "time", "last line of the log", expand=True)
    for job in work:
        minutes, seconds = divmod(int(job.seconds), 60)
        drawn.add_row(job.name, job.title, job.state, f"{minutes}:{seconds:02}", job.last_line()[-60:])
    return drawn
