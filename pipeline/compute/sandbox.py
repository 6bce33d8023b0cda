"""Run a function on untrusted items in a child process, which is replaced when an item hangs or kills it.

A guarded function is a generator: before each item that may be bad it yields the item's name, and None when it goes
on to something trusted; what it returns is the result. Only between those does the time limit hold. A task whose
child was lost is repeated from its start in a new child, with the condemned items named, so it must leave no half
results behind.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

# One death may come from outside (the machine ran out of memory, and another process was the cause); a second one on
# the same item, seconds later, comes from the item.
DEATHS = 2


@dataclass(frozen=True, slots=True)
class Loss:
    """Why an item was condemned."""

    kind: Literal["hung", "died"]
    detail: str


Guardable = Callable[[Task, Mapping[str, Loss]], Generator[str | None, None, Result]]


class _Died(Exception):
    """The child ended by itself, or was killed from outside."""


class _Hung(Exception):
    """The child was too long at one item."""


class Guarded(Generic[Task, Result]):
    """A guarded function that is called with its task alone, in one child after another.

    An item is condemned at once when it takes more than `seconds` of the clock, and when the child dies of it twice.
    Raises what the function raises, and BrokenExecutor where the child dies twice at no item, or after `close`.
    """

    def __init__(self, function: Guardable[Task, Result], seconds: float) -> None:
        self.function, self.seconds = function, seconds
        self._lock = threading.Lock()  # around the life of the child: `close` comes from another thread
        self._closed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._near_end: Connection[Any, Any] | None = None
        self._item: str | None = None

    def __call__(self, task: Task) -> Result:
        lost: dict[str, Loss] = {}
        deaths: Counter[str | None] = Counter()
        while True:
            try:
                return self._attempt(task, lost)
            except _Hung:
                lost[str(self._item)] = Loss("hung", f"not done after {self.seconds:g} seconds")
            except _Died as death:
                deaths[self._item] += 1
                if deaths[self._item] == DEATHS:
                    if self._item is None:
                        raise BrokenExecutor(str(death)) from None
                    lost[self._item] = Loss("died", f"{death}, {DEATHS} times")

    def close(self) -> None:
        """End the child, whatever it is doing."""
        with self._lock:
            self._closed = True
            self._end()

    def _attempt(self, task: Task, lost: Mapping[str, Loss]) -> Result:
        self._item = None
        try:
            pipe = self._open()
            pipe.send((task, lost))
            while pipe.poll(self.seconds if self._item is not None else None):
                kind, value = pipe.recv()
                if kind == "done":
                    result: Result = value
                    return result
                if kind == "failed":
                    raise value
                self._item = value
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise _Died(_cause(self._replace())) from None
        self._replace()
        raise _Hung

    def _open(self) -> "Connection[Any, Any]":
        """The pipe to the child, which is started if there is none."""
        with self._lock:
            if self._closed:
                raise BrokenExecutor("closed")
            if self._near_end is None:
                self._near_end, far_end = Pipe()
                # A session of its own: Ctrl-C is left to the parent, and killing the group also ends what the
                # function has started.
                command = [sys.executable, "-m", "pipeline.compute.sandbox_child", str(far_end.fileno())]
                path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  "" is the folder
                self._child = subprocess.Popen(
                    command,
                    pass_fds=[far_end.fileno()],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": path},
                )
                far_end.close()
                self._near_end.send(self.function)
            return self._near_end

    def _replace(self) -> int:
        with self._lock:
            return self._end()

    def _end(self) -> int:
        """End the child -> its exit code, that of its own death if it was dead already."""
        child, pipe, self._child, self._near_end = self._child, self._near_end, None, None
        if child is None or pipe is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        pipe.close()
        return code


def _cause(code: int) -> str:
    return f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"


@contextmanager
def memory_limit(allowed: int) -> Iterator[None]:
    """Inside the block, allocations fail once this process has `allowed` bytes more than at its start.

    Counted are its private writable pages (RLIMIT_DATA), so mapped files and libraries are free. Programs that the
    block starts have the whole as their limit. Only Linux counts so; elsewhere there is no bound.
    """
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = pages * resource.getpagesize() + allowed
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
