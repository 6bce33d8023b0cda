"""What several test files share."""

import gc
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from locations import ROOT
from projects import Project

from pipeline.files import lock_folder

# Where tests run side by side, each process has its share of the cores: set before torch is imported anywhere.
os.environ.setdefault(
    "OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), 1))
)

# What is imported and collected before the first test stays to the end: no search for garbage has to go through it.
gc.disable()

# No test asks how fast a machine is, nor whether it is busy with other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Each of these tests takes many times as long as others marked slow: compiled trainings and whole pipelines.
LONGEST = ("tests/training/test_passes.py", "tests/whole/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: where tests run side by side, a long file begun last would run alone.

    The file of compiled trainings, which has more slow tests than any of whole pipelines, does not wait for the project
    that the second file makes for all.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)

    def weight(name: str) -> tuple[bool, int]:
        slow = sum(item.get_closest_marker("slow") is not None for item in files[name])
        return name.startswith(LONGEST), slow

    items[:] = [item for name in sorted(files, key=weight, reverse=True) for item in files[name]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on garbage is collected, but not looked for among what is there already."""
    gc.freeze()
    gc.enable()


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
    """A tiny copy of this project after `dvc repro`, its lock files committed. Shared: work on `reproduced.copy()`.

    Where tests run side by side, the first process that asks makes it, and the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "reproduced"
    made = folder / "project.pickle"
    with lock_folder(folder, wait=True):
        if not made.exists():
            project = Project(folder / "project")
            project.dvc("repro")
            project.commit("lock")
            made.write_bytes(pickle.dumps(project))
        found: Project = pickle.loads(made.read_bytes())
    return found
