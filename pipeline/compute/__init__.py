"""Runs a function over many tasks: results in the order of the tasks, no process left behind.

A plain function runs in processes of this machine, a sandboxed one there or on a Ray cluster, as `compute` says. That
is the one that RAY_ADDRESS names, or one that is started here and stopped afterwards. A worker on it is an actor of one
CPU with a sandbox. When its node is lost another one is requested, and its task goes to whichever worker is free first.
Tasks and results are small: paths travel, frames never do.
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
from typing import Any, Generic, Literal, Protocol, TypeVar

from pipeline.compute.child import ChildFault
from pipeline.compute.isolation import find_missing
from pipeline.compute.sandbox import Sandbox, SandboxedFunction, SandboxMode, refuse_or_warn
from pipeline.errors import UserError, outer_lines
from pipeline.params import ComputeParams, worker_count
from pipeline.records import Progress, no_progress

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

LOCAL = "local"  # what Ray calls a cluster of this machine, for this run
LOCAL_OPTIONS = {"include_dashboard": False, "object_store_memory": 100_000_000}  # about the least; it stays empty
CONNECT_SECONDS = 10
MOST_LOSSES = 3  # of one worker, without a result in between; more is no accident


class Worker(Protocol[TaskIn, ResultOut]):
    """Works on one task at a time, in another process or on another machine."""

    ready: Future[None]  # on a busy cluster some workers start late, or never

    def submit(self, task: TaskIn) -> "Future[Any]": ...

    def is_replaced(self, future: "Future[Any]") -> bool:
        """Whether the worker was lost with its machine, and another one is starting in its place (see `ready`)."""
        ...


def map_ordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    *,
    label: str,
    progress: Progress = no_progress,
) -> Iterator[Result]:
    """Yield `function(task)` in the order of `tasks`, computed by `workers` spawned processes (1: in this one).

    `function` and the tasks must pickle. At most two results per worker wait for their turn. An exception in a
    worker is raised here as soon as it is seen; a worker that dies raises UserError naming its task by `str(task)`.
    However the loop ends, no worker outlives it.
    """
    with progress(label, len(tasks)) as advance:
        if min(workers, len(tasks)) <= 1:
            for task in tasks:
                result = function(task)
                advance()
                yield result
        else:
            with _processes(function, min(workers, len(tasks))) as pool:
                yield from distribute(tasks, pool, label, advance)


def distribute(
    tasks: Iterable[Task], workers: Sequence[Worker[Task, Result]], label: str, advance: Callable[[], None]
) -> Iterator[Result]:
    """Yield the result of every task, in order; `tasks` is read lazily, at most two tasks per worker ahead.

    A task whose worker was lost with its machine goes to the next one that is free. An exception in a worker is
    raised here as soon as it is seen; a worker that died for good (BrokenExecutor) raises UserError naming its
    task by `str(task)`.
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
    """A pool of one process, so that it is known which task a dead worker had."""

    def __init__(self, function: Callable[[Task], Result], far_end: Connection) -> None:
        context = get_context("spawn")
        self.function = function
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_exit_with_parent, initargs=(far_end,))
        self.ready: Future[None] = Future()
        self.ready.set_result(None)

    def submit(self, task: Task) -> Future[Result]:
        # The first call starts the process, which inherits the mask: a Ctrl-C while it imports prints no traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self.pool.submit(self.function, task)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def is_replaced(self, _: Future[Result]) -> bool:
        return False


@contextmanager
def _processes(function: Callable[[Task], Result], count: int) -> Iterator[list[_Process[Task, Result]]]:
    """Yield processes and end them all at once; after an OSError, as of a full disk, each ends its task before.

    Every worker holds one end of a pipe and leaves when the other end closes, be it here or because this process
    was killed.
    """
    far_end, near_end = get_context("spawn").Pipe(duplex=False)
    workers = [_Process(function, far_end) for _ in range(count)]
    try:
        yield workers
    except OSError:
        for process in workers:  # one that is ended while it writes leaves half a file
            process.pool.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        near_end.close()
        for process in workers:
            process.pool.shutdown(wait=True, cancel_futures=True)
        far_end.close()


def _exit_with_parent(far_end: Connection) -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it."""
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
    """Yield the results of `total` tasks in their order; an item that takes more than `seconds` counts as failed.

    `function` and the tasks must pickle by the names of their modules; `tasks` is read lazily, so memory does not
    grow with their number. Raises UserError if a worker dies outside any item, where this program fails on one, and
    where this machine lacks a part of the sandbox that `compute.sandbox` requires. However the loop ends, no worker
    outlives it.
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
            yield from distribute(tasks, workers, label, advance)
    except ChildFault as fault:
        raise fault.explain(fault.step or label) from fault


class _LocalWorker(Generic[Task, Result]):
    """A sandbox and the thread that watches it."""

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
    """What runs in the actor."""

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode) -> None:
        self.sandbox = Sandbox(function, seconds, mode)

    def start(self) -> None:
        """Returns once there is an actor."""

    def work(self, task: Task) -> Result:
        return self.sandbox(task)


class _ClusterWorker(Generic[Task, Result]):
    """An actor as seen from here, and those that follow it when it is lost."""

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
        if isinstance(future.exception(), self.lost) and self.losses < MOST_LOSSES:
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
    """Yield an actor for every CPU of the cluster, or `workers` of them; end them and leave the cluster."""
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
    """Ray, which reports its usage only where RAY_USAGE_STATS_ENABLED says so. Raises UserError without the extra."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(f"{asked_by} needs Ray, which is not installed; pip install 't2v[ray]'") from None
    return ray


class _Joining:
    """Around the start of Ray: turns what it raises if there is no cluster, or another version, into UserError.

    Ray raises a bare Exception if one of its processes starts too late, so that is recognised by its class.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is Exception or isinstance(error, (ConnectionError, RuntimeError, ValueError)):
            raise _cluster_error(self.address, error) from None


def join_cluster(ray: Any, address: str, **options: Any) -> None:
    """Have this process join the Ray cluster at an address. Raises UserError if it does not answer.

    Of host:port it is tried first whether anything listens: Ray itself would try for many minutes.
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
    detail = outer_lines(re.sub(r"\x1b\[[0-9]*m", "", str(error)))  # between are ids and tracebacks
    return UserError(f"Ray ({address}): {detail}; see docs/how-to/transcode-on-ray.md, then run the same command again")
