"""Runs a function on untrusted items in a sandboxed child process, replaced when an item hangs, kills or hijacks it.

The child works on the items of a task in turn and answers for each; the answers are checked here. An item during which
it hung or died is given up, and a new child continues with the others. A child that gives a bad answer may have been
compromised by an earlier item, so from then on each remaining item gets a child of its own.
"""

import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from pipeline.compute.child import Child, ChildFault, ChildFunction, Failure, raise_error
from pipeline.compute.isolation import PARTS, Permissions
from pipeline.compute.messages import ANSWER, ERROR, READY, STEP, AnswerTimeout, BadAnswer, Message
from pipeline.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

SandboxMode = Literal["require", "auto", "off"]

DISTRUST = "the worker was not to be trusted"

# One death may come from outside (the machine ran out of memory, and another process was the cause); a second one on
# the same item, seconds later, comes from the item.
DEATHS = 2


class SandboxedFunction(ChildFunction, Protocol[TaskIn, ResultOut]):
    """What is done in the child, see ChildFunction, and the half that trusts nothing of it, in the parent."""

    def list_steps(self, task: TaskIn) -> Mapping[str, Sequence[str]]:
        """The items of a task in order, each with all steps that may be taken for it."""
        ...

    def find_permissions(self, task: TaskIn) -> Permissions:
        """What the child may read and start; `folder` is where its own folder is made."""
        ...

    def count_bytes(self, task: TaskIn, item: str) -> int:
        """How many bytes an answer may have, at most."""
        ...

    def check(self, task: TaskIn, item: str, value: Any, content: bytearray) -> Any:
        """The checked content of an answer. Raises BadAnswer if it cannot be one."""
        ...

    def finish(self, task: TaskIn, found: Mapping[str, Any], failures: Mapping[str, Failure]) -> ResultOut:
        """The result, from the checked answer of each item that did not fail."""
        ...


class Sandbox(Generic[Task, Result]):
    """A sandboxed function that is called with its task alone, in one child after another.

    A step fails at once when it takes more than `seconds` of the clock, and when the child dies of it twice. Raises
    what the function raises, ChildFault in place of what no user can act on, and BrokenExecutor where the child dies
    twice outside any item, or after `close`.
    """

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode = "auto") -> None:
        self.function, self.seconds, self.mode = function, seconds, mode
        self._lock = threading.Lock()  # around the life of the child: `close` comes from another thread
        self._closed = False
        self._child: Child | None = None
        self._step: str | None = None
        self._alone = False  # whether each item gets a child of its own

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
        """End the child, whatever it is doing."""
        with self._lock:
            self._closed = True
            self._end()

    def _judge(
        self, error: BadAnswer, left: Sequence[str], found: Mapping[str, Any], failures: dict[str, Failure]
    ) -> None:
        """A bad answer is the fault of its item where the child has seen no other item."""
        seen = self._child.items if self._child else 0
        self._replace()
        if seen > 1:
            self._alone = True
            return
        item = next(item for item in left if item not in found)
        failures[item] = Failure("lied", f"{DISTRUST}: {error}")

    def _work(
        self,
        task: Task,
        items: Sequence[str],
        steps: Mapping[str, Sequence[str]],
        failures: Mapping[str, Failure],
        found: dict[str, Any],
    ) -> None:
        """Send the items to the child, and put the checked answer of each into `found`."""
        child = self._open(self.function.find_permissions(task))
        child.send((task, items, failures, child.scratch))
        for item in items:
            child.items += 1
            self._step = None if self._step is None else item
            left = set(steps[item])
            most = self.function.count_bytes(task, item)
            while (message := self._receive(child, most)).kind == STEP:
                if not isinstance(message.value, str) or message.value not in left or message.content:
                    raise BadAnswer(f"a step that there is not: {str(message.value)[:80]!a}")
                left.remove(message.value)
                self._step = message.value
            if item in left:
                raise BadAnswer("an answer before the first step")
            found[item] = self.function.check(task, item, message.value, message.content)
        if child.scratch:
            _empty(Path(child.scratch))

    def _receive(self, child: Child, most: int) -> Message:
        """The next step or answer of a child. Raises what it tells of in their place."""
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
            raise BadAnswer("a second beginning")
        return message

    def _open(self, permissions: Permissions) -> Child:
        """The child, which is started if there is none, or one that may do less than is needed."""
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
        """End the child -> its exit code, that of its own death if it was dead already."""
        child, self._child = self._child, None
        return child.end() if child else 0


def refuse_or_warn(missing: Sequence[str], mode: SandboxMode) -> None:
    """Raise UserError for a part of a sandbox that is missing and required; warn of any other once."""
    if missing and mode == "require":
        raise UserError(describe_missing(missing))
    if missing and mode == "auto":
        _warn_once(describe_missing(missing))


@cache
def _warn_once(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def describe_missing(missing: Sequence[str]) -> str:
    """The message for a user whose kernel lacks parts of a sandbox."""
    return f"this machine cannot keep what opens untrusted files from {'; '.join(missing)}; see compute.sandbox"


def check_disk_use(folder: Path) -> None:
    """Raise BadAnswer if there is more in a folder than is left on its disk."""
    used = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    if used > shutil.disk_usage(folder).free:
        raise BadAnswer(f"{used:,} bytes of files that it wrote, which fills the disk")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _explain_exit(code: int) -> str:
    if code == -signal.SIGSYS:
        return "the process asked the system for what its sandbox forbids (SIGSYS)"
    return f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"
