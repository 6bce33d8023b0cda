"""Runs a function over many tasks: results in the order of the tasks, and no process left running.

A plain function runs in local processes, a sandboxed one in local processes or on a Ray cluster, as `compute` selects.
The cluster is that of RAY_ADDRESS, or a local one that is started for the run. A worker on it is an actor with one CPU
and a sandbox. If its node is lost, a new actor is requested, and its task goes to the first free worker. Tasks and
results are small: they contain paths, never frames.
"""

import logging
import os
import re
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, Literal, Protocol

from pipeline.compute.child import ChildFault
from pipeline.compute.isolation import find_missing
from pipeline.compute.sandbox import (
    Result,
    ResultOut,
    Sandbox,
    SandboxedFunction,
    SandboxMode,
    Task,
    TaskIn,
    refuse_or_warn,
)
from pipeline.errors import UserError, name_install, outer_lines
from pipeline.params import ComputeParams, worker_count
from pipeline.records import Progress, no_progress

LOCAL = "local"  # Ray's address for a new cluster on this machine
LOCAL_OPTIONS = {"include_dashboard": False, "object_store_memory": 100_000_000}  # about the minimum; it stays empty
CONNECT_SECONDS = 10
MAX_LOSSES = 3  # of one worker in a row; more are not by accident


class Worker(Protocol[TaskIn, ResultOut]):
    """Runs one task at a time, in another process or on another machine."""

    ready: Future[None]  # on a busy cluster some workers start late, or never

    def submit(self, task: TaskIn) -> "Future[Any]": ...

    def is_replaced(self, future: "Future[Any]") -> bool:
        """Whether the worker was lost with its machine and is being replaced; `ready` is then a new future."""
        ...


def map_ordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    label: str,
    progress: Progress = no_progress,
) -> Iterator[Result]:
    """Yield `function(task)` in the order of `tasks`, computed by `workers` spawned processes (1: this process).

    `function` and the tasks must be picklable. At most two results per worker are buffered. An exception in a worker is
    raised here as soon as it is seen; if a worker dies, UserError names its task by `str(task)`. However the loop ends,
    no worker outlives it.
    """
    with progress(label, len(tasks)) as advance:
        if min(workers, len(tasks)) <= 1:
            for task in tasks:
                result = function(task)
                advance()
                yield result
        else:
            with _processes(function, min(workers, len(tasks))) as pool:
                yield from _distribute(tasks, pool, label, advance)


def _distribute(
    tasks: Iterable[Task], workers: Sequence[Worker[Task, Result]], label: str, advance: Callable[[], None]
) -> Iterator[Result]:
    """Yield the results of all tasks, in order; `tasks` is read lazily, at most two tasks per worker ahead.

    If a worker is lost with its machine, its task goes to the next free worker. An exception in a worker is raised here
    as soon as it is seen; if a worker died for good (BrokenExecutor), UserError names its task by `str(task)`.
    """
    numbered = enumerate(tasks)
    waiting = deque(islice(numbered, 1))
    idle: list[Worker[Task, Result]] = []
    pending: dict[Future[Any], tuple[Worker[Task, Result], tuple[int, Task] | None]]
    pending = {worker.ready: (worker, None) for worker in workers}
    done: dict[int, Result] = {}
    turn = 0
    while waiting or done or any(job for _, job in pending.values()):
        while idle and waiting and waiting[0][0] < turn + 2 * len(workers):
            worker, job = idle.pop(), waiting.popleft()
            pending[worker.submit(job[1])] = (worker, job)
            waiting = waiting or deque(islice(numbered, 1))
        if turn in done:
            yield done.pop(turn)
            turn += 1
            continue
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            worker, assigned = pending.pop(future)
            if worker.is_replaced(future):
                pending[worker.ready] = (worker, None)
                waiting.extendleft([assigned] if assigned else [])
                continue
            result = _take_result(future, label, assigned)
            idle.append(worker)
            if assigned:
                done[assigned[0]] = result
                advance()


def _take_result(future: Future[Any], label: str, job: tuple[int, object] | None) -> Any:
    try:
        return future.result()
    except BrokenExecutor as error:
        task = str(job[1])[:200] if job else "nothing"
        raise UserError(
            f"{label}: the worker died on {task} ({error}); "
            "run the same command again, with fewer compute.workers if memory is short"
        ) from None


class _Process(Generic[Task, Result]):
    """A pool of one process, so that the task of a dead worker is known."""

    def __init__(self, function: Callable[[Task], Result], far_end: Connection) -> None:
        context = get_context("spawn")
        self.function = function
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_exit_with_parent, initargs=(far_end,))
        self.ready: Future[None] = Future()
        self.ready.set_result(None)

    def submit(self, task: Task) -> Future[Result]:
        # The first call starts the process, which inherits the mask: Ctrl-C during its imports prints no traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self.pool.submit(self.function, task)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def is_replaced(self, _: Future[Result]) -> bool:
        return False


@contextmanager
def _processes(function: Callable[[Task], Result], count: int) -> Iterator[list[_Process[Task, Result]]]:
    """Yield processes and terminate them at the end; after an OSError, such as a full disk, they finish their tasks.

    Every worker holds one end of a pipe and exits when the other end is closed, here or because this process was
    killed.
    """
    far_end, near_end = get_context("spawn").Pipe(duplex=False)
    workers = [_Process(function, far_end) for _ in range(count)]
    try:
        yield workers
    except OSError:
        for process in workers:  # termination while writing would leave partial files
            process.pool.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        near_end.close()
        for process in workers:
            process.pool.shutdown(wait=True, cancel_futures=True)
        far_end.close()


def _exit_with_parent(far_end: Connection) -> None:
    """In a worker: ignore Ctrl-C, which the parent handles, and exit with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave() -> None:
        far_end.poll(None)
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def map_sandboxed(
    function: SandboxedFunction[Task, Result],
    tasks: Iterable[Task],
    total: int,
    compute: ComputeParams,
    *,
    seconds: float,
    label: str,
    progress: Progress = no_progress,
) -> Iterator[Result]:
    """Yield the results of `total` tasks in order; a step of an item that takes more than `seconds` fails.

    `function` and the tasks must be picklable by the names of their modules; `tasks` is read lazily, so memory does not
    grow with their number. Raises UserError if a worker dies outside any item, on a bug of this program, and if this
    machine lacks a part of the sandbox that `compute.sandbox` requires. However the loop ends, no worker outlives it.
    """
    pool: AbstractContextManager[list[Worker[Task, Result]]]
    if compute.backend == "ray":
        pool = _cluster_workers(function, compute.workers, total, seconds, compute.sandbox)
    else:
        if compute.sandbox != "off":
            refuse_or_warn(find_missing(), compute.sandbox)
        pool = _local_workers(function, min(worker_count(compute), total), seconds, compute.sandbox)
    try:
        with progress(label, total) as advance, pool as workers:
            yield from _distribute(tasks, workers, label, advance)
    except ChildFault as fault:
        raise fault.explain(fault.step or label) from fault


class _LocalWorker(Generic[Task, Result]):
    """A sandbox and the thread that drives it."""

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode) -> None:
        self.sandbox = Sandbox(function, seconds, mode)
        self.thread = ThreadPoolExecutor(1)
        self.ready: Future[None] = Future()
        self.ready.set_result(None)

    def submit(self, task: Task) -> Future[Result]:
        return self.thread.submit(self.sandbox, task)

    def is_replaced(self, _: Future[Result]) -> bool:
        return False


@contextmanager
def _local_workers(
    function: SandboxedFunction[Task, Result], count: int, seconds: float, mode: SandboxMode
) -> Iterator[list[Worker[Task, Result]]]:
    workers = [_LocalWorker(function, seconds, mode) for _ in range(count)]
    try:
        yield list(workers)
    finally:
        for worker in workers:
            worker.sandbox.close()
        for worker in workers:
            worker.thread.shutdown()


class _RemoteSandbox(Generic[Task, Result]):
    """The class of the actor."""

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode) -> None:
        self.sandbox = Sandbox(function, seconds, mode)

    def start(self) -> None:
        """Does nothing; returns once the actor is running."""

    def work(self, task: Task) -> Result:
        return self.sandbox(task)


class _ClusterWorker(Generic[Task, Result]):
    """The handle of an actor, replaced if the actor is lost."""

    def __init__(self, start: Callable[[], Any], lost: type[Exception]) -> None:
        self.start, self.lost = start, lost
        self.losses = 0
        self.begin()

    def begin(self) -> None:
        self.handle = self.start()
        self.ready: Future[None] = self.handle.start.remote().future()

    def submit(self, task: Task) -> Future[Result]:
        future: Future[Result] = self.handle.work.remote(task).future()
        return future

    def is_replaced(self, future: Future[Result]) -> bool:
        if isinstance(future.exception(), self.lost) and self.losses < MAX_LOSSES:
            self.losses += 1
            self.begin()
            return True
        self.losses = 0
        return False


@contextmanager
def _cluster_workers(
    function: SandboxedFunction[Task, Result],
    workers: int | Literal["auto"],
    tasks: int,
    seconds: float,
    mode: SandboxMode,
) -> Iterator[list[Worker[Task, Result]]]:
    """Yield an actor per CPU of the cluster, or `workers` of them; then end them and disconnect."""
    ray = load_ray("compute.backend ray")
    address = os.environ.get("RAY_ADDRESS") or LOCAL
    options = LOCAL_OPTIONS if address == LOCAL else {}
    try:
        join_cluster(ray, address, **options)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        start = partial(ray.remote(num_cpus=1)(_RemoteSandbox).remote, function, seconds, mode)
        count = min(cpus if workers == "auto" else workers, tasks)
        yield [_ClusterWorker(start, ray.exceptions.RayActorError) for _ in range(count)]
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise _cluster_error(address, error) from None
    finally:
        ray.shutdown()  # ends the actors, and their children with them


def load_ray(asked_by: str) -> Any:
    """Import Ray, with usage reports off unless RAY_USAGE_STATS_ENABLED is set. Raises UserError if not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(f"{asked_by} needs Ray, which is not installed; {name_install('ray')}") from None
    return ray


class _Joining(AbstractContextManager["_Joining", None]):
    """A context for `ray.init`: turns its errors for a missing cluster or another version into UserError.

    Ray raises a bare Exception if one of its processes starts too late, which is recognised by its exact class.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is Exception or isinstance(error, (ConnectionError, RuntimeError, ValueError)):
            raise _cluster_error(self.address, error) from None


def join_cluster(ray: Any, address: str, **options: Any) -> None:
    """Connect this process to the Ray cluster at an address. Raises UserError if it does not answer.

    For host:port, a connection is tried first: Ray itself would retry for many minutes.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _cluster_error(address, error) from None
    with _Joining(address):
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def _cluster_error(address: str, error: object) -> UserError:
    detail = outer_lines(re.sub(r"\x1b\[[0-9]*m", "", str(error)))  # the inner ones are ids and tracebacks
    return UserError(f"Ray ({address}): {detail}; see docs/how-to/transcode-on-ray.md, then run the same command again")
