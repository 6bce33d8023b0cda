"""Experiments made with git alone: what a point starts from, and what is committed of it."""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.sweeping import Origin
from pipeline.sweeping.point import WorkingCopy, differ, find_experiments, read_metrics, take_snapshot

PARAMS = "rate: 0.001  # per step\nwords:\n  - a\nnone: null\n"


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(params=[".", "inner"])
def project(tmp_path, monkeypatch, request):
    """A project in a repository, or in a sub-folder of one, with files that are changed, new and behind a filter."""
    folder = tmp_path / "repository" / request.param
    (folder / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "tester")
    git("init", "--quiet", str(tmp_path / "repository"))
    for name, command in (("clean", "tr A-Z a-z"), ("smudge", "tr a-z A-Z")):
        git("config", f"filter.loud.{name}", command)  # as Git LFS is one
    (folder / ".gitignore").write_text("/.dvc/tmp\n/.dvc/config.local\n/dvc.lock\n")
    (folder / ".gitattributes").write_text("*.loud filter=loud\n")
    (folder / ".dvc/config").write_text("[core]\n")
    (folder / "words.loud").write_text("HELLO\n")
    (folder / "params.yaml").write_text(PARAMS)
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    return folder


def origin():
    baseline, snapshot = take_snapshot()
    settings = f"[cache]\ndir = {Path('.dvc/cache').resolve()}\n[core]\nno_scm = true\n"
    return Origin(baseline, snapshot, (), (), ("figures.json",), settings, 1)


def test_a_snapshot_holds_uncommitted_work_and_lock_files_and_leaves_the_index_alone(project):
    (project / "params.yaml").write_text(PARAMS.replace("0.001", "0.5"))
    (project / "dvc.lock").write_text("stages: {}\n")
    (project / "new.txt").write_text("unknown to git\n")
    before = git("status", "--porcelain")
    snapshot = origin().snapshot
    assert git("status", "--porcelain") == before
    assert "rate: 0.5" in git("show", f"{snapshot}:./params.yaml")
    assert git("show", f"{snapshot}:./dvc.lock") == "stages: {}"
    assert "new.txt" not in git("ls-tree", "-r", "--name-only", snapshot)
    assert differ("HEAD", snapshot)
    assert not differ(snapshot, take_snapshot()[1])


def test_a_copy_holds_files_as_git_checks_them_out_and_is_gone_afterwards(project):
    with WorkingCopy(origin(), "weights-1") as copy:
        assert (copy.project / "words.loud").read_text() == "HELLO\n"
        assert (project / "words.loud").read_text() == "HELLO\n"  # `dvc exp run --temp` leaves what git keeps: "hello"
        assert copy.project.is_relative_to(project / ".dvc/tmp/sweeps")
        assert "no_scm" in (copy.project / ".dvc/config.local").read_text()
    assert not copy.folder.exists()


def test_what_a_killed_try_has_left_is_taken_away(project):
    left = project / ".dvc/tmp/sweeps/weights-1/tree/old.txt"
    left.parent.mkdir(parents=True)
    left.write_text("of the try before")
    with WorkingCopy(origin(), "weights-1"):
        assert not left.exists()


@pytest.mark.usefixtures("project")
def test_a_copy_that_could_not_be_made_takes_no_room():
    copy = WorkingCopy(
        replace(origin(), settings="\ud800"), "weights-1"
    )  # no text of UTF-8, and the last to be written
    with pytest.raises(UnicodeEncodeError), copy:
        pass
    assert not copy.folder.exists()


@pytest.mark.usefixtures("project")
def test_values_go_into_the_params_whose_comments_stay():
    with WorkingCopy(origin(), "weights-1") as copy:
        copy.change_params({"rate": 1e-05, "words": ["b, c"], "new.key": None})
        text = (copy.project / "params.yaml").read_text()
    assert yaml.safe_load(text) == {"rate": 1e-05, "words": ["b, c"], "none": None, "new": {"key": None}}
    assert "# per step" in text


def test_the_result_is_an_experiment_of_the_baseline_with_all_that_became_of_the_files(project):
    (project / "params.yaml").write_text(PARAMS.replace("0.001", "0.5"))
    begun = origin()
    with WorkingCopy(begun, "weights-1") as copy:
        (copy.project / "dvc.lock").write_text("stages: {made: {}}\n")
        (copy.project / "params.yaml").write_text("rate: 7\n")
        (copy.project / "figures.json").write_text("{}")
        (copy.project / "product.bin").write_text("what DVC keeps")
        copy.commit()
    commit = find_experiments()["weights-1"]
    assert git("rev-parse", f"{commit}^") == begun.baseline == git("rev-parse", "HEAD")
    assert git("show", f"{commit}:./params.yaml") == "rate: 7"
    assert git("show", f"{commit}:./dvc.lock") == "stages: {made: {}}"
    assert git("show", f"{commit}:./figures.json") == "{}"
    assert "product.bin" not in git("ls-tree", "-r", "--name-only", commit)
    assert git("show", f"{commit}:./words.loud") == "hello"  # as git keeps it
    assert (project / "params.yaml").read_text() == PARAMS.replace("0.001", "0.5")


def test_an_experiment_has_nothing_of_stages_that_its_point_leaves_out(project):
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  train: {cmd: a}\n  evaluate: {cmd: b}\n")
    for name in ("figures.json", "metrics.json"):
        (project / name).write_text("{}")
    git("add", "--all")
    git("commit", "--quiet", "--message", "evaluated")
    left = {"evaluate": ["data/evaluation"], "render": ["data/samples"]}
    begun = replace(origin(), left_out=left, left_to_git=("metrics.json", "other.json"))
    with WorkingCopy(begun, "weights-1") as copy:
        copy.leave_out()
        copy.commit()
    commit = find_experiments()["weights-1"]
    locked = yaml.safe_load(git("show", f"{commit}:./dvc.lock"))["stages"]
    assert locked["train"] == {"cmd": "a"}
    for stage, [out] in left.items():
        [entry] = locked[stage]["outs"]
        assert (entry["path"], entry["md5"]) == (out, "d751713988987e9331980363e24189ce.dir")
    kept = project / ".dvc/cache/files/md5/d7/51713988987e9331980363e24189ce.dir"
    assert f"{hashlib.md5(kept.read_bytes()).hexdigest()}.dir" == "d751713988987e9331980363e24189ce.dir"
    assert git("diff", "--name-only", begun.baseline, commit, "--", ".").splitlines() == [
        f"{git('rev-parse', '--show-prefix')}{name}" for name in ("dvc.lock", "metrics.json")
    ]
    assert (project / "metrics.json").exists()


def test_metrics_of_an_experiment_are_its_numbers_and_names_without_one(project):
    (project / "metrics.json").write_text('{"recall": 0.5, "fvd": null, "withdrawn": 0}')
    git("add", "metrics.json")
    git("commit", "--quiet", "--message", "measured")
    assert read_metrics("HEAD") == {"recall": 0.5, "fvd": None, "withdrawn": 0.0}
    assert read_metrics("HEAD~1") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", r"not JSON \("), ("[0.5]", "not a JSON object")],
)
def test_figures_that_a_merge_has_broken_are_named_with_their_commit(project, text, fault):
    assert read_metrics("HEAD") == {}
    (project / "metrics.json").write_text(text)
    git("add", "metrics.json")
    git("commit", "--quiet", "--message", "merged")
    with pytest.raises(UserError, match=rf"^metrics\.json of the commit HEAD: {fault}.*; .*`dvc repro evaluate`"):
        read_metrics("HEAD")
