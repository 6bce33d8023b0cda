"""Tasks over workers: results in the order of the tasks, few of them ahead of the reader, whatever a worker is."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from itertools import islice
from typing import Any, Protocol, TypeVar

from pipeline.errors import UserError

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


def spread(
    tasks: Iterable[Task], crew: Sequence[Worker[Task, Result]], label: str, advance: Callable[[], None]
) -> Iterator[Result]:
    """Yield the result of every task, in order; `tasks` is read lazily, at most two tasks per worker ahead.

    A task whose worker was lost with its machine goes to the next one that is free. An exception in a worker is
    raised here as soon as it is seen; a worker that is gone for good (BrokenExecutor) raises UserError naming its
    task by `str(task)`.
    """
    numbered = enumerate(tasks)
    waiting = deque(islice(numbered, 1))
    idle: list[Worker[Task, Result]] = []
    pending: dict[Future[Any], tuple[Worker[Task, Result], tuple[int, Task] | None]]
    pending = {worker.ready: (worker, None) for worker in crew}
    done: dict[int, Result] = {}
    turn = 0
    while waiting or done or any(job for _, job in pending.values()):
        while idle and waiting and waiting[0][0] < turn + 2 * len(crew):
            worker, job = idle.pop(), waiting.popleft()
            pending[worker.submit(job[1])] = (worker, job)
            waiting = waiting or deque(islice(numbered, 1))
        if turn in done:
            yield done.pop(turn)
            turn += 1
            continue
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            worker, given = pending.pop(future)
            if worker.is_replaced(future):
                pending[worker.ready] = (worker, None)
                waiting.extendleft([given] if given else [])
                continue
            result = _result(future, label, given)
            idle.append(worker)
            if given:
                done[given[0]] = result
                advance()


def _result(future: Future[Any], label: str, given: tuple[int, object] | None) -> Any:
    try:
        return future.result()
    except BrokenExecutor as error:
        task = str(given[1])[:200] if given else "nothing"
        raise UserError(
            f"{label}: the worker died on {task} ({error}); "
            "give the same command again, with fewer compute.workers if memory is short"
        ) from None
