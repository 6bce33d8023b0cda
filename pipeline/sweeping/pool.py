"""A pool of points: some of them at a time, each in a process of its own with a log file, all stopped together.

Cores and GPUs of this machine are lent to one point at a time, over all sweeps of this user. Each core and each GPU has
a file, and who holds its lock has the device. The locks fall when the processes that hold them end, however they do.
"""

import fcntl
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

SLOT_FOLDER = Path(os.environ.get("T2V_SLOTS") or Path(tempfile.gettempdir()) / f"t2v-slots-{os.getuid()}")
TURN = "turn"

POINT = "T2V_POINT"  # names the sweep's folder and the point
PAUSE = 0.5  # seconds between two looks at a process
PATIENCE = 120.0  # seconds that an interrupted training may take to save its state

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TAIL = 1 << 14  # bytes at the end of a log in which its message is looked for


class Slots:
    """Devices that are held by an open file each."""

    def __init__(self, kind: str, files: dict[str, TextIO]) -> None:
        self.kind, self.names, self._files = kind, tuple(files), files

    def descriptors(self) -> list[int]:
        """What a process has to inherit to hold them as well."""
        return [file.fileno() for file in self._files.values()]

    def release(self) -> None:
        """Hold them no longer in this process."""
        for file in self._files.values():
            file.close()


class SlotQueue:
    """Lends `each` of the devices `names` of one kind at a time. Sweeps take turns, so that none waits for ever."""

    def __init__(self, kind: str, names: Sequence[str], each: int, folder: Path = SLOT_FOLDER) -> None:
        self.kind, self.names, self.each, self.folder = kind, names, each, folder
        self._turn: TextIO | None = None
        self._held: dict[str, TextIO] = {}

    def take(self) -> Slots | None:
        """Devices that nobody else has; None while there are too few: ask again. Does not wait."""
        if not self.each:
            return Slots(self.kind, {})
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._turn = self._turn or self._lock(TURN)
        if self._turn is None:  # another sweep is waiting already
            return None
        for name in self.names:
            if len(self._held) < self.each and name not in self._held and (file := self._lock(name)):
                self._held[name] = file
        if len(self._held) < self.each:
            return None
        slots = Slots(self.kind, {name: self._held[name] for name in self.names if name in self._held})
        self._turn.close()
        self._turn, self._held = None, {}
        return slots

    def leave(self) -> None:
        """Give back what was gathered so far, and the turn."""
        for file in [*self._held.values(), *filter(None, [self._turn])]:
            file.close()
        self._turn, self._held = None, {}

    def _lock(self, name: str) -> TextIO | None:
        file = (self.folder / f"{self.kind}-{name}").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


def mark(folder: Path, name: str) -> dict[str, str]:
    """The variable that the processes of a point inherit."""
    return {POINT: str(folder.resolve() / name)}


def find_processes(folder: Path, name: str = "") -> list[psutil.Process]:
    """The processes of a point of the sweep in `folder`, or of all its points; this one is none of them."""
    sought = f"{folder.resolve()}/{name}"
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            value = process.environ().get(POINT, "")
            if (value == sought if name else value.startswith(sought)) and process.pid != os.getpid():
                found.append(process)
    return found


def end_processes(folder: Path, name: str = "", patience: float = 0.0) -> None:
    """End what is left of a point, or of all, after `patience` seconds in which it may end by itself."""
    deadline = time.monotonic() + patience
    told = False
    while left := find_processes(folder, name):
        if time.monotonic() >= deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
        elif not told:
            print(f"{folder.name}: {len(left)} processes of it are still saving; waiting for them", file=sys.stderr)
            told = True
        psutil.wait_procs(left, timeout=PAUSE)


@dataclass
class Job:
    """One command, from waiting to its end."""

    name: str
    title: str
    command: Sequence[str]
    log: Path
    recorded: bool = False  # by an earlier call: there is nothing to do
    elsewhere: Callable[[], object] | None = None  # ends what is left on other machines; None: it runs here
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
        """Whether it ran and is over."""
        return self.process is not None and self.process.returncode is not None

    @property
    def mark(self) -> str:
        """What its process is marked by; a point that runs elsewhere has its own name there, which may be here."""
        return f"{self.name}@" if self.elsewhere else self.name

    @property
    def failed(self) -> bool:
        return self.state.startswith("failed")

    def last_line(self) -> str:
        """The last line of its log that says something."""
        return next(reversed(self._tail()), "")

    def message(self) -> str:
        """Why it failed: what a stage called its error, or DVC its own; else the last line before DVC tells of it."""
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
    """Run the jobs that `take` gives, until it gives None while none runs; `on_change` hears of each start and end.

    At most `limit` run at once, each on devices that no other job of this machine has meanwhile. A KeyboardInterrupt
    passes to every job that runs, and on when all of them have ended.
    """
    running: list[Job] = []
    job: Job | None = None
    told = False  # that devices are awaited
    try:
        while (job := job or (take() if len(running) < limit else None)) or running:
            if job and len(running) < limit and (lent := slots.take()):
                running.append(job)  # before it starts: a Ctrl-C in between would leave it running
                _start(job, lent, environment(lent))
                on_change(job)
                job = None
                continue
            if job and not running and not told:
                print("waiting: another sweep of yours has the cores or GPUs that are needed", file=sys.stderr)
                told = True
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
    with job.log.open("ab") as log:  # to which another machine may add
        # A session of its own: Ctrl-C reaches it once, from us, and with it all that it has started.
        job.process = subprocess.Popen(
            job.command,
            env={**environment, **mark(job.log.parent, job.mark)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=lent.descriptors(),  # it holds the devices from here on, also where this process dies
        )
    lent.release()
    job.began = time.monotonic()


def _look(job: Job) -> bool:
    """Whether the job has ended, with its time brought up to date."""
    assert job.process is not None
    job.seconds = time.monotonic() - job.began
    return job.process.poll() is not None


def _stop(running: Sequence[Job]) -> None:
    """Interrupt the jobs as Ctrl-C would and wait; a second Ctrl-C, or too long a wait, kills them."""
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
    """End what is left of a job that has ended or was killed."""
    if job.elsewhere:
        job.elsewhere()
    end_processes(job.log.parent, job.mark)


def _send(jobs: Sequence[Job], number: signal.Signals) -> None:
    for job in jobs:
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, number)
