"""Folders for what a run keeps outside the DVC graph, each under a name that only an equal run has.

DVC deletes a stage's outputs before it runs, and a file kept inside the graph would be handed to every point of a
sweep. So what an interrupted run goes on from lies in `$DVC_ROOT/.dvc/tmp/state/<name>`, where the name covers
params, inputs and code.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ROOT = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc" / "tmp" / "state"

LOCK = "lock"


@contextmanager
def hold_folder(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the folder for this run alone and yield whether it is ours: where an equal run has it, `wait` decides.

    The lock falls when the process ends, however it does.
    """
    file = _lock_file(folder)
    try:
        while not _lock(file, folder, wait=wait):
            if not wait:
                yield False
                return
            file.close()
            file = _lock_file(folder)
        yield True
    finally:
        file.close()


def remove_abandoned(root: Path, kind: str, keep: int) -> None:
    """Remove the states `<kind>-*` except those in use and the `keep` newest.

    A state is abandoned when params, inputs or code change before its run is whole. Some are kept, since the points
    of an interrupted sweep come back to theirs; all of them would fill the disk in silence.
    """
    folders = [path for path in root.glob(f"{kind}-*") if path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)[keep:]:
        with hold_folder(folder, wait=False) as is_ours:
            if is_ours:
                shutil.rmtree(folder)


def _lock_file(folder: Path) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / LOCK).open("w")


def _lock(file: TextIO, folder: Path, *, wait: bool) -> bool:
    """Whether the lock is ours now, and still the one in the folder: its last holder may have removed that."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        print(f"{folder}: an equal run is in progress; waiting for its end", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        return os.path.samestat((folder / LOCK).stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
