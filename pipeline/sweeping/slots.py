"""Cores and GPUs of this machine, lent to one point at a time, over all sweeps of this user.

Each core and each GPU has a file, and who holds its lock has the device. The locks fall when the processes that hold
them end, however they do.
"""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

FOLDER = Path(os.environ.get("T2V_SLOTS") or Path(tempfile.gettempdir()) / f"t2v-slots-{os.getuid()}")
TURN = "turn"


class Slots:
    """Devices that are held by an open file each."""

    def __init__(self, kind: str, files: dict[str, TextIO]) -> None:
        self.kind, self.names, self._files = kind, tuple(files), files

    def descriptors(self) -> list[int]:
        """What a process has to inherit to hold them as well."""
        return [file.fileno() for file in self._files.values()]

    def release(self) -> None:
        """Hold them no longer in this process."""
        for file in self._files.values():
            file.close()


class SlotQueue:
    """Lends `each` of the devices `names` of one kind at a time. Sweeps take turns, so that none waits for ever."""

    def __init__(self, kind: str, names: Sequence[str], each: int, folder: Path = FOLDER) -> None:
        self.kind, self.names, self.each, self.folder = kind, names, each, folder
        self._turn: TextIO | None = None
        self._held: dict[str, TextIO] = {}

    def take(self) -> Slots | None:
        """Devices that nobody else has; None while there are too few: ask again. Does not wait."""
        if not self.each:
            return Slots(self.kind, {})
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._turn = self._turn or self._lock(TURN)
        if self._turn is None:  # another sweep is waiting already
            return None
        for name in self.names:
            if len(self._held) < self.each and name not in self._held and (file := self._lock(name)):
                self._held[name] = file
        if len(self._held) < self.each:
            return None
        slots = Slots(self.kind, {name: self._held[name] for name in self.names if name in self._held})
        self._turn.close()
        self._turn, self._held = None, {}
        return slots

    def leave(self) -> None:
        """Give back what was gathered so far, and the turn."""
        for file in [*self._held.values(), *filter(None, [self._turn])]:
            file.close()
        self._turn, self._held = None, {}

    def _lock(self, name: str) -> TextIO | None:
        file = (self.folder / f"{self.kind}-{name}").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file
