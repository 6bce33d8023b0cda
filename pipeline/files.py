"""Files: atomic writes, JSON and CSV, digests; and state folders of unfinished runs.

An interrupted run resumes from its state folder, `$DVC_ROOT/.dvc/tmp/state/<name>`, whose name depends on params,
inputs and code. It is outside the DVC graph: DVC deletes a stage's outputs before it runs, and hands the files of the
graph to every point of a sweep.
"""

import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import UserError

BLOCK = 1 << 16  # bytes per read
POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024  # bytes

# The target of a link with which DVC replaced a tracked file; group 1 is the cache folder.
CACHED = re.compile(r"(.*/(?:files/md5|\.dvc/cache))/[0-9a-f]{2}/[0-9a-f]{30}\Z", re.DOTALL)

STATES = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc" / "tmp" / "state"

LOCK = "lock"
PAUSE = 0.1  # seconds between attempts to lock
MAX_ATTEMPTS = 100  # to lock a folder that others remove


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes that name only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept, since encoders choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # Errors of writes, such as on a full disk, name no file, and others one that the reader has never seen.
        if error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys; equal values give equal bytes."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV; equal cells give equal bytes."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file holds only what Git LFS puts in place of the one that is meant."""
    try:
        with path.open("rb") as file:
            return file.read(len(POINTER)) == POINTER
    except OSError:  # reported when the file is used
        return False


def refuse_lfs_pointer(path: Path) -> None:
    """Raise UserError for a pointer of Git LFS, with the way to the file itself."""
    if path.is_file() and path.stat().st_size <= LONGEST_POINTER and is_lfs_pointer(path):
        raise UserError(f"{path}: a pointer of Git LFS in place of the file; `git lfs pull` fetches it")


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file. Raises UserError that names the file, the fault and the remedy."""
    refuse_lfs_pointer(path)
    try:
        content = path.read_bytes()
        # Some programs write a byte order mark, or UTF-16. Deep nesting raises RecursionError.
        return json.loads(content.decode(json.detect_encoding(content)))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); {remedy}") from None


def read_json_object(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON file that holds an object. Raises UserError as read_json does, also for other values."""
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object; {remedy}")
    return value


def read_product(path: Path) -> dict[str, Any]:
    """A JSON object written by a stage; empty if the file does not exist. Raises UserError if it is broken."""
    return read_json_object(path, "`dvc repro` writes it again") if path.is_file() else {}


def read_section(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object at a key of a JSON object; empty if there is none."""
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def digest_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    # Unbuffered: for small files allocating a buffer costs more than reading.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  faster for a str
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_value(value: Any) -> str:
    """SHA-256 of a JSON-able value, in hex; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def try_lock(path: Path) -> TextIO | None:
    """Lock a file, which is created if it does not exist -> the open file; None if another process has locked it.

    The lock is released when the file is closed and, in whatever way a process ends, at its end.
    """
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def lock_folder(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock a folder and yield whether that succeeded. If an equal run holds the lock, `wait` for it, or yield False."""
    announced = False
    while (file := _try_lock_folder(folder)) is None:
        if not wait:
            yield False
            return
        if not announced:
            print(f"{folder}: an identical run is in progress; waiting for its end", file=sys.stderr)
            announced = True
        time.sleep(PAUSE)
    with file:
        yield True


def find_states(root: Path, kind: str) -> list[Path]:
    """The states `<kind>-*`, the newest first."""
    times: dict[Path, int] = {}
    for path in root.glob(f"{kind}-*"):
        with suppress(FileNotFoundError):  # another process removes it
            if path.is_dir():
                times[path] = path.stat().st_mtime_ns
    return sorted(times, key=lambda path: times[path], reverse=True)


def remove_abandoned(root: Path, kind: str, keep: int) -> None:
    """Remove the states `<kind>-*` except those in use and the `keep` newest.

    A state is abandoned if params, inputs or code change before its run is complete. Some are kept, since the points
    of an interrupted sweep resume from them; keeping all would fill the disk.
    """
    for folder in find_states(root, kind)[keep:]:
        with lock_folder(folder, wait=False) as is_ours:
            if is_ours:
                remove_state(folder)


def remove_state(folder: Path) -> None:
    """Remove the folder of a state, locked by this process; what others create in it meanwhile may remain."""
    shutil.rmtree(folder, ignore_errors=True)


def _try_lock_folder(folder: Path) -> TextIO | None:
    """Lock a folder, which is created if it does not exist -> its lock file; None if another process has locked it."""
    attempts = 0
    while True:
        with suppress(FileExistsError):  # it was removed between the two steps of `mkdir`
            folder.mkdir(parents=True, exist_ok=True)
        try:
            file = try_lock(folder / LOCK)
        except FileNotFoundError:  # its last holder has removed the folder
            attempts += 1
            if attempts == MAX_ATTEMPTS:
                raise
            continue
        if file is None or _is_at(file, folder / LOCK):
            return file
        file.close()


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether an open file is still in its folder."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
