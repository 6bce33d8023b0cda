"""Runs a sandboxed function over many tasks, in processes on this machine or on a Ray cluster, as `compute` says.

The cluster is the one that RAY_ADDRESS names, or one that is started here and stopped afterwards. A worker on it is an
actor of one CPU with a sandbox. When its node is lost another one is requested, and its task goes to whichever worker
is free first. Tasks and results are small: paths travel, frames never do.
"""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from pipeline.compute.child import ChildFault
from pipeline.compute.isolation import find_missing
from pipeline.compute.pool import Worker, distribute
from pipeline.compute.sandbox import Sandbox, SandboxedFunction, SandboxMode, refuse_or_warn
from pipeline.errors import UserError, outer_lines
from pipeline.params import ComputeParams, worker_count
from pipeline.records import Progress, silent

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local"  # what Ray calls a cluster of this machine, for this run
LOCAL_OPTIONS = {"include_dashboard": False, "object_store_memory": 100_000_000}  # about the least; it stays empty
CONNECT_SECONDS = 10
MOST_LOSSES = 3  # of one worker, without a result in between; more is no accident


def map_sandboxed(
    function: SandboxedFunction[Task, Result],
    tasks: Iterable[Task],
    total: int,
    compute: ComputeParams,
    *,
    seconds: float,
    label: str,
    progress: Progress = silent,
) -> Iterator[Result]:
    """Yield the results of `total` tasks in their order; an item that takes more than `seconds` counts as failed.

    `function` and the tasks must pickle by the names of their modules; `tasks` is read lazily, so memory does not
    grow with their number. Raises UserError where a worker dies outside any item, where this program fails on one, and
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
    """Around the start of Ray: turns what it raises where there is no cluster, or another version, into UserError.

    Ray raises a bare Exception where one of its processes starts too late, so that is recognised by its class.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is Exception or isinstance(error, (ConnectionError, RuntimeError, ValueError)):
            raise _cluster_error(self.address, error) from None


def join_cluster(ray: Any, address: str, **options: Any) -> None:
    """Have this process join the Ray cluster at an address. Raises UserError where it does not answer.

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
