"""Requests to stop: Ctrl-C, SIGTERM, or the death of the DVC that started the run."""

import signal
from types import FrameType
from typing import Self

import psutil


class StopRequests:
    """While entered, a first signal only raises the flag; a second one acts as it always does.

    DVC does not hand SIGTERM on to its stages: a trainer that outlives its DVC stops, too.
    """

    def __init__(self) -> None:
        self._asked = False
        self._dvc = next((p for p in psutil.Process().parents() if "dvc" in " ".join(_command(p)[:3])), None)
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for name in (signal.SIGINT, signal.SIGTERM):
            self._before[name] = signal.signal(name, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def __bool__(self) -> bool:
        return self._asked or (self._dvc is not None and not self._dvc.is_running())

    def _note(self, number: int, _: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[signal.Signals(number)])


def _command(process: psutil.Process) -> list[str]:
    try:
        return [part.rsplit("/", 1)[-1] for part in process.cmdline()]
    except psutil.Error:
        return []
