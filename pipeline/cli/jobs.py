"""A small pool of commands: so many at once, a log file for each, all of them stopped together."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.5  # seconds between two looks at the running jobs
PATIENCE = 120  # seconds that an interrupted training may take to save its state
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


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
