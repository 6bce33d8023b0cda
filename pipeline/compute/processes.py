"""Run a function over many tasks in worker processes: results in order, nothing left behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from pipeline.compute.progress import progress
from pipeline.compute.spread import spread

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_ordered(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, *, label: str
) -> Iterator[Result]:
    """Yield `function(task)` in the order of `tasks`, worked out by `workers` spawned processes (1: in this one).

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
            with _crew(function, min(workers, len(tasks))) as crew:
                yield from spread(tasks, crew, label, advance)


class _Process(Generic[Task, Result]):
    """A pool of one process, so that a dead worker tells which task it had."""

    def __init__(self, function: Callable[[Task], Result], far_end: Connection) -> None:
        context = get_context("spawn")
        self.function = function
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_tether, initargs=(far_end,))
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
def _crew(function: Callable[[Task], Result], workers: int) -> Iterator[list[_Process[Task, Result]]]:
    """Yield processes and end them all at once.

    Every worker holds one end of a pipe and leaves when the other end closes, be it here or because this process
    was killed.
    """
    far_end, near_end = get_context("spawn").Pipe(duplex=False)
    crew = [_Process(function, far_end) for _ in range(workers)]
    try:
        yield crew
    finally:
        near_end.close()
        for process in crew:
            process.pool.shutdown(wait=True, cancel_futures=True)
        far_end.close()


def _tether(far_end: Connection) -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave() -> None:
        far_end.poll(None)
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
