"""Run a function over many tasks in worker processes: results in order, nothing left behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from pipeline.compute.progress import progress
from pipeline.errors import UserError

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
            yield from _spread(function, tasks, min(workers, len(tasks)), label, advance)


def _spread(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, label: str, advance: Callable[[], None]
) -> Iterator[Result]:
    done: dict[int, Result] = {}
    running: dict[Future[Result], tuple[int, ProcessPoolExecutor]] = {}
    following = 0
    with _crew(workers) as idle:
        for turn in range(len(tasks)):
            while turn not in done:
                while idle and following < min(len(tasks), turn + 2 * workers):
                    worker = idle.pop()
                    running[_submit(worker, function, tasks[following])] = (following, worker)
                    following += 1
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    place, worker = running.pop(future)
                    done[place] = _result(future, label, tasks[place])
                    idle.append(worker)
                    advance()
            yield done.pop(turn)


@contextmanager
def _crew(workers: int) -> Iterator[list[ProcessPoolExecutor]]:
    """Yield pools of one worker each, so that a dead worker tells which task it had; end them all at once.

    Every worker holds one end of a pipe and leaves when the other end closes, be it here or because this process
    was killed.
    """
    context = get_context("spawn")
    far_end, near_end = context.Pipe(duplex=False)
    pools = [
        ProcessPoolExecutor(1, mp_context=context, initializer=_tether, initargs=(far_end,)) for _ in range(workers)
    ]
    try:
        yield list(pools)
    finally:
        near_end.close()
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        far_end.close()


def _tether(far_end: Connection) -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave() -> None:
        far_end.poll(None)
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def _submit(pool: ProcessPoolExecutor, function: Callable[[Task], Result], task: Task) -> Future[Result]:
    # The first call starts the process, which inherits the mask: a Ctrl-C while it imports prints no traceback.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _result(future: Future[Result], label: str, task: object) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(
            f"{label}: the worker died on {str(task)[:200]} (killed, or out of memory?); "
            "give the same command again, with fewer compute.workers if memory is short"
        ) from None
