"""Runs a sandboxed function over many tasks, in processes on this machine or on a Ray cluster, as `compute` says."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

from pipeline.compute.cage import find_missing
from pipeline.compute.child import ChildFault
from pipeline.compute.cluster import cluster_workers
from pipeline.compute.pool import Worker, distribute
from pipeline.compute.sandbox import Sandbox, SandboxedFunction, SandboxMode, refuse_or_warn
from pipeline.params import ComputeParams, worker_count
from pipeline.records import Progress, silent

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    where this machine lacks a part of the cage that `compute.sandbox` requires. However the loop ends, no worker outlives it.
    """
    pool: AbstractContextManager[list[Worker[Task, Result]]]
    if compute.backend == "ray":
        pool = cluster_workers(function, compute.workers, total, seconds, compute.sandbox)
    else:
        if compute.sandbox != "off":
            refuse_or_warn(find_missing(), compute.sandbox)
        pool = _local_workers(function, min(worker_count(compute), total), seconds, compute.sandbox)
    with progress(label, total) as advance, pool as workers:
        try:
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
