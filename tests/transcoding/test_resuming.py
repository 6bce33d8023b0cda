import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest
from clip_sets import OPTIONS, SHAPE, by, contents, draw_dataset, transcode, write_clips
from waiting import within

from pipeline.errors import UserError
from pipeline.files import lock_folder, remove_abandoned
from pipeline.records import Clip
from pipeline.tables import read_table
from pipeline.transcoding import fingerprint
from stages.transcode_clips import transcode_clips

KILLS = 10


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Ten videos and a list of 40 clips of them, for ten shards."""
    return repeated(draw_dataset(tmp_path_factory.mktemp("dataset")), 4)


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """What a run makes that nothing happens to."""
    return transcode(dataset, tmp_path_factory.mktemp("undisturbed") / "out", 2)


@pytest.fixture(scope="module")
def unfinished(dataset, tmp_path_factory):
    """The state of a run that was stopped at its last shard: there, the list names a video that has changed."""
    folder = tmp_path_factory.mktemp("unfinished")
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(folder, [*clips[:-1], replace(clips[-1], digest="0" * 64)])
    (folder / "videos").symlink_to(dataset / "videos")
    with pytest.raises(UserError, match="no longer the file"):
        transcode(folder, folder / "out", 1)
    (state,) = (folder / "states").iterdir()
    return state


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Those videos and a list of 1500 clips of them, enough to be stopped often; and what an undisturbed run makes."""
    dataset = repeated(draw_dataset(tmp_path_factory.mktemp("many")), 150)
    return dataset, transcode(dataset, tmp_path_factory.mktemp("undisturbed") / "out", 2)


@pytest.fixture
def stopped(dataset, unfinished, tmp_path):
    """A copy of that state under the name that a run over the true list has."""
    name = fingerprint(dataset / "labels" / "clips.parquet", SHAPE, OPTIONS)
    return shutil.copytree(unfinished, tmp_path / "states" / f"transcode-{name}")


def repeated(folder, copies):
    """The same dataset with every clip so many times in its list."""
    clips = read_table(folder / "labels" / "clips.parquet", Clip)
    write_clips(folder, [replace(clip, id=f"{copy}-{clip.id}") for copy in range(copies) for clip in clips])
    return folder


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("clips-*")}


@pytest.mark.slow
def test_only_unfinished_shards_are_made_again(dataset, undisturbed, stopped, tmp_path):
    made = stamps(stopped)
    assert len(made) == 18  # nine shards and their manifests
    (stopped / "clips-00003.json").unlink()
    assert transcode(dataset, tmp_path / "out", 2) == undisturbed
    again = {name for name, stamp in stamps(tmp_path / "out").items() if made.get(name) != stamp}
    assert again == {"clips-00003.parquet", "clips-00009.parquet"}


def test_a_damaged_shard_is_never_trusted(dataset, undisturbed, stopped, tmp_path):
    for number, ending in enumerate([".json", ".parquet"] * 4):
        path = stopped / f"clips-{number:05}{ending}"
        data = path.read_bytes()
        middle = len(data) // 2
        altered = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.unlink()
        if number < 6:
            path.write_bytes([data[:middle], altered, b""][number // 2])
    edited = json.loads((stopped / "clips-00008.json").read_text())
    edited["manifest"]["drops"] = []
    (stopped / "clips-00008.json").write_text(json.dumps(edited))
    assert transcode(dataset, tmp_path / "out", 2) == undisturbed


def test_other_params_or_other_clips_do_not_share_a_state(dataset, tmp_path):
    table = dataset / "labels" / "clips.parquet"
    names = {fingerprint(table, shape, options) for shape in (SHAPE, SHAPE.model_copy(update={"frames": 9}))
             for options in (OPTIONS, OPTIONS.model_copy(update={"windows": 2}))}  # fmt: skip
    write_clips(tmp_path, read_table(table, Clip)[1:])
    names.add(fingerprint(tmp_path / "labels" / "clips.parquet", SHAPE, OPTIONS))
    assert len(names) == 5


@pytest.mark.slow
def test_a_stage_killed_ten_times_ends_with_the_same_bytes(many, tmp_path, root, tree):
    """Alone and with all that it started, in turn: a run goes on from what either kind of kill left."""
    dataset, expected = many
    tree["transcode"], tree["clip"], tree["compute"]["workers"] = OPTIONS.model_dump(), SHAPE.model_dump(), 2
    (tmp_path / "params.yaml").write_text(json.dumps(tree))
    paths = ["--videos", dataset / "videos", "--labels", dataset / "labels", "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "stages.transcode_clips", *paths]
    environment = {**os.environ, "PYTHONPATH": str(root), "DVC_ROOT": str(tmp_path)}
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    rng = random.Random(17)

    def finished():
        return len(list(tmp_path.glob(".dvc/tmp/state/*/clips-*.json")))

    def run_until(condition, whole_tree):
        """Kill it at a random moment after that -> whether it was still at work."""
        stage = psutil.Popen(command, **options)
        assert within(60, lambda: condition() or stage.poll() is not None)
        time.sleep(rng.uniform(0, 0.1))
        for process in [stage, *stage.children(recursive=True) * whole_tree] if stage.is_running() else []:
            process.kill()
        return stage.wait() == -signal.SIGKILL

    for number in range(KILLS):
        goal = finished() + rng.randint(1, 6)
        assert run_until(lambda goal=goal: finished() >= goal, whole_tree=number % 2 == 0), (
            "over before it was killed: give it more clips"
        )
    assert finished() >= KILLS
    run_until((tmp_path / "out").exists, whole_tree=True)  # while the shards are handed over, or nearly
    subprocess.run(command, check=True, **options)
    assert contents(tmp_path / "out") == expected
    assert list(tmp_path.glob(".dvc/tmp/state/transcode-*")) == []


def test_an_equal_run_waits_for_the_first_one(dataset, undisturbed, tmp_path, capfd):
    def run(number):
        out = tmp_path / f"out-{number}"
        transcode_clips(dataset / "labels", dataset / "videos", out, SHAPE, OPTIONS, by(1), tmp_path / "states")
        return contents(out)

    with ThreadPoolExecutor(2) as threads:
        results = [*threads.map(run, range(2))]  # raises their errors
    assert results == [undisturbed, undisturbed]
    assert "an identical run is in progress; waiting for its end" in capfd.readouterr().err


def test_abandoned_states_go_but_for_the_newest_and_those_in_use(tmp_path):
    for number in range(6):
        folder = tmp_path / f"transcode-{number}"
        folder.mkdir()
        os.utime(folder, (number, number))
    (tmp_path / "train-1").mkdir()
    with lock_folder(tmp_path / "transcode-0", wait=True):
        os.utime(tmp_path / "transcode-0", (0, 0))
        remove_abandoned(tmp_path, "transcode", 2)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"transcode-0", "transcode-4", "transcode-5", "train-1"}


def test_processes_that_remove_the_same_states_do_not_disturb_each_other(tmp_path):
    for _ in range(20):
        for number in range(40):
            (tmp_path / f"transcode-{number}" / "shards").mkdir(parents=True)
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: remove_abandoned(tmp_path, "transcode", 0), range(3)))  # raises their errors


def test_a_folder_that_its_last_owner_removed_is_made_again_for_the_next(tmp_path):
    order = []

    def second():
        with lock_folder(tmp_path / "state", wait=True):
            order.append("second")
            assert (tmp_path / "state" / "lock").exists()

    thread = threading.Thread(target=second)
    with lock_folder(tmp_path / "state", wait=True):
        thread.start()
        assert not within(0.3, lambda: order)
        order.append("first")
        (tmp_path / "state" / "lock").unlink()
        (tmp_path / "state").rmdir()
    thread.join(5)
    assert order == ["first", "second"]
