"""Sweeps whose points are tasks on a Ray cluster, which is started here."""

import signal

import pytest
from far_sweeps import FarProject
from ray_clusters import start_nodes
from waiting import within

from pipeline.sweeping.pool import find_processes

SWEEP = ("sweep", "train.penalties.r1=0.5,1", "--name", "far", "--on", "ray", "--jobs", "2")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project beside a cluster of two CPUs."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra `ray`")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("T2V_SLOTS", str(tmp_path / "slots"))
    cluster = start_nodes(cluster_utils.Cluster, cpus=(2,), attempts=3)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield FarProject(tmp_path / "project")
    cluster.shutdown()


def test_points_run_as_tasks_go_on_after_a_kill_and_come_back_as_experiments(project):
    assert "no node of the Ray cluster has as many" in project.end(*SWEEP, "--job-options", "num_gpus=1", code=1)
    assert not (project.folder / "runs").exists()

    def training():
        return all("Running stage 'train'" in project.log("far", run) for run in ("far-1", "far-2"))

    for number, code in ((signal.SIGINT, 75), (signal.SIGKILL, -signal.SIGKILL)):
        ended = project.start(*SWEEP)
        assert within(300, training)
        ended.send_signal(number)
        assert ended.wait(300) == code
        assert within(300, lambda: not find_processes(project.folder / "runs/sweeps/far"))
    project.end(*SWEEP)
    assert project.experiments() == ["far-1", "far-2"]
    assert project.drawn() == 1


def test_without_a_cluster_nothing_is_begun(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    project = FarProject(tmp_path / "project")
    assert "Ray (127.0.0.1:1): [Errno 111] Connection refused" in project.end(*SWEEP, code=1)
    monkeypatch.delenv("RAY_ADDRESS")
    assert "it names the head of a cluster, such as head-node:6379" in project.end(*SWEEP, code=1)
    assert not (project.folder / "runs").exists()
