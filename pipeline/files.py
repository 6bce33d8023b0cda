"""Files: written whole or not at all, read as JSON, and named by what is in them; and the folders of unfinished runs.

Such a folder is for what a run keeps outside the DVC graph, under a name that only an equal run has. DVC deletes a
stage's outputs before it runs, and a file kept inside the graph would be handed to every point of a sweep. So what an
interrupted run goes on from lies in `$DVC_ROOT/.dvc/tmp/state/<name>`, where the name covers params, inputs and code.
"""

import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import UserError

BLOCK = 1 << 16  # bytes read at once
POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024  # bytes

# Where a link leads that DVC has put in the place of a tracked file; before it, the cache as a whole.
CACHED = re.compile(r"(.*/(?:files/md5|\.dvc/cache))/[0-9a-f]{2}/[0-9a-f]{30}\Z", re.DOTALL)

STATES = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc" / "tmp" / "state"

LOCK = "lock"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes that name only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last, since encoders choose their format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # what writes to a full disk does not know the file's name
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys: equal values give equal bytes."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table of comma-separated values: equal cells give equal bytes."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file holds only what Git LFS puts in place of the one that is meant."""
    try:
        with path.open("rb") as file:
            return file.read(len(POINTER)) == POINTER
    except OSError:  # what cannot be read is told where it is needed
        return False


def refuse_lfs_pointer(path: Path) -> None:
    """Raise UserError for a pointer of Git LFS, with the way to the file itself."""
    if path.is_file() and path.stat().st_size <= LONGEST_POINTER and is_lfs_pointer(path):
        raise UserError(f"{path}: a pointer of Git LFS in place of the file; `git lfs pull` fetches it")


def read_json(path: Path, remedy: str) -> Any:
    """Read a file of JSON. Raises UserError that names the file, what is wrong with it and the remedy."""
    refuse_lfs_pointer(path)
    try:
        content = path.read_bytes()
        # Some programs put a byte order mark first, or write UTF-16. Deep nesting ends in RecursionError.
        return json.loads(content.decode(json.detect_encoding(content)))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); {remedy}") from None


def read_section(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of a JSON object that is an object itself; empty where it is none."""
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def digest_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    # Unbuffered: for a small file a large buffer costs more than its bytes.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a path of text is opened sooner
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_value(value: Any) -> str:
    """SHA-256 of a JSON-able value, in hex; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def lock_folder(folder: Path, *, wait: bool) -> Iterator[bool]:
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
        with lock_folder(folder, wait=False) as is_ours:
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
