"""Runs a function over many tasks in worker processes: results in the order of the tasks, no process left behind."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar

from pipeline.errors import UserError
from pipeline.records import Progress, silent

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Worker(Protocol[TaskIn, ResultOut]):
    """Works on one task at a time, in another process or on another machine."""

    ready: Future[None]  # on a busy cluster some workers start late, or never

    def submit(self, task: TaskIn) -> "Future[Any]": ...

    def is_replaced(self, future: "Future[Any]") -> bool:
        """Whether the worker was lost with its machine, and another one is starting in its place (see `ready`)."""
        ...


def map_ordered(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, *, label: str, progress: Progress = silent
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
            result = _result(future, label, assigned)
            idle.append(worker)
            if assigned:
                done[assigned[0]] = result
                advance()


def _result(future: Future[Any], label: str, job: tuple[int, object] | None) -> Any:
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
