"""What names the code of `t2v sample` is remembered, and found anew when the code changes."""

import pytest

from pipeline.cli import sample
from pipeline.cli.sample import MADE_BY, describe_command
from pipeline.source_code import describe_maker


@pytest.fixture
def memo(tmp_path, monkeypatch):
    path = tmp_path / ".dvc/tmp/makers.json"
    path.parents[1].mkdir()
    monkeypatch.setattr(sample, "MEMO", path)
    return path


def forbid(monkeypatch):
    """Reading the code is a failure from now on."""
    monkeypatch.setattr("pipeline.source_code.describe_maker", lambda name: pytest.fail(f"{name} is read anew"))


def test_the_code_is_named_as_stages_name_theirs_and_read_once(memo, monkeypatch):
    expected = describe_maker(MADE_BY)
    assert describe_command() == expected
    assert memo.is_file()
    forbid(monkeypatch)
    assert describe_command() == expected


def test_other_code_is_read_anew(memo, monkeypatch, tmp_path):
    for top in ("pipeline", "stages"):
        (tmp_path / top).mkdir()
    (tmp_path / "pipeline/a.py").write_text("one = 1")
    monkeypatch.setattr(sample, "ROOT", tmp_path)
    first = describe_command()
    monkeypatch.setattr("pipeline.source_code.describe_maker", lambda name: {**first, "code": f"other {name}"})
    assert describe_command() == first
    (tmp_path / "pipeline/a.py").write_text("one = 2 ")
    assert describe_command()["code"] == f"other {MADE_BY}"
    assert memo.is_file()


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}', '{"told": {}}'])
def test_a_broken_memory_is_written_anew(memo, text):
    memo.parent.mkdir()
    memo.write_text(text)
    assert describe_command() == describe_maker(MADE_BY)
    assert len(memo.read_text()) > 100


def test_outside_of_a_project_of_dvc_nothing_is_written(memo):
    memo.parents[1].rmdir()
    assert describe_command() == describe_maker(MADE_BY)
    assert not memo.parents[1].exists()
