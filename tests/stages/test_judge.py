"""The stage `judge`, on a tiny set."""

import json

import pytest
from evaluation_sets import COUNTS, judged, learn
from training_sets import T

from pipeline.judges import load_judge


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data with a judge. Shared: write nothing into it."""
    return judged(tmp_path_factory.mktemp("judged"))


def read_description(folder):
    return json.loads((folder / "judge/judge.json").read_text())


def test_the_judge_and_its_classes_are_written(data):
    assert sorted(path.name for path in (data / "judge").iterdir()) == ["judge.json", "judge.safetensors"]
    judge, classes, shape = load_judge(data / "judge")
    assert (classes.objects, shape.frames) == (("book", "mug", "pen"), T)
    assert read_description(data)["clips"] == judge.training_clips == COUNTS["judge"]
    assert read_description(data)["val"]["clips"] == COUNTS["val"]
    assert all(0 <= accuracy <= 1 for accuracy in read_description(data)["val"]["accuracy"].values())


def test_two_runs_give_the_same_bytes_and_say_what_was_learned(data, tmp_path, capsys):
    learn(data, tmp_path / "again")
    for path in (data / "judge").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert "judge: trained on 48 clips; accuracy on 54 clips of val: object " in capsys.readouterr().out


def test_without_a_split_val_there_is_no_accuracy(tmp_path):
    judged(tmp_path, {"train": 6, "judge": 24})
    assert read_description(tmp_path)["val"]["accuracy"] == {"object": None, "category": None}


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_clips_leave_the_judge_untrained_and_the_stage_says_so(tmp_path, capsys, count):
    judged(tmp_path, {"train": 6, "judge": count, "val": 4})
    why = f"the judge had {count} clips to train on, 20 are needed; see filter.shares.judge"
    assert f"judge: not trained: {why}" in capsys.readouterr().out
    judge, _, _ = load_judge(tmp_path / "judge")
    assert (judge.untrained, judge.unavailable_reason) == (True, why)
    assert read_description(tmp_path)["val"]["accuracy"] == {"object": None, "category": None}
