"""What several test files share."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from locations import ROOT
from projects import Project

# Where tests run side by side, each process has its share of the cores: set before torch is imported anywhere.
os.environ.setdefault(
    "OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), 1))
)

# No test asks how fast a machine is, nor whether it is busy with other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

WHOLE = "tests/whole"  # one copy of this project, reproduced once, serves all of them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: where tests run side by side, a long file begun last would run alone."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(find_group(item.nodeid), []).append(item)

    def weight(name: str) -> tuple[bool, int]:
        return name == WHOLE, sum(item.get_closest_marker("slow") is not None for item in groups[name])

    items[:] = [item for name in sorted(groups, key=weight, reverse=True) for item in groups[name]]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadfile, one process runs a file, or all files of WHOLE."""
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return find_group(nodeid)

    return Groups(config, log) if config.getvalue("dist") == "loadfile" else None


def find_group(nodeid: str) -> str:
    """What runs in one process, since its tests share what took long to make."""
    return WHOLE if nodeid.startswith(f"{WHOLE}/") else nodeid.partition("::")[0]


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
