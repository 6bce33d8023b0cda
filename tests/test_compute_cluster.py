"""The same work on a Ray cluster; the one of two nodes is started here."""

import sys
import threading

import pytest
from clip_sets import by, draw_dataset, transcode
from guarded_functions import Words, act

from pipeline.compute.backends import map_guarded
from pipeline.errors import UserError

RAY = by(2, "ray")


@pytest.fixture
def two_nodes(monkeypatch):
    """A cluster of two nodes with one CPU each, so that two workers need both."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra `ray`")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # where the tests share their cores with others
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
    )
    cluster.add_node(num_cpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_two_nodes_make_the_same_bytes_as_processes(two_nodes, tmp_path):
    dataset = draw_dataset(tmp_path)
    assert len(two_nodes.list_all_nodes()) == 2
    assert transcode(dataset, tmp_path / "ray", 2, backend="ray") == transcode(dataset, tmp_path / "here", 2)


@pytest.mark.slow
def test_a_lost_node_costs_time_only(two_nodes, tmp_path):
    tasks = [Words(("nap",) * 20 + (f"w{number}",), tmp_path) for number in range(8)]
    results = map_guarded(act, tasks, len(tasks), RAY, seconds=60, label="act")
    first = next(results)
    (other,) = set(two_nodes.list_all_nodes()) - {two_nodes.head_node}
    lost = threading.Thread(target=two_nodes.remove_node, args=(other, False))
    lost.start()
    assert [result[-1] for result in [first, *results]] == [f"w{number}" for number in range(8)]
    lost.join()


@pytest.mark.slow
def test_bad_items_and_errors_are_the_same_on_a_cluster_started_for_the_run(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    tasks = [Words(words, tmp_path) for words in (("a", "crash"), ("hang", "b"), ("refuse",))]
    results = map_guarded(act, tasks, 3, RAY, seconds=2, label="act")
    assert next(results) == ["a", "died: the process died of SIGSEGV, 2 times"]
    assert next(results) == ["hung: not done after 2 seconds", "b"]
    with pytest.raises(UserError, match=r"^refuse\.webm: not wanted; take another$"):
        next(results)
    assert not ray.is_initialized()


def test_without_ray_the_way_out_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 't2v\[ray\]'"):
        list(map_guarded(act, [Words(("a",), tmp_path)], 1, RAY, seconds=1, label="act"))
