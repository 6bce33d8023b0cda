"""Points as jobs of Slurm on nodes that share the project's folder.

`python -m pipeline.sweeping.slurm -- FOLDER NAME OPTIONS` waits for the job and ends as it ends; when it is stopped,
so is the job. Jobs are found by their names, so that those of a sweep whose machine was lost are found as well.
"""

import hashlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from pipeline.errors import UserError, run
from pipeline.params.base import DEVICES_VARIABLE
from pipeline.sweeping.point import CORE_COUNT, Supervisor, build_command
from pipeline.sweeping.pool import PATIENCE, PAUSE, mark

ANSWER_SECONDS = 60  # that Slurm may take for an answer; without its controller, sbatch would try for many minutes
NOTICE = int(PATIENCE)  # seconds before its time is over in which a training saves
NOT_ONE_JOB = ("--array", "--test-only")  # options of sbatch that make several jobs of a point, or none


def check_jobs(options: Sequence[str]) -> None:
    """Raises UserError where Slurm would not take a job with these options of sbatch, or more or less than one."""
    for option in options:
        name = option.split("=")[0]
        short = len(name) > len("--") and any(full.startswith(name) for full in NOT_ONE_JOB)  # sbatch takes beginnings
        if short or option.startswith("-a"):
            raise UserError(f"--job-options {option!r}: each point of a sweep is one job; leave {option} out")
    _ask("sbatch", "--test-only", *options, "--wrap=true")


def end_slurm_jobs(folder: Path, names: Collection[str], patience: float) -> None:
    """Cancel the jobs of these points that wait, interrupt those that run, and end what is left after `patience`."""
    if not names:
        return
    jobs = f"--name={','.join(_name_job(folder, name) for name in names)}"
    deadline = time.monotonic() + patience
    told = False
    while left := _ask("squeue", "--noheader", "--format=%i", jobs).split():
        if time.monotonic() >= deadline:
            _ask("scancel", jobs)
        elif not told:
            print(f"{folder.name}: jobs {', '.join(left)} are asked to save and stop", file=sys.stderr, flush=True)
            _ask("scancel", "--state=PENDING", jobs)  # Slurm passes signals to jobs that run alone
            _ask("scancel", "--state=RUNNING", "--signal=INT", jobs)
            told = True
        time.sleep(PAUSE)


def main(folder: Path, name: str, options: str) -> None:
    """Run a point as a job and end with its exit code; what it prints goes to the point's log."""
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
    """The same for every call, and of no other folder."""
    return f"t2v-{name}-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]}"


def _ask(*command: str) -> str:
    """What a command of Slurm prints. Raises UserError where it is not there, does not answer, or fails."""
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
        told = " ".join(line.strip() for line in answer.stderr.splitlines() if line.strip())
        raise UserError(f"Slurm refuses `{shlex.join(command)}`: {told}")
    return answer.stdout


if __name__ == "__main__":
    run(main)
