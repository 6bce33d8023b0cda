"""A child process that runs the tasks of one function: the parent's handle, and the code that runs in the child.

Tasks are pickled to the child, since the parent is trusted; answers are `messages`, which execute nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

from pipeline.compute.isolation import SINGLE_THREADED, Permissions, isolate_process, reduce_environment
from pipeline.compute.messages import ANSWER, ERROR, MAX_TEXT, READY, STEP, Message, Receiver, Sender, check_text
from pipeline.errors import DEBUG, LONGEST_FAULT, UserError, outer_lines

_CHILD = "import sys; from pipeline.compute.child import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
OWN_CODE = str(Path(__file__).parents[1])
_HOOK = ".__path_hook__"  # suffix of entries of sys.path that are finders of setuptools instead of folders


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item, or a step of one, failed."""

    kind: Literal["hung", "died", "invalid_answer"]
    detail: str


Work = Generator[str, None, tuple[object, Sequence[memoryview]]]


class ChildFunction(Protocol):
    """The half of a function that runs in the child."""

    def prepare(self, task: Any) -> None:
        """Called once per task, before any time limit applies."""

    def work(self, task: Any, item: str, failures: Mapping[str, Failure], scratch: str) -> Work:
        """Yield the name of each step before it starts; return a JSON value and bytes. `failures` are by step."""
        ...


class Child:
    """The parent's handle of a child process."""

    def __init__(self, function: ChildFunction, permissions: Permissions, *, sandboxed: bool) -> None:
        self.scratch = _make_scratch(permissions.folder) if permissions.folder else ""
        tasks, self._tasks = Pipe(duplex=False)
        receiver, answers = os.pipe()
        entries = [entry for entry in sys.path if not entry.endswith(_HOOK)]
        path = os.pathsep.join(os.path.abspath(entry) for entry in entries)  # noqa: PTH100  "" is the folder
        variables = reduce_environment(os.environ.items()) | SINGLE_THREADED if sandboxed else {**os.environ}
        # -P: no imports from the current folder, which may be untrusted, unless this process has it in sys.path.
        # A new session: Ctrl-C is left to the parent, and killing the group also kills programs started by the child.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, str(tasks.fileno()), str(answers)],
            pass_fds=[tasks.fileno(), answers],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env={**variables, "PYTHONPATH": path},
        )
        tasks.close()
        os.close(answers)
        self.permissions = permissions
        self.receiver = Receiver(receiver)
        self.items = 0  # started so far
        self.ready = False  # whether it has reported the missing parts of its sandbox
        self.send((function, (permissions, self.scratch) if sandboxed else None))

    def send(self, value: object) -> None:
        """Send a value to the child. Raises BrokenPipeError if it has ended."""
        self._tasks.send(value)

    def end(self) -> int:
        """Kill it -> its exit code, or the one it had if it was already dead."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._tasks.close()
        self.receiver.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return code


def _make_scratch(folder: str) -> str:
    """Create a new folder in `folder`, which is created if it does not exist."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix=".scratch-", dir=folder)


class ChildFault(RuntimeError):
    """A bug of this program, seen in a child, with its traceback; `summary` is one line with error and location."""

    summary = ""
    step = ""  # the current step, set by the sandbox

    def explain(self, name: str) -> UserError:
        """The message for a user whose file is `name`."""
        return UserError(
            f"{name}: this program fails on it: {self.summary}. Please report this with the traceback, "
            f"which {DEBUG}=1 shows; until it is fixed, leave the file out"
        )


def raise_error(message: Message) -> NoReturn:
    """Raise the error that a child reports, as UserError, OSError or ChildFault."""
    value = message.value if isinstance(message.value, dict) else {}
    text = check_text(value.get("text"))
    if value.get("error") == "user":
        raise UserError(text)
    if value.get("error") == "system" and type(number := value.get("number")) is int:
        raise OSError(number, text, check_text(value.get("file")) or None)
    fault = ChildFault(f"in a worker:\n{text}")
    fault.summary = check_text(value.get("summary"))
    raise fault


def serve(tasks: int, answers: int) -> None:
    """The child's main loop: receives tasks, which run in a second thread, so that it notices the parent's end."""
    pipe: Connection[Any, Any] = Connection(tasks, writable=False)
    os.set_inheritable(tasks, False)
    sender = Sender(answers)
    with ThreadPoolExecutor(1) as thread:  # starts with the first task, inside the sandbox
        try:
            function, sandbox = pipe.recv()
            sender.send(READY, isolate_process(*sandbox) if sandbox else [])
            while True:
                job = pipe.recv()
                thread.submit(_work, sender, function, *job).add_done_callback(partial(_send_error, sender))
        except (EOFError, ConnectionResetError, BrokenPipeError):
            os.killpg(0, signal.SIGKILL)  # including programs that the function has started


def _work(
    sender: Sender,
    function: ChildFunction,
    task: object,
    items: Sequence[str],
    failures: Mapping[str, Failure],
    at: str,
) -> None:
    function.prepare(task)
    for item in items:
        steps = function.work(task, item, failures, at)
        while True:
            try:
                sender.send(STEP, next(steps))
            except StopIteration as end:
                sender.send(ANSWER, end.value[0], end.value[1])
                break


def _send_error(sender: Sender, future: "Future[None]") -> None:
    error = future.exception()
    if error is not None:
        with suppress(BrokenPipeError):  # the parent is gone, so this process is about to exit
            sender.send(ERROR, _describe(error))


def _describe(error: BaseException) -> dict[str, object]:
    """The error as JSON: a UserError by its message, an OSError by its parts, any other with its traceback."""
    if isinstance(error, UserError):
        return {"error": "user", "text": str(error)}
    if isinstance(error, OSError) and error.errno is not None:
        return {"error": "system", "number": error.errno, "text": error.strerror, "file": str(error.filename or "")}
    trace = "".join(traceback.format_exception(error))[-MAX_TEXT:]  # the error is at the end
    return {"error": "fault", "text": trace, "summary": _summarise(error)}


def _summarise(error: BaseException) -> str:
    """An error and the innermost line of this program in its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename.startswith(OWN_CODE)), frames[-1])
    path = frame.filename.removeprefix(f"{Path(OWN_CODE).parent}{os.sep}")
    shown = textwrap.shorten(f"{type(error).__name__}: {outer_lines(str(error))}", LONGEST_FAULT)
    return f"{shown} ({path}, line {frame.lineno})"
