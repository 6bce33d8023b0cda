"""What a run says that differs from a stopped one, and whose checkpoints it removes."""

import json
import os
import time

import pytest

from pipeline.training.checkpoints import RUN, Checkpoints, start_run

PARTS = {"params": "p", "data/clips/index.json": "1", "code": "c", "torch": "2.13.0"}
PARAMS = {"seed": 17, "train": {"mismatched": 1.0, "penalties": {"r1": 5.0}}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of all checkpoints, within the working folder as in a project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


def run(root, name, params=PARAMS, parts=PARTS, keep_runs=8, step=None):
    """Begin a run, and save a checkpoint of it where a step is given."""
    checkpoints = Checkpoints(name, root)
    with checkpoints.locked():
        start_run(checkpoints, params, parts, keep_runs)
        if step:
            checkpoints.save({"step": step})
    time.sleep(0.01)  # so that folders have an order in time
    return checkpoints


def said(capsys):
    return capsys.readouterr().err


def test_a_changed_value_is_told_with_what_it_was(root, capsys):
    run(root, "a", step=480)
    assert said(capsys) == ""
    changed = {"seed": 17, "train": {"mismatched": 0.5, "penalties": {"r1": 5.0, "r2": 1.0}}}
    run(root, "b", changed)
    assert said(capsys).splitlines() == [
        "train: a new run; changes since the stopped one: train.mismatched 1.0 -> 0.5, "
        "train.penalties.r2 None -> 1.0; undo them to resume it"
    ]


def test_other_data_other_code_and_another_torch_are_told(root, capsys):
    run(root, "a", step=1)
    said(capsys)
    run(root, "b", parts=PARTS | {"data/clips/index.json": "2", "code": "d", "torch": "2.14.0"})
    assert "the stopped one: different code, different data/clips/index.json, torch 2.13.0 -> 2.14.0;" in said(capsys)


def test_of_many_changes_four_are_told(root, capsys):
    run(root, "a", {f"k{number}": 0 for number in range(7)}, step=1)
    said(capsys)
    run(root, "b", {f"k{number}": 1 for number in range(7)})
    assert "k0 0 -> 1, k1 0 -> 1, k2 0 -> 1, k3 0 -> 1 and 3 more;" in said(capsys)


def test_the_newest_run_that_was_stopped_is_the_one_compared_with(root, capsys):
    run(root, "a", {"seed": 1}, step=1)
    run(root, "b", {"seed": 2}, step=1)
    said(capsys)
    run(root, "c", {"seed": 3})
    assert "seed 2 -> 3;" in said(capsys)


def test_nothing_is_said_of_a_run_that_goes_on_of_one_without_states_or_of_one_in_progress(root, capsys):
    run(root, "a", {"seed": 1}, step=1)
    run(root, "b", {"seed": 2})
    said(capsys)
    run(root, "a", {"seed": 1})
    assert said(capsys) == ""
    with Checkpoints("a", root).locked():
        run(root, "c", {"seed": 3})
    assert said(capsys) == ""


@pytest.mark.parametrize("text", ['{"settings": {"seed": 1}}', "[]", "no json"])
def test_the_record_of_an_older_version_is_reported_in_a_line_and_passed_over(root, capsys, text):
    run(root, "a", {"seed": 1}, step=1)
    run(root, "b", {"seed": 2}, step=1)
    (root / "train-b" / RUN).write_text(text)
    said(capsys)
    run(root, "c", {"seed": 3})
    first, second = said(capsys).splitlines()
    assert first.endswith("skipped")
    assert f"train-b/{RUN}: " in first
    assert "seed 1 -> 3;" in second


def test_the_points_of_a_sweep_say_nothing(root, capsys, monkeypatch):
    """They run in folders of their own, with the checkpoints of the workspace."""
    run(root, "a", {"seed": 1}, step=1)
    said(capsys)
    elsewhere = root.parent / "exps" / "tmp1"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    run(root, "b", {"seed": 2})
    assert said(capsys) == ""
    assert json.loads((root / "train-b" / RUN).read_text())["params"] == {"seed": 2}


def test_the_oldest_runs_lose_their_states_but_none_in_progress(root):
    oldest = run(root, "0", step=1)
    with oldest.locked():
        for number in range(1, 5):
            run(root, str(number), step=1, keep_runs=3)
            os.utime(root / "train-0", (0, 0))
        assert sorted(path.name for path in root.iterdir()) == ["train-0", "train-2", "train-3", "train-4"]
    run(root, "5", step=1, keep_runs=3)
    assert sorted(path.name for path in root.iterdir()) == ["train-3", "train-4", "train-5"]
