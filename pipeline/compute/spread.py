"""Tasks over workers: results in the order of the tasks, few of them ahead of the reader, whatever a worker is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
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


def spread(
    tasks: Iterable[Task], crew: Sequence[Worker[Task, Result]], label: str, advance: Callable[[], None]
) -> Iterator[Result]:
    """Yield the result of every task, in order; `tasks` is read lazily, at most two tasks per worker ahead.

    An exception in a worker is raised here as soon as it is seen; a worker that is gone for good (BrokenExecutor)
    raises UserError naming its task by `str(task)`.
    """
    numbered = enumerate(tasks)
    following = next(numbered, None)
    idle: list[Worker[Task, Result]] = []
    starting = {worker.ready: worker for worker in crew}
    running: dict[Future[Result], tuple[int, Task, Worker[Task, Result]]] = {}
    done: dict[int, Result] = {}
    turn = 0
    while following or running or done:
        while idle and following and following[0] < turn + 2 * len(crew):
            worker = idle.pop()
            running[worker.submit(following[1])] = (*following, worker)
            following = next(numbered, None)
        if turn in done:
            yield done.pop(turn)
            turn += 1
            continue
        futures: list[Future[Any]] = [*running, *starting]
        for future in wait(futures, return_when=FIRST_COMPLETED).done:
            if future in starting:
                future.result()
                idle.append(starting.pop(future))
            else:
                place, task, worker = running.pop(future)
                done[place] = _result(future, label, task)
                idle.append(worker)
                advance()


def _result(future: Future[Result], label: str, task: object) -> Result:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise UserError(
            f"{label}: the worker died on {str(task)[:200]} ({error}); "
            "give the same command again, with fewer compute.workers if memory is short"
        ) from None
