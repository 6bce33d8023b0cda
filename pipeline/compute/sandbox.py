"""Runs a function on untrusted items in a sandboxed child process, replaced if an item hangs, kills or hijacks it.

The child processes the items of a task in turn and answers for each; the answers are checked here. An item on which it
hangs, or dies repeatedly, fails, and a new child continues with the others. A child that gives a bad answer may have
been compromised by an earlier item, so each remaining item then gets a new child.
"""

import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from pipeline.compute.child import (
    ANSWER,
    ERROR,
    READY,
    STEP,
    AnswerTimeout,
    BadAnswer,
    Child,
    ChildFault,
    ChildFunction,
    Failure,
    Message,
    raise_error,
)
from pipeline.compute.isolation import PARTS, Permissions
from pipeline.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

SandboxMode = Literal["require", "auto", "off"]

DISTRUST = "the worker sent an invalid answer"

# The first death may have another cause (another process used up the memory of the machine); a second one on the same
# item is attributed to the item.
DEATHS = 2


class SandboxedFunction(ChildFunction, Protocol[TaskIn, ResultOut]):
    """The half that runs in the child (see ChildFunction), and the half in the parent, which does not trust it."""

    def list_steps(self, task: TaskIn) -> Mapping[str, Sequence[str]]:
        """The items of a task in order, each with the names of all its possible steps."""
        ...

    def find_permissions(self, task: TaskIn) -> Permissions:
        """The permissions that the child needs for a task."""
        ...

    def count_bytes(self, task: TaskIn, item: str) -> int:
        """The maximum number of bytes of an answer."""
        ...

    def check(self, task: TaskIn, item: str, value: Any, content: bytearray) -> Any:
        """Check an answer -> its content. Raises BadAnswer if it is invalid."""
        ...

    def finish(self, task: TaskIn, found: Mapping[str, Any], failures: Mapping[str, Failure]) -> ResultOut:
        """The result of a task, from the checked answers of items that did not fail."""
        ...


class Sandbox(Generic[Task, Result]):
    """A sandboxed function as a callable of its task, with a child that is replaced when necessary.

    A step fails if it takes more than `seconds` of wall time, or if the child dies on it twice. Raises the function's
    UserError and OSError, ChildFault for its other errors, and BrokenExecutor if the child dies twice outside any item,
    or after `close`.
    """

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode = "auto") -> None:
        self.function, self.seconds, self.mode = function, seconds, mode
        self._lock = threading.Lock()  # for starting and ending the child: `close` may come from another thread
        self._closed = False
        self._child: Child | None = None
        self._step: str | None = None
        self._alone = False  # whether each item gets a new child

    def __call__(self, task: Task) -> Result:
        steps = self.function.list_steps(task)
        found: dict[str, Any] = {}
        failures: dict[str, Failure] = {}
        deaths: Counter[str | None] = Counter()
        self._alone = False
        while left := [item for item in steps if item not in found and item not in failures]:
            self._step = None
            try:
                self._work(task, left[:1] if self._alone else left, steps, failures, found)
            except AnswerTimeout:
                self._replace()
                failures[str(self._step)] = Failure("hung", f"not done after {self.seconds:g} seconds")
            except (EOFError, BrokenPipeError, ConnectionResetError):
                death = _explain_exit(self._replace())
                deaths[self._step] += 1
                if deaths[self._step] == DEATHS:
                    if self._step is None:
                        raise BrokenExecutor(death) from None
                    failures[self._step] = Failure("died", f"{death}, {DEATHS} times")
            except BadAnswer as error:
                self._judge(error, left, found, failures)
            except ChildFault as fault:
                fault.step = self._step or ""
                raise
            if self._alone:
                self._replace()
        return self.function.finish(task, found, failures)

    def close(self) -> None:
        """Kill the child."""
        with self._lock:
            self._closed = True
            self._end()

    def _judge(
        self, error: BadAnswer, left: Sequence[str], found: Mapping[str, Any], failures: dict[str, Failure]
    ) -> None:
        """Blame a bad answer on its item if the child has seen no other item; else retry in new children."""
        seen = self._child.items if self._child else 0
        self._replace()
        if seen > 1:
            self._alone = True
            return
        item = next(item for item in left if item not in found)
        failures[item] = Failure("invalid_answer", f"{DISTRUST}: {error}")

    def _work(
        self,
        task: Task,
        items: Sequence[str],
        steps: Mapping[str, Sequence[str]],
        failures: Mapping[str, Failure],
        found: dict[str, Any],
    ) -> None:
        """Send the items to the child, and store the checked answer of each in `found`."""
        child = self._open(self.function.find_permissions(task))
        child.send((task, items, failures, child.scratch))
        for item in items:
            child.items += 1
            self._step = None if self._step is None else item
            left = set(steps[item])
            most = self.function.count_bytes(task, item)
            while (message := self._receive(child, most)).kind == STEP:
                if not isinstance(message.value, str) or message.value not in left or message.content:
                    raise BadAnswer(f"unknown step {str(message.value)[:80]!a}")
                left.remove(message.value)
                self._step = message.value
            if item in left:
                raise BadAnswer("an answer before the first step")
            found[item] = self.function.check(task, item, message.value, message.content)
        if child.scratch:
            _empty(Path(child.scratch))

    def _receive(self, child: Child, most: int) -> Message:
        """The next step or answer of a child. Raises the error that it reports instead."""
        look = partial(check_disk_use, Path(child.scratch)) if child.scratch else None
        seconds = self.seconds if self._step is not None else None
        message = child.receiver.receive(seconds, most, look)
        if message.kind == READY and not child.ready:
            child.ready = True
            refuse_or_warn([part for part in PARTS if part in message.value], self.mode)
            message = child.receiver.receive(seconds, most, look)
        if message.kind == ERROR:
            raise_error(message)
        if message.kind not in (STEP, ANSWER):
            raise BadAnswer("a second ready message")
        return message

    def _open(self, permissions: Permissions) -> Child:
        """The current child; a new one is started if there is none or its permissions do not suffice."""
        with self._lock:
            if self._closed:
                raise BrokenExecutor("closed")
            if self._child is not None and not self._child.permissions.cover(permissions):
                permissions = permissions.join(self._child.permissions)
                self._end()
            if self._child is None:
                self._child = Child(self.function, permissions, sandboxed=self.mode != "off")
            return self._child

    def _replace(self) -> int:
        with self._lock:
            return self._end()

    def _end(self) -> int:
        """Kill the child -> its exit code, or the one it had if it was already dead."""
        child, self._child = self._child, None
        return child.end() if child else 0


def refuse_or_warn(missing: Sequence[str], mode: SandboxMode) -> None:
    """Raise UserError if parts of the sandbox are missing and required; in mode `auto`, warn once."""
    if missing and mode == "require":
        raise UserError(describe_missing(missing))
    if missing and mode == "auto":
        _warn_once(describe_missing(missing))


@cache
def _warn_once(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def describe_missing(missing: Sequence[str]) -> str:
    """The message for a user whose kernel lacks parts of the sandbox."""
    return f"the sandbox is incomplete on this machine: it cannot restrict {'; '.join(missing)}; see compute.sandbox"


def check_disk_use(folder: Path) -> None:
    """Raise BadAnswer if the files in a folder take more space than is free on its disk.

    Without Landlock, the process may remove its files meanwhile.
    """
    used = 0
    for parent, folders, files in os.walk(folder):  # goes on where a folder vanishes
        for name in folders + files:
            with suppress(FileNotFoundError):
                used += Path(parent, name).lstat().st_blocks * 512
    if used > shutil.disk_usage(folder).free:
        raise BadAnswer(f"{used:,} bytes of files that it wrote, more than the disk has left")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _explain_exit(code: int) -> str:
    if code == -signal.SIGSYS:
        return "the process made a system call that its sandbox forbids (SIGSYS)"
    return f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"
