"""Requests to stop: Ctrl-C, SIGTERM, or the death of the DVC that started the run."""

import re
import signal
from collections.abc import Sequence
from pathlib import PurePath
from types import FrameType
from typing import Self

import psutil

PYTHON = re.compile(r"(python|pypy)[\d.]*")


class StopRequests:
    """While entered, a first signal only raises the flag; a second one acts as it always does, unless `patient`.

    DVC does not hand SIGTERM on to its stages: a trainer that outlives its DVC stops, too.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._asked = False
        self._patient = patient
        self._dvc = next((parent for parent in psutil.Process().parents() if is_dvc(_command(parent))), None)
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for name in (signal.SIGINT, signal.SIGTERM):
            self._before[name] = signal.signal(name, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def __bool__(self) -> bool:
        return self._asked or (self._dvc is not None and _has_ended(self._dvc))

    def _note(self, number: int, _: FrameType | None) -> None:
        self._asked = True
        if not self._patient:
            signal.signal(number, self._before[signal.Signals(number)])


def is_dvc(command: Sequence[str]) -> bool:
    """Whether a command line runs DVC itself, as `dvc` or `python -m dvc`, and does not only mention it."""
    names = [PurePath(word).name for word in command]
    if not names or names[0] == "dvc":
        return bool(names)
    if not PYTHON.fullmatch(names[0]):
        return False
    named = [word for word in command[1:] if word in ("-m", "-c") or not word.startswith("-")]
    return named[:2] == ["-m", "dvc"] or PurePath(*named[:1]).name == "dvc"


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _has_ended(process: psutil.Process) -> bool:
    try:  # a process that nobody has asked about since it ended still counts as running
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
