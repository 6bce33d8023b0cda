"""Sandboxed functions for the tests, in a module that a child process can import; words of a task say what they do."""

import os
import signal
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.compute.sandbox import Failure
from pipeline.errors import UserError


class Words(NamedTuple):
    """A task: what to do, word by word, and a folder for notes."""

    words: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return " ".join(self.words)


def act(task: Words, failures: Mapping[str, Failure]) -> Generator[str | None, None, list[str]]:
    """Do what each word says; the result is the words that went well, and the failures."""
    done = []
    for word in task.words:
        yield word
        if word in failures:
            done.append(f"{failures[word].kind}: {failures[word].detail}")
        else:
            _act(word, task.folder)
            done.append(word)
    yield None
    if "pause" in task.words:
        time.sleep(1.5)
    return done


def _act(word: str, folder: Path) -> None:
    with (folder / word).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if word == "hang":
        time.sleep(600)
    if word == "nap":
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


def die_outside(*_: object) -> Generator[str | None, None, None]:
    """Die at no item."""
    yield None
    signal.raise_signal(signal.SIGKILL)
