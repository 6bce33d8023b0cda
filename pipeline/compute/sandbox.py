"""Run a function on untrusted items in a child process, which is replaced when an item hangs or kills it.

A sandboxed function is a generator: before each item that may be bad it yields the item's name, and None when it goes
on to something trusted; what it returns is the result. The time limit holds only while an item is being worked on. A
task whose child died is repeated from its start in a new child, which is given the items that failed, so the function
must leave no half-written results behind.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pipeline.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

# One death may come from outside (the machine ran out of memory, and another process was the cause); a second one on
# the same item, seconds later, comes from the item.
DEATHS = 2

_CHILD = "import sys; from pipeline.compute.sandbox import serve; serve(int(sys.argv[1]))"
_Pipe: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item is given up."""

    kind: Literal["hung", "died"]
    detail: str


SandboxedFunction = Callable[[Task, Mapping[str, Failure]], Generator[str | None, None, Result]]


class Sandbox(Generic[Task, Result]):
    """A sandboxed function that is called with its task alone, in one child after another.

    An item fails at once when it takes more than `seconds` of the clock, and when the child dies of it twice. Raises
    what the function raises, and BrokenExecutor where the child dies twice outside any item, or after `close`.
    """

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float) -> None:
        self.function, self.seconds = function, seconds
        self._lock = threading.Lock()  # around the life of the child: `close` comes from another thread
        self._closed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._near_end: _Pipe | None = None
        self._item: str | None = None

    def __call__(self, task: Task) -> Result:
        failures: dict[str, Failure] = {}
        deaths: Counter[str | None] = Counter()
        while True:
            try:
                return self._attempt(task, failures)
            except _Hung:
                failures[str(self._item)] = Failure("hung", f"not done after {self.seconds:g} seconds")
            except _Died as death:
                deaths[self._item] += 1
                if deaths[self._item] == DEATHS:
                    if self._item is None:
                        raise BrokenExecutor(str(death)) from None
                    failures[self._item] = Failure("died", f"{death}, {DEATHS} times")

    def close(self) -> None:
        """End the child, whatever it is doing."""
        with self._lock:
            self._closed = True
            self._end()

    def _attempt(self, task: Task, failures: Mapping[str, Failure]) -> Result:
        self._item = None
        try:
            pipe = self._open()
            pipe.send((task, failures))
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

    def _open(self) -> _Pipe:
        """The pipe to the child, which is started if there is none."""
        with self._lock:
            if self._closed:
                raise BrokenExecutor("closed")
            if self._near_end is None:
                self._near_end, far_end = Pipe()
                path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  "" is the folder
                # A session of its own: Ctrl-C is left to the parent, and killing the group also ends what the
                # function has started.
                self._child = subprocess.Popen(
                    [sys.executable, "-c", _CHILD, str(far_end.fileno())],
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
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        pipe.close()
        return code


class _Died(Exception):
    """The child ended by itself, or was killed from outside."""


class _Hung(Exception):
    """The child spent too long on one item."""


def _cause(code: int) -> str:
    return f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"


def serve(descriptor: int) -> None:
    """The child's half: receive tasks here and work in a second thread, so that the parent's end is noticed at once."""
    pipe: _Pipe = Connection(descriptor)
    with ThreadPoolExecutor(1) as thread:
        try:
            function = pipe.recv()
            while True:
                task, failures = pipe.recv()
                thread.submit(_work, pipe, function, task, failures).add_done_callback(partial(_answer, pipe))
        except (EOFError, ConnectionResetError):
            os.killpg(0, signal.SIGKILL)  # with whatever the function has started


def _work(pipe: _Pipe, function: SandboxedFunction[Any, Any], task: object, failures: Mapping[str, Failure]) -> object:
    steps = function(task, failures)
    while True:
        try:
            pipe.send(("at", next(steps)))
        except StopIteration as end:
            return end.value


def _answer(pipe: _Pipe, future: "Future[object]") -> None:
    error = future.exception()
    with suppress(BrokenPipeError):  # the parent is gone, and this process will be in a moment
        pipe.send(("done", future.result()) if error is None else ("failed", _make_portable(error)))


def _make_portable(error: BaseException) -> BaseException:
    """The error as it can be sent: one that a user can act on as it is, any other as text with its traceback."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError("in a worker:\n" + "".join(traceback.format_exception(error)))


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
