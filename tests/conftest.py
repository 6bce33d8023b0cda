"""What several test files share."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import Project

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def bench_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def tree() -> dict[str, Any]:
    """The parsed params.yaml, to change and check."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A tiny copy of this project, nothing made yet."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny copy of this project after `dvc repro`, its lock files committed. Shared: work on `reproduced.copy()`."""
    project = Project(tmp_path_factory.mktemp("reproduced") / "project")
    project.dvc("repro")
    project.commit("lock")
    return project
