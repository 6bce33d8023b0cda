"""A sweep's record is read back as it was, and one that cannot be read keeps no other sweep from running."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.sweeping import FILE, FOLDER, Origin, Plan, Sweep, list_sweeps, lock_sweep, read_sweep

PLAN = Plan(("b.z=1,2", "a=[x, y],null"), points=3, seeds=2, metric="recall", largest=False)


@pytest.fixture(autouse=True)
def sweep(tmp_path, monkeypatch):
    """A sweep that has been saved."""
    monkeypatch.chdir(tmp_path)
    made = Sweep("weights", PLAN, Origin("abc", "def", ("train",), ("filter", "judge"), ("metrics.json",), "[core]", 2))
    made.add_point({"b.z": 2, "a": ["x", "y"]}, [17, 18])
    made.add_point({"b.z": 1, "a": None}, [17, 18])
    made.runs["weights-3"].failure = "error: no disk"
    made.save()
    return made


def test_a_record_is_read_back_as_it_was(sweep):
    read = read_sweep(sweep.folder)
    assert read == sweep
    assert list(read.runs) == ["weights-1", "weights-2", "weights-3", "weights-4"]
    assert list(read.runs["weights-1"].values) == ["b.z", "a"]  # in the order of the command
    assert read.points() == {1: ["weights-1", "weights-2"], 2: ["weights-3", "weights-4"]}


@pytest.mark.parametrize("text", ["", "{}", '{"plan": {"axes": [], "unknown": 1}}'])
def test_a_record_of_another_version_is_passed_over(sweep, capsys, text):
    other = FOLDER / "old" / FILE
    other.parent.mkdir()
    other.write_text(text)
    assert list_sweeps() == [sweep]
    assert "skipped: runs/sweeps/old/sweep.json" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"old/sweep\.json"):
        read_sweep(other.parent)


def test_a_record_of_an_earlier_version_tells_that_points_ran_every_stage(sweep):
    path = sweep.folder / FILE
    tree = json.loads(path.read_text())
    del tree["plan"]["until"], tree["origin"]["left_out"], tree["origin"]["left_to_git"]
    path.write_text(json.dumps(tree))
    assert read_sweep(sweep.folder) == sweep


def test_a_plan_is_told_as_the_words_of_its_command():
    assert str(PLAN) == "b.z=1,2 'a=[x, y],null' --points 3 --seeds 2 --minimise recall"
    assert str(Plan(("seed=1,2",), until="evaluate")) == "seed=1,2 --until evaluate"


def test_two_processes_never_run_one_sweep(sweep):
    with lock_sweep(sweep.folder), pytest.raises(UserError, match="this sweep is running"), lock_sweep(sweep.folder):
        pass
    with lock_sweep(sweep.folder):
        pass  # free again
