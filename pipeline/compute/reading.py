"""Calls a function that opens untrusted files in a sandboxed process -> its checked answer.

The process may only read the paths that the call names. The function's output is returned with its answer, and any
failure becomes one message that names the file.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

from pipeline.compute.child import MAX_TEXT, BadAnswer, ChildFault, Failure, Work, check_text
from pipeline.compute.isolation import LIBRARIES, Permissions, find_missing, memory_limit
from pipeline.compute.sandbox import DISTRUST, Sandbox, refuse_or_warn
from pipeline.errors import UserError, describe_fault, escape_controls
from pipeline.files import CACHED

Checked = TypeVar("Checked")
Answer = tuple[object, Sequence[memoryview]]  # a small value for JSON, and the bulk as bytes
Stream = Literal["stdout", "stderr"]

FOLLOWED = 100  # links directly in one folder
SECONDS = 3600.0  # ten million rows take minutes
MAX_LETTERS = 1 << 17  # characters of output; as JSON, they fit into a message
TOO_LARGE = "too large for the memory of this machine"
WAY_OUT = {
    "died": "free some memory, or read less at once; if neither is short, a file in it is damaged or harmful",
    "hung": "take out the files that it may be, or read less at once",
    "invalid_answer": "a file in it may have taken over the process, which could do no harm: do not use it",
}


@dataclass(frozen=True)
class Reading:
    """A call; the function and its arguments must be picklable by the names of their modules."""

    name: str  # of the file, for messages
    function: Callable[..., Answer]
    arguments: tuple[Any, ...]
    opens: tuple[Path, ...]  # files, and folders with their content, including links to DVC's cache
    max_bytes: int  # of an answer, besides its JSON
    packages: tuple[str, ...] = ()  # that the function needs and that cannot be imported inside the sandbox
    machine_code: bool = False  # see Permissions


def read_sandboxed(
    reading: Reading, check: Callable[[Any, bytearray], Checked], mode: Literal["require", "auto"]
) -> Checked:
    """Make the call -> the result of `check` on the answer's value and bytes; the function's output is printed here.

    `check` raises BadAnswer or ValueError for an invalid answer. Raises the function's UserError, or another one if its
    process dies, hangs, fails or gives an invalid answer.
    """
    refuse_or_warn(find_missing(), mode)
    packages = tuple(_Package(name) for name in reading.packages if find_spec(name))
    sandbox: Sandbox[Reading, _Outcome] = Sandbox(_Caller(reading.function, packages), SECONDS, mode)
    with closing(sandbox), _guard_memory(reading.name):
        try:
            outcome = sandbox(reading)
        except ChildFault as fault:
            raise fault.explain(reading.name) from fault
        except BrokenExecutor as death:
            raise _give_up(reading.name, Failure("died", str(death))) from None
        except OSError as error:  # reported by the process, so its text is not trusted
            raise UserError(f"{reading.name}: cannot be read: {describe_fault(error)}") from None
    for stream, text in outcome.notes:
        print(text, end="", file=getattr(sys, stream))
    if outcome.refusal:
        raise UserError(outcome.refusal)
    try:
        with _guard_memory(reading.name):
            return check(outcome.value, outcome.content)
    except (BadAnswer, ValueError, RecursionError) as error:
        raise _give_up(reading.name, Failure("invalid_answer", f"{DISTRUST}: {describe_fault(error)}")) from None


@contextmanager
def _guard_memory(name: str) -> Iterator[None]:
    """Turn MemoryError into UserError: an answer may need, or claim to need, many times the size of the file."""
    try:
        with memory_limit(_count_share()):
            yield
    except MemoryError:
        raise UserError(f"{name}: {TOO_LARGE}") from None


def _count_share() -> int:
    """Half of this machine's memory: one half is for the child, the other for its answer in this process."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _find_roots(top: Path) -> set[str]:
    """The file or folder, and DVC's cache if it, or a link in it, leads there.

    Only some links of each folder are followed, since all links of a dataset lead to the same cache.
    """
    found = (CACHED.match(os.path.realpath(link)) for link in (str(top), *_list_links(str(top))))
    return {os.path.realpath(top)} | {cached[1] for cached in found if cached}


def _list_links(top: str) -> Iterator[str]:
    """The first links of each folder; folders that cannot be listed are skipped, as readers do."""
    folders = [top]
    while folders:
        left = FOLLOWED
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:  # no stat per file: large datasets have many
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif left and entry.is_symlink():
                    left -= 1
                    yield entry.path


class _Outcome(NamedTuple):
    notes: Sequence[tuple[Stream, str]]
    value: Any
    content: bytearray
    refusal: str  # why there is no answer, or empty


@dataclass(frozen=True)
class _Package:
    """The name of a package, which is imported on unpickling."""

    name: str

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        return import_module, (self.name,)


@dataclass(frozen=True)
class _Caller:
    """The sandboxed function; the call is its only item."""

    function: Callable[..., Answer]  # unpickling imports its module before the sandbox is applied
    packages: tuple["_Package", ...]  # likewise

    def list_steps(self, task: Reading) -> Mapping[str, Sequence[str]]:
        return {task.name: (task.name,)}

    def find_permissions(self, task: Reading) -> Permissions:
        """Its files, half of the machine's memory, and system libraries, since some packages are imported lazily."""
        roots = {root for path in task.opens for root in _find_roots(path)}
        return Permissions(frozenset({*roots, *LIBRARIES}), memory_bytes=_count_share(), machine_code=task.machine_code)

    def count_bytes(self, task: Reading, _: str) -> int:
        return task.max_bytes

    def prepare(self, _: Reading) -> None:
        pass

    def work(self, task: Reading, item: str, *_: object) -> Work:
        """In the child: call the function."""
        yield item
        notes = _Notes()
        try:
            with redirect_stdout(_Recorder("stdout", notes)), redirect_stderr(_Recorder("stderr", notes)):
                value, contents = self.function(*task.arguments)
        except UserError as error:
            return {"notes": notes.texts, "refusal": str(error)[:MAX_TEXT]}, ()
        except PermissionError as error:
            return {"notes": notes.texts, "refusal": _explain_denial(task.name, error)}, ()
        except MemoryError:
            return {"notes": notes.texts, "refusal": f"{task.name}: {TOO_LARGE}"}, ()
        if (length := sum(content.nbytes for content in contents)) > task.max_bytes:
            refusal = f"{task.name}: {length:,} bytes are read from it, and {task.max_bytes:,} are the most; read less"
            return {"notes": notes.texts, "refusal": f"{refusal} at once, or see compute.sandbox"}, ()
        return {"notes": notes.texts, "value": value}, contents

    def check(self, _: Reading, __: str, value: Any, content: bytearray) -> _Outcome:
        match value:
            case {"notes": list(notes), "refusal": refusal} if len(value) == 2 and refusal and not content:
                return _Outcome(_check_notes(notes), None, content, check_text(refusal))
            case {"notes": list(notes), "value": answer} if len(value) == 2:
                return _Outcome(_check_notes(notes), answer, content, "")
        raise BadAnswer("an answer of another shape")

    def finish(self, task: Reading, found: Mapping[str, _Outcome], failures: Mapping[str, Failure]) -> _Outcome:
        if failures:
            raise _give_up(task.name, failures[task.name])
        return found[task.name]


@dataclass
class _Notes:
    """Captured output, in order, up to MAX_LETTERS characters."""

    texts: list[list[str]] = field(default_factory=list)  # pairs of a stream and a text
    left: int = MAX_LETTERS

    def add(self, stream: Stream, text: str) -> None:
        text = text[: self.left]
        self.left -= len(text)
        if self.texts and self.texts[-1][0] == stream:
            self.texts[-1][1] += text
        elif text:
            self.texts.append([stream, text])


class _Recorder(io.TextIOBase):
    """A stream that captures what is written to it."""

    def __init__(self, stream: Stream, notes: _Notes) -> None:
        self._stream, self._notes = stream, notes

    def write(self, text: str) -> int:
        self._notes.add(self._stream, text)
        return len(text)


def _check_notes(notes: list[Any]) -> list[tuple[Stream, str]]:
    checked: list[tuple[Stream, str]] = []
    for note in notes:
        match note:
            case ["stdout" | "stderr" as stream, str(text)] if len(text) <= MAX_LETTERS:
                checked.append((stream, escape_controls(_drop_overwritten(text))))
            case _:
                raise BadAnswer(f"invalid output: {str(note)[:80]!a}")
    return checked


def _drop_overwritten(text: str) -> str:
    """The text without parts overwritten after a carriage return: only the last state of a progress bar remains."""
    *lines, last = text.split("\n")
    kept = [line.removesuffix("\r").rpartition("\r")[2] + "\r" * line.endswith("\r") for line in lines]
    return "\n".join([*kept, last.rpartition("\r")[2]])


def _explain_denial(name: str, error: PermissionError) -> str:
    file = error.filename or name
    way = "put a copy in the place of a link that leads out of the folder, or correct the permissions of the file"
    return f"{file}: permission denied; what reads {name} opens what is in it and in DVC's cache alone: {way}"


def _give_up(name: str, failure: Failure) -> UserError:
    return UserError(f"{name}: cannot be read: {failure.detail}; {WAY_OUT[failure.kind]}")
