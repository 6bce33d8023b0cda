"""A child process that runs the tasks of one function: the parent's handle, the code in the child, and its messages.

Tasks are pickled to the child, since the parent is trusted. The child may have been compromised by what it read, so its
messages, a kind with JSON and bytes of bounded size, are neither executed nor trusted: one that is too long, of an
unknown kind or not JSON raises BadAnswer.
"""

import fcntl
import json
import math
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, Protocol

from pipeline.compute.isolation import SINGLE_THREADED, Permissions, isolate_process, reduce_environment
from pipeline.errors import DEBUG, LONGEST_FAULT, UserError, escape_controls, outer_lines

READY, STEP, ANSWER, ERROR = b"r", b"s", b"a", b"e"
MESSAGE_KINDS = (READY, STEP, ANSWER, ERROR)

MAX_JSON = 1 << 22  # bytes
MAX_TEXT = 4000  # characters of a message to the user
PIPE_BYTES = 1 << 20  # buffer of a pipe, so that the child seldom blocks
LOOK_SECONDS = 0.25  # interval of calls of `look`

_HEADER = struct.Struct("<cIQ")  # kind, bytes of JSON, bytes that follow it


class BadAnswer(Exception):
    """A child's message is malformed or cannot be true."""


class AnswerTimeout(Exception):
    """A child did not answer in time."""


class Message(NamedTuple):
    """One well-formed message; the receiver must check the JSON value."""

    kind: bytes
    value: Any
    content: bytearray


class Sender:
    """The child's end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def send(self, kind: bytes, value: object, contents: Sequence[memoryview] = ()) -> None:
        """Send JSON and bytes. Raises BrokenPipeError if the parent is gone."""
        text = json.dumps(value).encode()
        self._write(_HEADER.pack(kind, len(text), sum(content.nbytes for content in contents)) + text)
        for content in contents:
            self._write(content.cast("B"))

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]


class Receiver:
    """The parent's end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reading = threading.Lock()  # `close` may come from another thread
        self._closed = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        _enlarge(descriptor)

    def receive(self, seconds: float | None, max_bytes: int, look: Callable[[], None] | None = None) -> Message:
        """The next message, with at most `max_bytes` after its JSON; `look` is called regularly while waiting.

        Raises AnswerTimeout after `seconds`, EOFError if the child has ended or the pipe is closed meanwhile, and
        BadAnswer.
        """
        with self._reading:
            return self._receive(math.inf if seconds is None else time.monotonic() + seconds, max_bytes, look)

    def close(self) -> None:
        """Close the pipe, after the end of any `receive` in progress, since the descriptor may be reused."""
        self._closed = True
        with self._reading:
            os.close(self._descriptor)

    def _receive(self, end: float, max_bytes: int, look: Callable[[], None] | None) -> Message:
        kind, length, following = _HEADER.unpack(self._read(_HEADER.size, end, look))
        if kind not in MESSAGE_KINDS or length > MAX_JSON or following > max_bytes:
            raise BadAnswer(f"a message of kind {kind!r} with {length:,} and {following:,} bytes")
        try:
            value = json.loads(self._read(length, end, look))
        except (ValueError, RecursionError):
            raise BadAnswer("a message that is not JSON") from None
        return Message(kind, value, self._read(following, end, look))

    def _read(self, length: int, end: float, look: Callable[[], None] | None) -> bytearray:
        data = bytearray(length)
        left = memoryview(data)
        while left:
            self._wait(end, look)
            count = os.readv(self._descriptor, [left])
            if not count:
                raise EOFError
            left = left[count:]
        return data

    def _wait(self, end: float, look: Callable[[], None] | None) -> None:
        while True:
            left = end - time.monotonic()
            if self._closed:
                raise EOFError
            if left <= 0:
                raise AnswerTimeout
            if self._poll.poll(min(left, LOOK_SECONDS) * 1000):
                return
            if look:
                look()


def check_text(value: object) -> str:
    """A text to display, with control characters escaped, and truncated. Raises BadAnswer if it is not a string."""
    if not isinstance(value, str):
        raise BadAnswer("a value that is not a text")
    return escape_controls(value[:MAX_TEXT])


def pack_texts(texts: Sequence[str]) -> bytes:
    """A separator that occurs in none of the texts, and the texts joined by it: for many, faster than JSON."""
    if not texts:
        return b""
    joined = ((separator, separator.join(texts)) for separator in map(chr, range(sys.maxunicode)))
    separator, whole = next(pair for pair in joined if pair[1].count(pair[0]) == len(texts) - 1)
    return (separator + whole).encode("utf-8", "surrogatepass")  # file names that are not UTF-8 contain lone surrogates


def unpack_texts(data: memoryview | bytearray) -> list[str]:
    """The inverse of `pack_texts`. Raises UnicodeDecodeError."""
    text = str(data, "utf-8", "surrogatepass")
    return text[1:].split(text[0]) if text else []


def split_content(content: bytearray, lengths: object, count: int) -> list[memoryview]:
    """Split the bytes of a message into `count` parts of these untrusted lengths. Raises BadAnswer."""
    if not isinstance(lengths, list) or len(lengths) != count or not {*map(type, lengths)} <= {int}:
        raise BadAnswer(f"invalid lengths of {count:,} parts")
    ends = [*accumulate(lengths, initial=0)]
    if min(lengths, default=0) < 0 or ends[-1] != len(content):
        raise BadAnswer(f"{len(content):,} bytes, which do not match the lengths of {count:,} parts")
    view = memoryview(content)
    return [view[start:end] for start, end in pairwise(ends)]


def _enlarge(descriptor: int) -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):  # the user has too many pipes
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


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
