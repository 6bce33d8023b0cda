"""Run a sandboxed function over many tasks, by processes here or on a Ray cluster, as `compute` says."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

from pipeline.compute.cluster import cluster_crew
from pipeline.compute.pool import Progress, Worker, show_nothing, spread
from pipeline.compute.sandbox import Guardable, Guarded
from pipeline.params import ComputeParams, worker_count

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_guarded(
    function: Guardable[Task, Result],
    tasks: Iterable[Task],
    total: int,
    compute: ComputeParams,
    *,
    seconds: float,
    label: str,
    progress: Progress = show_nothing,
) -> Iterator[Result]:
    """Yield the results of `total` tasks in their order; an item may take `seconds`, then it is condemned.

    `function` and the tasks must pickle by the names of their modules; `tasks` is read lazily, so memory does not
    grow with their number. Raises UserError where a worker is lost at no item. However the loop ends, no worker
    outlives it.
    """
    crew: AbstractContextManager[list[Worker[Task, Result]]]
    if compute.backend == "ray":
        crew = cluster_crew(function, compute.workers, total, seconds)
    else:
        crew = _local_crew(function, min(worker_count(compute), total), seconds)
    with progress(label, total) as advance, crew as workers:
        yield from spread(tasks, workers, label, advance)


class _Supervised(Generic[Task, Result]):
    """A child process and the thread that watches it."""

    def __init__(self, function: Guardable[Task, Result], seconds: float) -> None:
        self.guarded = Guarded(function, seconds)
        self.thread = ThreadPoolExecutor(1)
        self.ready: Future[None] = Future()
        self.ready.set_result(None)

    def submit(self, task: Task) -> Future[Result]:
        return self.thread.submit(self.guarded, task)

    def is_replaced(self, _: Future[Result]) -> bool:
        return False


@contextmanager
def _local_crew(
    function: Guardable[Task, Result], workers: int, seconds: float
) -> Iterator[list[Worker[Task, Result]]]:
    crew = [_Supervised(function, seconds) for _ in range(workers)]
    try:
        yield list(crew)
    finally:
        for worker in crew:
            worker.guarded.close()
        for worker in crew:
            worker.thread.shutdown()
