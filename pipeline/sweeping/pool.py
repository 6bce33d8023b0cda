"""A pool of points: several at a time, each in its own process with a log file, stopped together.

Each core and each GPU of this machine is assigned to one point at a time, over all sweeps of this user, by a lock file
per device. Locks are released when the processes that hold them end, in whatever way.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil

from pipeline.files import try_lock

SLOT_FOLDER = Path(os.environ.get("T2V_SLOTS") or Path(tempfile.gettempdir()) / f"t2v-slots-{os.getuid()}")
TURN = "turn"

POINT = "T2V_POINT"  # the sweep's folder and the point's name
PAUSE = 0.5  # polling interval, seconds
PATIENCE = 120.0  # seconds for an interrupted training to save its state

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TAIL = 1 << 14  # bytes at the end of a log that are searched for its message


class Slots:
    """Devices, each held by an open lock file."""

    def __init__(self, kind: str, files: dict[str, TextIO]) -> None:
        self.kind, self.names, self._files = kind, tuple(files), files

    def descriptors(self) -> list[int]:
        """The file descriptors that a child process must inherit to hold them."""
        return [file.fileno() for file in self._files.values()]

    def release(self) -> None:
        """Close the files in this process."""
        for file in self._files.values():
            file.close()


class SlotQueue:
    """Assigns `each` devices of the given `names` at a time. Sweeps take turns, so that none starves."""

    def __init__(self, kind: str, names: Sequence[str], each: int, folder: Path = SLOT_FOLDER) -> None:
        self.kind, self.names, self.each, self.folder = kind, names, each, folder
        self._turn: TextIO | None = None
        self._held: dict[str, TextIO] = {}

    def take(self) -> Slots | None:
        """Free devices; None if there are too few at present. Does not wait."""
        if not self.each:
            return Slots(self.kind, {})
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._turn = self._turn or self._try_lock(TURN)
        if self._turn is None:  # another sweep is already waiting
            return None
        for name in self.names:
            if len(self._held) < self.each and name not in self._held and (file := self._try_lock(name)):
                self._held[name] = file
        if len(self._held) < self.each:
            return None
        slots = Slots(self.kind, {name: self._held[name] for name in self.names if name in self._held})
        self._turn.close()
        self._turn, self._held = None, {}
        return slots

    def leave(self) -> None:
        """Release the devices collected so far, and the turn."""
        for file in [*self._held.values(), *filter(None, [self._turn])]:
            file.close()
        self._turn, self._held = None, {}

    def _try_lock(self, name: str) -> TextIO | None:
        return try_lock(self.folder / f"{self.kind}-{name}")


def mark(folder: Path, name: str) -> dict[str, str]:
    """The environment variable by which the processes of a point are found."""
    return {POINT: str(folder.resolve() / name)}


def find_processes(folder: Path, name: str = "") -> list[psutil.Process]:
    """The processes of a point of the sweep in `folder`, or of all its points, except this process."""
    sought = f"{folder.resolve()}/{name}"
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            value = process.environ().get(POINT, "")
            if (value == sought if name else value.startswith(sought)) and process.pid != os.getpid():
                found.append(process)
    return found


def end_processes(folder: Path, name: str = "", patience: float = 0.0) -> None:
    """Kill the processes of a point, or of all points, that have not ended after `patience` seconds."""
    deadline = time.monotonic() + patience
    announced = False
    while left := find_processes(folder, name):
        if time.monotonic() >= deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
        elif not announced:
            print(f"{folder.name}: {len(left)} processes of it are still saving; waiting for them", file=sys.stderr)
            announced = True
        psutil.wait_procs(left, timeout=PAUSE)


@dataclass
class Job:
    """A command and its state."""

    name: str
    title: str
    command: Sequence[str]
    log: Path
    recorded: bool = False  # done by an earlier call
    elsewhere: Callable[[], object] | None = None  # ends what runs on other machines; None: it runs here
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    seconds: float = 0.0

    @property
    def state(self) -> str:
        """waiting, running, done, or failed with its exit code."""
        if self.process is None:
            return "done before" if self.recorded else "waiting"
        code = self.process.returncode
        return "running" if code is None else "done" if code == 0 else f"failed ({code})"

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self.process is not None and self.process.returncode is not None

    @property
    def mark(self) -> str:
        """The name by which its process is found; not the point's own if that runs on a cluster, maybe on this host."""
        return f"{self.name}@" if self.elsewhere else self.name

    @property
    def failed(self) -> bool:
        return self.state.startswith("failed")

    def last_line(self) -> str:
        """The last non-empty line of its log."""
        return next(reversed(self._tail()), "")

    def message(self) -> str:
        """Why it failed: the error message of a stage, else of DVC, else the last line before DVC's report."""
        lines = self._tail()
        named = [line for line in lines if line.startswith("error:")]
        before = list(itertools.takewhile(lambda line: not line.startswith("ERROR:"), lines))
        own = [line for line in lines[len(before) :][:1] if "failed to run:" not in line]
        return next((some[-1] for some in (named, own, before, lines) if some), "")

    def _tail(self) -> list[str]:
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL))
            text = ANSI.sub("", file.read().decode("utf-8", "replace"))
        return [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]


def run_jobs(
    take: Callable[[], Job | None],
    limit: int,
    slots: SlotQueue,
    environment: Callable[[Slots], Mapping[str, str]],
    on_change: Callable[[Job], None],
) -> None:
    """Run the jobs from `take`, until it returns None while none runs; `on_change` is called at each start and end.

    At most `limit` run at a time, each on its own devices. A KeyboardInterrupt is forwarded to all running jobs, and
    raised again when they have ended.
    """
    running: list[Job] = []
    job: Job | None = None
    announced = False  # whether waiting for devices was reported
    try:
        while (job := job or (take() if len(running) < limit else None)) or running:
            if job and len(running) < limit and (lent := slots.take()):
                running.append(job)  # before the start, so that Ctrl-C in between does not leave it running
                _start(job, lent, environment(lent))
                on_change(job)
                job = None
                continue
            if job and not running and not announced:
                print("waiting: another sweep of yours has the cores or GPUs that are needed", file=sys.stderr)
                announced = True
            time.sleep(PAUSE)
            for one in running:
                if _look(one):
                    _clear(one)
                    on_change(one)
            running = [one for one in running if not one.ended]
    finally:
        slots.leave()
        _stop([job for job in running if job.process is not None])


def _start(job: Job, lent: Slots, environment: Mapping[str, str]) -> None:
    job.log.unlink(missing_ok=True)
    with job.log.open("ab") as log:  # another machine may append to it
        # In its own session, so that Ctrl-C reaches it and its children once, from this process.
        job.process = subprocess.Popen(
            job.command,
            env={**environment, **mark(job.log.parent, job.mark)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=lent.descriptors(),  # it holds the devices from now on, even if this process dies
        )
    lent.release()
    job.began = time.monotonic()


def _look(job: Job) -> bool:
    """Update the job's time -> whether it has ended."""
    assert job.process is not None
    job.seconds = time.monotonic() - job.began
    return job.process.poll() is not None


def _stop(running: Sequence[Job]) -> None:
    """Interrupt the jobs like Ctrl-C and wait; a second Ctrl-C, or a timeout, kills them."""
    _send(running, signal.SIGINT)
    if running:
        print("stopping: waiting until the running points have saved (Ctrl-C again to kill them)", file=sys.stderr)
    try:
        deadline = time.monotonic() + PATIENCE
        while [job for job in running if not _look(job)] and time.monotonic() < deadline:
            time.sleep(PAUSE)
    finally:
        _send([job for job in running if not job.ended], signal.SIGKILL)
        for job in running:
            _clear(job)


def _clear(job: Job) -> None:
    """End the remaining processes of a job that has ended or was killed."""
    if job.elsewhere:
        job.elsewhere()
    end_processes(job.log.parent, job.mark)


def _send(jobs: Sequence[Job], number: signal.Signals) -> None:
    for job in jobs:
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, number)
