"""A run as its stages left it on disk; what a stage did not write is empty here."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import digest_file, read_json
from pipeline.records import GENERATOR
from pipeline.shards import INDEX

REMEDY = "`dvc repro` makes it anew"
NAMED_BY = {  # folder -> the file whose bytes name its product
    "labels": "clips.parquet",
    "clips": INDEX,
    "captions": "captions.parquet",
    "model": GENERATOR,
    "judge": "judge.safetensors",
    "evaluation": "intervals.json",
    "samples": "grid.npz",
}


@dataclass(frozen=True)
class RunFolders:
    """The folders of the stages' products."""

    labels: Path
    clips: Path
    captions: Path
    model: Path
    judge: Path
    evaluation: Path
    samples: Path

    @classmethod
    def within(cls, data: Path) -> "RunFolders":
        """The folders by their names in the graph."""
        return cls(**{name: data / name for name in cls.__annotations__})

    def list_files(self) -> dict[str, Path]:
        """The files that name the products by the name of their folder, those that are there."""
        paths = {folder: getattr(self, folder) / file for folder, file in NAMED_BY.items()}
        return {folder: path for folder, path in paths.items() if path.is_file()}

    def digest(self) -> dict[str, str]:
        """What names the products that a page shows: file, as evaluation/intervals.json -> SHA-256."""
        return {f"{folder}/{path.name}": digest_file(path) for folder, path in self.list_files().items()}


@dataclass(frozen=True)
class Run:
    """A name for the reader, the folders, the sections of params.yaml, where the run comes from, and what it took.

    `measured` is what differs between machines, so the stage `report`, whose bytes do not, has none of it.
    """

    name: str
    folders: RunFolders
    settings: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)  # such as its commit, of a run in git
    measured: Mapping[str, str] = field(default_factory=dict)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty if the file is absent. Raises UserError if it is broken."""
    if not path.is_file():
        return {}
    value = read_json(path, REMEDY)
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds no JSON object; {REMEDY}")
    return value


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a table by the names of its columns; none where the file is absent. Raises UserError."""
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode("utf-8")
        return list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no table of comma-separated values ({error}); {REMEDY}") from None


def parse_number(text: str | None) -> float | None:
    """The number of a cell; None if it holds none, or one that is not finite."""
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_count(tree: Mapping[str, Any], name: str) -> int:
    """A whole number of a JSON object; 0 if it is none."""
    count = tree.get(name)
    return count if isinstance(count, int) else 0


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys: {train: {penalties: {r1: 5}}} -> {train.penalties.r1: 5}."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    parts = [flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for part in parts for key, value in part.items()}


def format_setting(value: Any) -> str:
    """A value of params.yaml as one writes it there, or nearly."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
