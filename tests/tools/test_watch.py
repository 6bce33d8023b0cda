"""What a sandboxed worker asks for is seen, whether it is given or not; and a machine that cannot see says so."""

import json
import os
import platform
import shutil
from contextlib import closing

import pytest
from clip_sets import OPTIONS, draw_beside_plans, transcode
from locations import ROOT
from planted_workers import ATTEMPTS, OwnedWorker
from sandboxed_functions import Act, Words

from pipeline.compute.isolation import find_missing
from pipeline.compute.sandbox import Sandbox
from pipeline.params import LimitParams
from pipeline.transcoding.shard_maker import ShardMaker
from tools import watch
from tools.fuzz import Fuzzer, explain_request, hide_numbers
from tools.watch import Watcher, find_obstacle

NOT_HERE = find_obstacle() or "; ".join(find_missing())
needs_listener = pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)

# attempt -> the request that is seen; an attempt that is not here fails before the watcher is asked
SEEN = {
    "read-secret": "openat {home}/.ssh/id",
    "list-folder": "openat {home}/.ssh",
    "read-users": "openat /etc/passwd",
    "follow-link": "openat {videos}/link",
    "write-outside": "openat {home}/made",
    "write-video": "openat {videos}/a.mkv",
    "remove-video": "unlink {videos}/a.mkv",
    "read-other-task": "openat {states}/shard",
    "read-parent-memory": "openat /proc/{parent}/mem",
    "read-parent-environment": "openat /proc/{parent}/environ",
    "fill-disk": "openat /tmp/large",
}


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Transcode real videos and attempts -> what the workers asked for and may not have."""
    home, videos, states = tmp_path / "home", tmp_path / "videos", tmp_path / "states"
    for folder in (home / ".ssh", videos, states):
        folder.mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    (states / "shard").write_bytes(b"frames")
    (videos / "link").symlink_to(home / ".ssh" / "id")
    plan = json.dumps(
        {
            "secret": str(home / ".ssh" / "id"),
            "link": str(videos / "link"),
            "outside": str(home / "made"),
            "video": str(videos / "a.mkv"),
            "shards": str(states / "shard"),
        }
    )

    def run(*names):
        draw_beside_plans(tmp_path, names, ATTEMPTS, plan)
        with Watcher() as watcher:
            kind = OwnedWorker if set(names) & ATTEMPTS.keys() else ShardMaker
            monkeypatch.setattr("pipeline.transcoding.ShardMaker", lambda: watcher.wrap(kind()))
            transcode(tmp_path, tmp_path / "out", 1, shard_clips=99, limits=LimitParams(**OPTIONS.limits.model_dump()))
            assert watcher.obstacle == ""
            assert watcher.inside >= len(names)  # a video each
            asked = watcher.forget()
            return {request: count for request, count in asked.items() if not explain_request(hide_numbers(request))}

    run.places = {"home": home, "videos": videos, "states": states}
    return run


@needs_listener
def test_a_worker_that_only_decodes_asks_for_nothing_else(watched):
    assert watched("a", "z") == {}


@needs_listener
def test_an_attempt_to_read_a_secret_is_seen(watched):
    assert watched("a", "read-secret", "z") == {SEEN["read-secret"].format(**watched.places): 1}


def test_what_is_explained_is_no_other_file():
    assert explain_request(f"openat {hide_numbers(str(ROOT))}").startswith("Python")
    assert explain_request("openat /usr/lib/xN_N-linux-gnu/gconv/ISO_N.so").endswith("convert")
    assert explain_request("openat /usr/lib/gconv/../secret") == explain_request("openat /etc/passwd") == ""


@needs_listener
@pytest.mark.slow
def test_each_attempt_on_a_path_is_seen(watched):
    expected = {text.format(**watched.places, parent=os.getpid()): 1 for text in SEEN.values()}
    assert watched("a", *SEEN, "z") == expected


def test_where_nothing_can_be_watched_the_function_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: "5.4.0-old")
    with Watcher() as watcher:
        function = ShardMaker()
        assert watcher.wrap(function) is function
    assert watcher.obstacle in ("Linux 5.4.0-old is older than 5.5", find_obstacle())
    monkeypatch.setattr(watch.sys, "platform", "darwin")
    assert find_obstacle().startswith("darwin on ")


@needs_listener
def test_a_child_whose_filter_is_refused_tells_it_and_works_unwatched(tmp_path):
    """As in a container that has a listener of its own: there may be one alone."""
    with Watcher() as watcher:
        watched = watcher.wrap(watcher.wrap(Act()))  # the second filter of one child
        with closing(Sandbox(watched, 60.0, "off")) as sandbox:
            assert sandbox(Words(("word",), tmp_path)) == ["word"]
    assert watcher.obstacle == "a worker could not be watched: [Errno 16] Device or resource busy"


@needs_listener
@pytest.mark.slow
def test_a_video_whose_worker_asks_for_what_is_not_normal_is_found_by_halves(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("tools.fuzz.ShardMaker", OwnedWorker)
    fuzzer = Fuzzer(tmp_path / "fuzz", seed=7)
    fuzzer.watch_seeds()
    assert {request for request in fuzzer.normal if not explain_request(request)} == set()
    assert fuzzer.watcher.inside > 50
    folder = tmp_path / "videos"
    folder.mkdir()
    videos = [shutil.copy(seed, folder / seed.name) for seed in fuzzer.seeds["videos"][:4]]
    videos.insert(2, folder / "read-users.mkv")
    videos[2].write_text("{}")
    fuzzer.decode(folder, videos)
    requests = fuzzer._collect(folder)
    assert requests == ["openat /etc/passwd"]
    assert list(fuzzer._find_askers(folder, videos, requests)) == [(videos[2], "openat /etc/passwd")]
