"""The stage `judge`, on a tiny set."""

import json

import pytest
from evaluation_sets import COUNTS, judged, learn
from training_sets import T

from pipeline.judges.networks import load_judges


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data with judges. Shared: write nothing into it."""
    return judged(tmp_path_factory.mktemp("judged"))


def test_both_judges_and_what_they_know_are_written(data):
    assert sorted(path.name for path in (data / "judge").iterdir()) == [
        "judge_a.safetensors",
        "judge_b.safetensors",
        "judges.json",
    ]
    judges, classes, shape = load_judges(data / "judge")
    assert (list(judges), classes.objects, shape.frames) == (["a", "b"], ("book", "mug", "pen"), T)
    told = json.loads((data / "judge/judges.json").read_text())
    assert told["clips"] == COUNTS["judge"]
    assert all(0 <= mark <= 1 for marks in told["val"].values() for mark in marks.values())


def test_two_runs_give_the_same_bytes_and_say_what_was_learned(data, tmp_path, capsys):
    learn(data, tmp_path / "again")
    for path in (data / "judge").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert "judge b: 48 clips learned; of 54 clips of val right: {'object': " in capsys.readouterr().out


def test_without_a_split_val_nobody_is_asked(tmp_path):
    judged(tmp_path, {"train": 6, "judge": 24})
    told = json.loads((tmp_path / "judge/judges.json").read_text())
    assert told["val"]["a"] == {"object": None, "category": None}


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_clips_leave_the_judges_blind_and_say_so(tmp_path, capsys, count):
    judged(tmp_path, {"train": 6, "judge": count, "val": 4})
    why = f"the judges had {count} clips to learn from, 20 are needed; see filter.shares.judge"
    assert f"judge a: blind: {why}" in capsys.readouterr().out
    judges, _, _ = load_judges(tmp_path / "judge")
    assert {judge.excuse for judge in judges.values() if judge.blind} == {why}
    assert json.loads((tmp_path / "judge/judges.json").read_text())["val"]["b"] == {"object": None, "category": None}
