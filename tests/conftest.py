"""What several test files share."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from locations import ROOT
from projects import Project

# Where tests run side by side, each process has its share of the cores: set before torch is imported anywhere.
os.environ.setdefault(
    "OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), 1))
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what runs in one process where tests run side by side, and begin with what takes longest.

    A file stays together, since its tests share fixtures; so do all tests of the reproduced project, so that it is
    made once. The order counts with --dist loadgroup --no-loadscope-reorder: a long file begun last would run alone.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        shared = "reproduced" in getattr(item, "fixturenames", ())
        groups.setdefault("reproduced" if shared else item.path.stem, []).append(item)
    for name, members in groups.items():
        for item in members:
            item.add_marker(pytest.mark.xdist_group(name))

    def weight(members: list[pytest.Item]) -> int:
        return sum(item.get_closest_marker("slow") is not None for item in members)

    items[:] = [item for members in sorted(groups.values(), key=weight, reverse=True) for item in members]


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
