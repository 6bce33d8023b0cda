"""A run on disk; outputs that a stage did not write are empty."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import UserError, describe_fault
from pipeline.files import digest_file
from pipeline.params import SamplingParams
from pipeline.records import GENERATOR
from pipeline.shards import INDEX

REMEDY = "`dvc repro` writes it again"
NAMED_BY = {  # folder -> the file whose digest identifies its product
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
    """The output folders of the stages."""

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
        """Folder name -> the file that identifies its product, if it exists."""
        paths = {folder: getattr(self, folder) / file for folder, file in NAMED_BY.items()}
        return {folder: path for folder, path in paths.items() if path.is_file()}

    def digest(self) -> dict[str, str]:
        """Identifies the products on a page: file, such as evaluation/intervals.json -> SHA-256."""
        return {f"{folder}/{path.name}": digest_file(path) for folder, path in self.list_files().items()}


@dataclass(frozen=True)
class Run:
    """A display name, the folders, the sections of params.yaml, the origin of the run, and measured costs.

    `measured` differs between machines, so the stage `report`, whose bytes must not, leaves it empty.
    """

    name: str
    folders: RunFolders
    settings: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)  # such as the commit
    measured: Mapping[str, str] = field(default_factory=dict)


def read_sampling(run: Run) -> SamplingParams | None:
    """The section `sampling` of a run; None if its params have none. Raises UserError if it is broken."""
    try:
        return SamplingParams(**run.settings["sampling"]) if "sampling" in run.settings else None
    except (TypeError, ValidationError) as error:
        fault = describe_fault(error)
        raise UserError(f"{run.name}: the section sampling of its params is invalid ({fault})") from None


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column name; empty if the file does not exist. Raises UserError if it is broken."""
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode("utf-8")
        return list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table ({error}); {REMEDY}") from None


def parse_number(text: str | None) -> float | None:
    """The number in a cell; None if it is no finite number."""
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_count(tree: Mapping[str, Any], name: str) -> int:
    """An integer in a JSON object; 0 for anything else."""
    count = tree.get(name)
    return count if isinstance(count, int) else 0


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys: {train: {penalties: {r1: 5}}} -> {train.penalties.r1: 5}."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    parts = [flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for part in parts for key, value in part.items()}


def format_setting(value: Any) -> str:
    """A value of params.yaml, approximately as written there."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
