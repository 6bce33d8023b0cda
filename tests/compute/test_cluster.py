"""The same work on a Ray cluster; the one of two nodes is started here."""

import importlib
import os
import socket
import sys
import threading
from itertools import count
from unittest.mock import Mock

import pytest
from clip_sets import by, draw_dataset, transcode
from locations import TESTS
from ray_clusters import start_nodes
from sandboxed_functions import Act, Words

from pipeline.compute import load_ray, map_sandboxed
from pipeline.errors import UserError

RAY = by(2, "ray").model_copy(update={"sandbox": "off"})  # what the tests do is not all that a sandbox allows


@pytest.fixture
def two_nodes(monkeypatch):
    """A cluster of two nodes with one CPU each, so that two workers need both."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra `ray`")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))  # the nodes need the functions of the tests, too
    cluster = start_nodes(cluster_utils.Cluster, cpus=(1, 1), attempts=3)
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
    gone = threading.Event()

    def lose_a_node():
        (other,) = set(two_nodes.list_all_nodes()) - {two_nodes.head_node}
        two_nodes.remove_node(other, allow_graceful=False)
        gone.set()

    def tasks():
        left = 5
        for number in count():
            left -= gone.is_set()
            if not left:
                return
            yield Words((*(f"nap{place}" for place in range(10)), f"w{number}"), tmp_path)

    losing = threading.Thread(target=lose_a_node)
    results = []
    for result in map_sandboxed(Act(), tasks(), 100, RAY, seconds=60, label="act"):
        results.append(result[-1])
        if losing.ident is None and len({pid_of(tmp_path, name) for name in results}) == 2:
            losing.start()
    losing.join()
    assert results == [f"w{number}" for number in range(len(results))]
    assert len({pid_of(tmp_path, name) for name in results[-3:]}) == 1


@pytest.mark.slow
def test_bad_items_and_errors_are_the_same_on_a_cluster_started_for_the_run(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    tasks = [Words(words, tmp_path) for words in (("a", "crash"), ("hang", "b"), ("refuse",))]
    results = map_sandboxed(Act(), tasks, 3, RAY.model_copy(update={"workers": 1}), seconds=2, label="act")
    assert next(results) == ["a", "died: the process died of SIGSEGV, 2 times"]
    assert next(results) == ["hung: not done after 2 seconds", "b"]
    with pytest.raises(UserError, match=r"^refuse\.webm: not wanted; take another$"):
        next(results)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_node_without_the_project_is_told_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "only_here.py").write_text("def work(*_):\n    yield None\n")
    monkeypatch.syspath_prepend(tmp_path)
    work = importlib.import_module("only_here").work
    told = (
        r"^Ray \(.*\): The actor died .* \.\.\. ModuleNotFoundError: No module named 'only_here'; "
        r"see docs/how-to/transcode-on-ray\.md, .*$"
    )
    with pytest.raises(UserError, match=told):
        list(map_sandboxed(work, [Words((), tmp_path)], 1, RAY, seconds=5, label="work"))


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch, tmp_path):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    for address, told in ((f"127.0.0.1:{closed}", "Connection refused"), ("nonsense", "Invalid address")):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UserError, match=rf"^Ray \({address}\): .*{told}.*; see docs/how-to/transcode-on-ray\.md"):
            list(map_sandboxed(Act(), [Words(("a",), tmp_path)], 1, RAY, seconds=1, label="act"))


def test_a_cluster_that_starts_too_slowly_is_told_and_a_fault_is_not_hidden(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for raised, seen in ((Exception("The current node timed out"), UserError), (KeyError("a fault"), KeyError)):
        monkeypatch.setattr(ray, "init", Mock(side_effect=raised))
        with pytest.raises(seen, match=str(raised)):
            list(map_sandboxed(Act(), [Words(("a",), tmp_path)], 1, RAY, seconds=1, label="act"))


def test_without_ray_the_way_out_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UserError, match=r"^compute\.backend ray needs Ray, .*; pip install -c constraints\.txt -e '\.\[ray\]'$"
    ):
        list(map_sandboxed(Act(), [Words(("a",), tmp_path)], 1, RAY, seconds=1, label="act"))


@pytest.mark.parametrize(("said", "kept"), [(None, "0"), ("1", "1")])
def test_ray_reports_no_usage_unless_the_user_says_so(monkeypatch, said, kept):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", said or "")
    if said is None:
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    load_ray("a test")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == kept


def pid_of(folder, word):
    """The process that has done the word, the last time."""
    return (folder / word).read_text().split()[-1]
