"""Sandboxed functions for the tests, in a module that a child process can import; words of a task say what they do."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from pipeline.compute.child import Failure, Work
from pipeline.compute.isolation import Permissions
from pipeline.compute.reading import Answer
from pipeline.errors import UserError


class Words(NamedTuple):
    """A task: what to do, word by word, and a folder for notes."""

    words: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return " ".join(self.words)


class Act:
    """Do what each word says; the result is the words that went well, and the failures."""

    def list_steps(self, task: Words) -> dict[str, Sequence[str]]:
        return {word: (word,) for word in task.words}

    def find_permissions(self, _: Words) -> Permissions:
        return Permissions()

    def count_bytes(self, *_: object) -> int:
        return 0

    def prepare(self, _: Words) -> None:
        pass

    def work(self, task: Words, item: str, *_: object) -> Work:
        yield item
        act_word(item, task.folder)
        return item, ()

    def check(self, _task: object, _item: str, value: object, _content: bytearray) -> object:
        return value

    def finish(self, task: Words, found: Mapping[str, str], failures: Mapping[str, Failure]) -> list[str]:
        if "pause" in task.words:
            time.sleep(1.5)
        told = {word: f"{failure.kind}: {failure.detail}" for word, failure in failures.items()}
        return [told.get(word) or found[word] for word in task.words]


def act_word(word: str, folder: Path) -> None:
    if word == "import":
        import_module("csv")
        return
    with (folder / word).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if word == "hang":
        time.sleep(600)
    if word.startswith("nap"):
        time.sleep(0.1)
    if word == "crash":
        signal.raise_signal(signal.SIGSEGV)
    if word == "leave":
        os._exit(3)
    if word == "stumble" and len((folder / word).read_text().splitlines()) == 1:
        signal.raise_signal(signal.SIGKILL)
    if word == "refuse":
        raise UserError("refuse.webm: not wanted; take another")
    if word == "full":
        raise OSError(28, "No space left on device", "/full")
    if word == "fault":
        raise KeyError("a fault of the program")


class DieOutside(Act):
    """Die at no item."""

    def prepare(self, _: Words) -> None:
        signal.raise_signal(signal.SIGKILL)


def answer(word: str) -> Answer:
    """What a reading process does by a word; the answer is the word, as a value and as bytes."""
    print(f"out \x1b[31m{word}")
    print("\r 1 of 2\r 2 of 2\nerr", file=sys.stderr)
    if word == "gorge":
        bytearray(1 << 50)
    if word == "peek":
        Path("/etc/passwd").read_bytes()
    if word == "chatter":
        print("x" * 10**6)
    if word == "import":
        import_module("installed_for_one_user")
    if word == "full":
        raise OSError(28, "No space left on device", "/full")
    if word == "nap":
        time.sleep(600)
    if word == "crash":
        signal.raise_signal(signal.SIGSEGV)
    if word == "fault":
        raise KeyError("a fault of the program")
    if word == "refuse":
        raise UserError("refuse.csv: not wanted; take another")
    return word, [memoryview(word.encode())]
