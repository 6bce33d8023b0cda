"""The processes of a point, found by a variable that all of them inherit, and ended."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

POINT = "T2V_POINT"  # names the sweep's folder and the point
PAUSE = 0.5  # seconds between two looks at a process
PATIENCE = 120.0  # seconds that an interrupted training may take to save its state


def mark(folder: Path, name: str) -> dict[str, str]:
    """The variable that the processes of a point inherit."""
    return {POINT: str(folder.resolve() / name)}


def find_processes(folder: Path, name: str = "") -> list[psutil.Process]:
    """The processes of a point of the sweep in `folder`, or of all its points; this one is none of them."""
    sought = f"{folder.resolve()}/{name}"
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            value = process.environ().get(POINT, "")
            if (value == sought if name else value.startswith(sought)) and process.pid != os.getpid():
                found.append(process)
    return found


def end_processes(folder: Path, name: str = "", patience: float = 0.0) -> None:
    """End what is left of a point, or of all, after `patience` seconds in which it may end by itself."""
    deadline = time.monotonic() + patience
    told = False
    while left := find_processes(folder, name):
        if time.monotonic() >= deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
        elif not told:
            print(f"{folder.name}: {len(left)} processes of it are still saving; waiting for them", file=sys.stderr)
            told = True
        psutil.wait_procs(left, timeout=PAUSE)
