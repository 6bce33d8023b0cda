"""`t2v compare`, on figures whose differences are known."""

import json
import shutil

import pytest
from locations import ROOT
from projects import Project
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.runs import open_runs
from pipeline.errors import UserError
from pipeline.evaluation.intervals import REMEDY, read_figures
from pipeline.files import write_json

A = {
    "joint_accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "clips": 100, "reason": ""},
    "joint_accuracy_ceiling": {"value": 0.9, "low": 0.8, "high": 1.0, "clips": 100, "reason": ""},
    "mmd": {"value": 1.0, "low": 0.9, "high": 1.1, "clips": 60, "reason": ""},
    "recall": {"value": None, "low": None, "high": None, "clips": 3, "reason": "3 clips"},
}
B = A | {"joint_accuracy": {**A["joint_accuracy"], "value": 0.9, "low": 0.85, "high": 0.95}}


@pytest.fixture
def folders(tmp_path):
    """Two evaluations: `a` as a stage leaves it in a project, `b.json` as `t2v evaluate` writes it."""
    write_json(tmp_path / "a/data/evaluation/intervals.json", A)
    write_json(tmp_path / "b.json", {"figures": B, "clips": 100, "left_out": [], "unknown": {}})
    return tmp_path / "a", tmp_path / "b.json"


def compare(*words):
    answer = CliRunner().invoke(app, ["compare", *map(str, words)], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout, answer.stderr


def test_only_the_difference_beyond_chance_is_real(folders):
    printed, warned = compare(*folders)
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in printed.splitlines() if line}
    assert lines["joint_accuracy"].startswith("0.500 (0.400 to 0.600) 0.900 (0.850 to 0.950) +0.400 (+0.288 to +0.512)")
    assert lines["joint_accuracy"].endswith("B is higher")
    assert lines["mmd"].endswith("1.000 no")
    assert lines["recall"] == "n/a n/a n/a"
    assert "joint_accuracy_ceiling" not in lines
    assert printed.rstrip().endswith("1 of 2 differences are significant")
    assert warned == ""


def test_the_other_way_round_it_is_lower(folders):
    assert "B is lower" in compare(*reversed(folders))[0]


def test_json_holds_everything(folders):
    found = json.loads(compare(*folders, "--json")[0])
    assert found["joint_accuracy"]["significant"] is True
    assert found["joint_accuracy"]["a"] == A["joint_accuracy"]
    assert found["recall"]["p_value"] is None


def test_an_evaluation_does_not_differ_from_itself(folders):
    assert "0 of 2 differences are significant" in compare(folders[0], folders[0] / "data/evaluation")[0]


def test_other_judges_are_warned_of(folders):
    _, file = folders
    write_json(file, B | {"joint_accuracy_ceiling": {**A["joint_accuracy_ceiling"], "value": 0.7}})
    assert "A and B were evaluated with different judges or real clips" in compare(*folders)[1]


@pytest.mark.slow
@pytest.mark.parametrize("within", ["", "videos/t2v"])
def test_revisions_and_experiments_are_read_from_the_cache(tmp_path, monkeypatch, within):
    project = Project(tmp_path / "repository" / within, repository=tmp_path / "repository")
    evaluation = project.folder / "data/evaluation/intervals.json"
    write_json(evaluation, A)
    for file in ("data/demo/dvc.yaml", "dvc.yaml", ".gitignore"):  # DVC would ask for all that these name
        (project.folder / file).unlink()
    project.dvc("add", "data/evaluation")
    project.commit("A")
    write_json(evaluation, B)
    project.dvc("add", "data/evaluation")
    project.dvc("exp", "save", "--name", "exp-b")
    project.run("git", "checkout", "--quiet", ".")
    shutil.rmtree(evaluation.parent)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.folder)
    assert "1 of 2 differences are significant" in compare("HEAD", "exp-b")[0]
    (fetched,) = open_runs(["exp-b"], tmp_path / "fetched")
    assert read_figures(fetched.folders.evaluation / "intervals.json")["joint_accuracy"].value == 0.9
    with pytest.raises(UserError, match="exp-c: not a file or folder, nor a revision or experiment"):
        compare("HEAD", "exp-c")
    clone = project.clone(tmp_path / "clone")  # without the cache
    monkeypatch.chdir(clone.folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(clone.folder / ".dvc/site"))  # and without what DVC remembers
    with pytest.raises(UserError, match=r"HEAD: not a file or folder, nor a revision .* is in the cache"):
        compare("HEAD", "HEAD")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("[]", "has no metrics of an evaluation"),
        ("3", "has no metrics of an evaluation"),
        ('{"figures": []}', "has no metrics of an evaluation"),
        ('{"mmd": 3}', "has mmd without its interval, as metrics.json does"),
        ('{"mmd": null}', "has mmd without its interval, as metrics.json does"),
        ('{"mmd": {"odd": 3}}', "mmd is not a metric of an evaluation"),
        ('{"mmd": {"value": 3, "odd": 3}}', "mmd is not a metric of an evaluation"),
        ('{"mmd": "3"}', "mmd is not a metric of an evaluation"),
        ('{"mmd": {"value": "3"}}', "mmd has ['3', None, None] as its value and interval"),
        ('{"mmd": {"value": NaN}}', "mmd has [nan, None, None] as its value and interval"),
    ],
)
def test_what_is_no_evaluation_is_named_with_what_is_wrong(folders, text, told):
    folders[1].write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        compare(*folders)
    assert str(caught.value).startswith(f"{folders[1]}: {told}")
    assert str(caught.value).endswith(f"; {REMEDY}")


def test_the_metrics_of_a_project_are_no_evaluation_to_compare():
    with pytest.raises(UserError, match=r"metrics\.json: has \w+ without its interval, as metrics\.json does"):
        compare(ROOT / "metrics.json", ROOT / "metrics.json")


def test_a_folder_without_an_evaluation_is_named(folders, tmp_path):
    with pytest.raises(UserError, match=r"has neither intervals\.json nor data/evaluation/intervals\.json"):
        compare(tmp_path, folders[1])
    write_json(folders[1], {"other": A["mmd"]})
    with pytest.raises(UserError, match="no metric in common"):
        compare(*folders)
