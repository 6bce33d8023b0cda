"""Experiments in a clone whose lock files name products that are not there yet, and in a sub-folder of a repository."""

import pytest
from projects import Project, stages_run

from pipeline.errors import UserError
from tools.verify_runs import verify_runs

CHANCE = """    import atexit, os
    atexit.register(lambda: Path("data/labels/chance.txt").write_text(os.urandom(8).hex()))
    run(main)"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_one_stage_runs_as_an_experiment_in_a_fresh_clone(reproduced, tmp_path):
    """Its lock files name a model and pictures of an evaluation, and its cache is empty."""
    clone = reproduced.clone(tmp_path / "clone")
    clone.t2v("prepare")
    printed = clone.dvc("exp", "run", "--name", "few", "-S", "filter.max_clips=20", "filter")
    assert stages_run(printed) == ["draw", "filter"]
    assert "20 clips kept" in printed
    assert "/few" in clone.run("git", "for-each-ref", "refs/exps")


def test_a_project_in_a_sub_folder_of_a_repository_records_experiments(tmp_path):
    (tmp_path / "thesis").mkdir()
    project = Project(tmp_path / "thesis" / "videos" / "t2v", repository=tmp_path / "thesis")
    project.change({"demo": {"clips": 40}})
    project.commit("fewer clips")
    project.t2v("prepare")
    assert "no_scm" not in (project.folder / ".dvc/config.local").read_text(encoding="utf-8")
    assert "experiments can be recorded" in project.t2v("doctor")
    project.dvc("exp", "run", "--temp", "--name", "few", "-S", "filter.max_clips=20", "filter")
    revision = project.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/**/few").strip()
    assert "max_clips: 20" in project.run("git", "show", f"{revision}:./params.yaml")
    assert "data/labels" in project.run("git", "show", f"{revision}:./dvc.lock")
    assert project.run("git", "status", "--short") == ""


def test_two_clean_clones_are_compared_file_by_file(project, capfd):
    """As `make verify` does, up to the stage filter, of which each run draws all videos."""
    project.change({"demo": {"clips": 20}})
    project.commit("fewer clips")
    verify_runs(["filter"], source=project.folder)
    told = capfd.readouterr().out
    assert "files are equal in two clean clones, 0 differ" in told
    assert "data/labels: differs from the lock file" in told
    stage = project.folder / "stages/filter_labels.py"
    stage.write_text(stage.read_text().replace("    run(main)", CHANCE))
    project.commit("chance")
    with pytest.raises(UserError, match="two runs of the same commit differ"):
        verify_runs(["filter"], source=project.folder)
    assert "data/labels/chance.txt: " in capfd.readouterr().out
