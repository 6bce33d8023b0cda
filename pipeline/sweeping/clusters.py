"""Runs points of a sweep on this machine, or on a cluster whose nodes share the project's folder.

`python -m pipeline.sweeping.clusters -- CLUSTER FOLDER POINT OPTIONS` submits a point, waits for it and returns its
exit code; stopping this process stops the point. Slurm jobs are found by name, also after the submitting machine was
lost. If the process that waits for a Ray task (the extra `ray`) is gone, Ray ends the process that started the point;
the point then saves and stops.
"""

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.compute import join_cluster, load_ray
from pipeline.errors import Interrupted, UserError, first_line, run
from pipeline.params.base import DEVICES_VARIABLE, VISIBLE_GPUS
from pipeline.sweeping import FILE, Sweep
from pipeline.sweeping.axes import show_point
from pipeline.sweeping.point import CORE_COUNT, Supervisor, build_command
from pipeline.sweeping.pool import PATIENCE, PAUSE, Job, mark

ANSWER_SECONDS = 60  # timeout of Slurm's commands; without a controller, sbatch would retry for many minutes
NOTICE = int(PATIENCE)  # seconds before the time limit at which a training is told to save
NOT_ONE_JOB = ("--array", "--test-only")  # sbatch options with which a point would be several jobs, or none

ADDRESS = "RAY_ADDRESS"
NODE_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU"}  # resource options of a task -> Ray's names of node resources


def check_slurm_jobs(options: Sequence[str]) -> None:
    """Raises UserError if Slurm rejects these options of sbatch, or if they do not give exactly one job per point."""
    for option in options:
        name = option.split("=")[0]
        short = len(name) > len("--") and any(full.startswith(name) for full in NOT_ONE_JOB)  # sbatch accepts prefixes
        if short or option.startswith("-a"):
            raise UserError(f"--job-options {option!r}: each point of a sweep is one job; omit {option}")
    _ask("sbatch", "--test-only", *options, "--wrap=true")


def end_slurm_jobs(folder: Path, names: Collection[str], patience: float) -> None:
    """Cancel pending jobs of these points, interrupt running ones, and cancel the rest after `patience` seconds."""
    if not names:
        return
    jobs = f"--name={','.join(_name_job(folder, name) for name in names)}"
    deadline = time.monotonic() + patience
    announced = False
    while left := _ask("squeue", "--noheader", "--format=%i", jobs).split():
        if time.monotonic() >= deadline:
            _ask("scancel", jobs)
        elif not announced:
            print(f"{folder.name}: jobs {', '.join(left)} are asked to save and stop", file=sys.stderr, flush=True)
            _ask("scancel", "--state=PENDING", jobs)  # Slurm sends signals to running jobs only
            _ask("scancel", "--state=RUNNING", "--signal=INT", jobs)
            announced = True
        time.sleep(PAUSE)


def _run_slurm_job(folder: Path, name: str, options: str) -> None:
    """Run a point as a job, with its output in the point's log, and exit with its exit code."""
    supervisor = Supervisor(end=partial(end_slurm_jobs, folder, [name], PATIENCE))
    log = str((folder / f"{name}.log").resolve()).replace("%", "%%")
    point = shlex.join(build_command(folder, name))
    (variable, value), *_ = mark(folder, name).items()
    script = (
        f'export {CORE_COUNT}="$SLURM_CPUS_ON_NODE" {DEVICES_VARIABLE}="${{{DEVICES_VARIABLE}:-auto}}"; '
        f'exec srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" '
        f"env {shlex.quote(f'{variable}={value}')} {point}"
    )
    submit = ["sbatch", "--wait", "--nodes=1", "--ntasks=1", f"--signal=INT@{NOTICE}", *shlex.split(options)]
    command = [
        *submit,
        f"--job-name={_name_job(folder, name)}",
        f"--output={log}",
        "--open-mode=append",
        f"--wrap={script}",
    ]
    sys.exit(supervisor.call(command, Path.cwd(), dict(os.environ)))


def _name_job(folder: Path, name: str) -> str:
    """The job name of a point: reproducible, and unique to the folder."""
    return f"t2v-{name}-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]}"


def _ask(*command: str) -> str:
    """The output of a Slurm command. Raises UserError if it is missing, times out or fails."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)
    except FileNotFoundError:
        raise UserError(
            f"Slurm: {command[0]} is not on PATH; run the same command on a machine from which jobs are submitted"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"Slurm does not answer `{command[0]}` within {ANSWER_SECONDS} s; is its controller up?"
        ) from None
    if answer.returncode:
        output = " ".join(line.strip() for line in answer.stderr.splitlines() if line.strip())
        raise UserError(f"Slurm refuses `{shlex.join(command)}`: {output}")
    return answer.stdout


def _check_ray_tasks(options: Sequence[str]) -> None:
    """Raises UserError if the cluster does not answer, or no node has the resources of these options."""
    asked = _read_options(options)
    with _joined() as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(NODE_RESOURCES[kind], 0) >= count for kind, count in asked.items()) for node in nodes):
        have = "; ".join(
            ", ".join(f"{kind} {node.get(kind, 0):g}" for kind in NODE_RESOURCES.values()) for node in nodes
        )
        raise UserError(f"--job-options {' '.join(options)}: no node of the Ray cluster has as many; they have: {have}")


def _run_ray_task(folder: Path, name: str, options: str) -> None:
    """Run a point as a task, with its output in the point's log, and exit with its exit code."""
    asked = _read_options(options.split())
    stop = _Stop()
    # CUDA_VISIBLE_DEVICES is of this machine; on the node Ray sets it.
    ours = {key: value for key, value in os.environ.items() if key != VISIBLE_GPUS} | mark(folder, name)
    environment = {DEVICES_VARIABLE: "auto", CORE_COUNT: str(asked["num_cpus"])} | ours
    with _joined() as ray:
        signal.signal(signal.SIGINT, stop.note)  # Ray has replaced the handler
        task = ray.remote(max_retries=0, **asked)(_run_on_node)
        result = task.remote(
            build_command(folder, name), str(Path.cwd()), environment, str((folder / f"{name}.log").resolve())
        )
        code = _wait_for(ray, result, stop)
    if stop.asked:
        raise Interrupted("the point was asked to stop")
    sys.exit(code)


class _Stop:
    """Whether this process was asked to stop: by SIGINT, or because its parent process has ended."""

    def __init__(self) -> None:
        self._parent, self._noted = os.getppid(), False

    def note(self, *_: object) -> None:
        self._noted = True

    @property
    def asked(self) -> bool:
        return self._noted or os.getppid() != self._parent


def _wait_for(ray: Any, result: Any, stop: _Stop) -> int:
    """The exit code of the point; 1 if it was stopped. Raises UserError if its node is lost."""
    deadline = None
    while not ray.wait([result], timeout=PAUSE)[0]:
        if stop.asked and deadline is None:
            deadline = time.monotonic() + PATIENCE + 2 * PAUSE
            ray.cancel(result)  # KeyboardInterrupt on the node
        elif deadline and time.monotonic() > deadline:
            ray.cancel(result, force=True)
    try:
        code: int = ray.get(result)
    except ray.exceptions.RayError as error:
        if stop.asked:
            return 1
        raise UserError(f"Ray has lost the point: {first_line(error)}; run the same command again") from None
    return code


def _run_on_node(command: Sequence[str], folder: str, environment: dict[str, str], log: str) -> int:
    """Run a point on this node -> its exit code. If the task is cancelled, the point saves and stops."""
    seen = {VISIBLE_GPUS: os.environ.get(VISIBLE_GPUS, "")}  # set by Ray
    with Path(log).open("ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env={**environment, **seen}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        while process.poll() is None:
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _read_options(options: Sequence[str]) -> dict[str, float]:
    asked: dict[str, float] = {"num_cpus": 1}
    for option in options:
        kind, _, count = option.partition("=")
        if kind not in NODE_RESOURCES or not count.isdigit():
            raise UserError(f"--job-options {option!r}: a task on Ray asks for num_cpus=4, num_gpus=1 or both")
        asked[kind] = int(count)
    return asked


@contextmanager
def _joined() -> Iterator[Any]:
    """Yield the `ray` module, connected to the cluster. Raises UserError if it is not installed or does not answer."""
    ray = load_ray("--on ray")
    address = os.environ.get(ADDRESS, "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise UserError(f"--on ray: {ADDRESS} is {address!r}; it names the head of a cluster, such as head-node:6379")
    try:
        join_cluster(ray, address)
        yield ray
    finally:
        ray.shutdown()


class Engine(NamedTuple):
    """The operations of a cluster."""

    check: Callable[[Sequence[str]], None]  # raises UserError if jobs with these options would be rejected
    run: Callable[[Path, str, str], None]  # runs a point with options; exits with its code
    end: Callable[[Path, Collection[str], float], None]  # ends jobs of points, after seconds to save


ENGINES = {
    "slurm": Engine(check_slurm_jobs, _run_slurm_job, end_slurm_jobs),
    "ray": Engine(_check_ray_tasks, _run_ray_task, lambda *_: None),  # Ray ends the tasks of lost processes
}


def _find_engine(sweep: Sweep) -> Engine | None:
    """The cluster on which the points of a sweep last ran; None: this machine. Raises UserError if it is unknown."""
    name = sweep.origin.engine
    if name and name not in ENGINES:
        raise UserError(
            f"{sweep.folder / FILE}: its points run on {name!r}, which this version of t2v does not support "
            f"({', '.join(ENGINES)}); continue with the version that started it, or use another --name"
        )
    return ENGINES[name] if name else None


def check_cluster(on: str, options: str) -> None:
    """Check the options of a cluster before anything runs. Raises UserError."""
    if on and on not in ENGINES:
        raise UserError(f"--on {on}: points run on {', '.join(ENGINES)}, or without --on on this machine")
    if options and not on:
        raise UserError("--job-options are for the jobs of a cluster; name it: --on " + " | ".join(ENGINES))
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise UserError(f"--job-options {options!r}: {error}") from None
    if on:
        ENGINES[on].check(words)


def end_jobs(sweep: Sweep, runs: Collection[str], patience: float) -> None:
    """End jobs of these runs on the cluster where they last ran, after `patience` seconds to save."""
    if engine := _find_engine(sweep):
        engine.end(sweep.folder, runs, patience)


def make_job(sweep: Sweep, name: str, recorded: bool = False, options: str = "") -> Job:
    """The process that trains a run, or waits for its job on a cluster, with its log in the sweep's folder."""
    seed = {"seed": sweep.runs[name].seed} if sweep.plan.seeds > 1 else {}
    title = show_point({**sweep.runs[name].values, **seed})
    log = sweep.folder / f"{name}.log"
    if _find_engine(sweep):
        command = [sys.executable, "-m", __name__, "--", sweep.origin.engine, str(sweep.folder), name, options]
        return Job(name, title, command, log, recorded, partial(end_jobs, sweep, [name], 0.0))
    return Job(name, title, build_command(sweep.folder, name), log, recorded)


def main(engine: str, folder: Path, name: str, options: str) -> None:
    """Run a point on a cluster and exit with its exit code."""
    ENGINES[engine].run(folder, name, options)


if __name__ == "__main__":
    run(main)
