"""The child's half of `guarded`: works on the tasks that come through a pipe, and ends with its parent."""

import os
import signal
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from pipeline.compute.sandbox import Guardable, Loss
from pipeline.errors import UserError

Pipe: TypeAlias = "Connection[Any, Any]"


def main() -> None:
    """Listen here, work in a second thread: so the end of the parent is heard in the middle of a task."""
    pipe: Pipe = Connection(int(sys.argv[1]))
    with ThreadPoolExecutor(1) as thread:
        try:
            function = pipe.recv()
            while True:
                task, lost = pipe.recv()
                thread.submit(_work, pipe, function, task, lost).add_done_callback(partial(_answer, pipe))
        except (EOFError, ConnectionResetError):
            os.killpg(0, signal.SIGKILL)  # with whatever the function has started


def _work(pipe: Pipe, function: Guardable[Any, Any], task: object, lost: Mapping[str, Loss]) -> object:
    steps = function(task, lost)
    while True:
        try:
            pipe.send(("at", next(steps)))
        except StopIteration as end:
            return end.value


def _answer(pipe: Pipe, future: "Future[object]") -> None:
    error = future.exception()
    with suppress(BrokenPipeError):  # the parent is gone, and this process will be in a moment
        pipe.send(("done", future.result()) if error is None else ("failed", _portable(error)))


def _portable(error: BaseException) -> BaseException:
    """The error as it can be sent: one that a user can act on as it is, any other as text with its traceback."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError("in a worker:\n" + "".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()
