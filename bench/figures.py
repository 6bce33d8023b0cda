"""Figures of many training runs in one file, so that an interrupted comparison resumes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from bench.measuring import describe_machine
from pipeline.errors import UserError
from pipeline.files import read_json, write_json


def choose(asked: str, known: Iterable[str], file: Path) -> list[str]:
    """The requested names, separated by commas; all names in the file by default. Raises UserError if unknown."""
    known = list(known)
    chosen = asked.split(",") if asked else known
    if unknown := set(chosen).difference(known):
        raise UserError(f"{', '.join(sorted(unknown))}: not in {file}; there are {', '.join(known)}")
    return chosen


class FigureTable:
    """Entries by kind and name, saved whenever one is added."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self.tree: dict[str, Any] = read_json(path, "") if path.exists() else {}
        self.tree |= {"machine": describe_machine()}

    def find(self, kind: str, name: str, digest: str) -> Any:
        """The earlier entry with equal params, or None."""
        entry = self.tree.get(kind, {}).get(name)
        return entry if entry and entry["params"] == digest else None

    def add(self, kind: str, name: str, digest: str, found: Mapping[str, Any]) -> None:
        with self._lock:
            self.tree.setdefault(kind, {})[name] = {"params": digest, **found}
            write_json(self._path, self.tree)

    def write(self, kind: str, found: Mapping[str, Any]) -> None:
        """Save a summary of all entries."""
        with self._lock:
            self.tree[kind] = found
            write_json(self._path, self.tree)
