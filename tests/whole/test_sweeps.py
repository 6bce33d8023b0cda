"""Sweeps over a penalty: every point trains its full budget from step 0, and nothing before `train` is repeated."""

import json
import re
import subprocess
import sys
import time

import pytest
from projects import TINY, stages_run
from waiting import within

from pipeline.sweeping.pool import find_processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BUDGET = TINY["train"]["total_clips"]


@pytest.fixture
def project(reproduced, tmp_path):
    """A copy of the reproduced project, to change."""
    return reproduced.copy(tmp_path / "project")


def experiments(project):
    """Name -> revision of the experiments there are."""
    refs = project.run("git", "for-each-ref", "--format=%(refname:lstrip=-1) %(objectname)", "refs/exps")
    return dict(line.split() for line in refs.splitlines() if "/exps/exec" not in line)


def model_file(project, revision, name):
    """A file of the model that a revision made: its bytes."""
    target = project.folder.parent / revision
    if not target.exists():
        project.dvc("get", ".", "data/model", "--rev", revision, "--out", str(target))
    return (target / name).read_bytes()


def penalty(project, revision):
    """The weight of R1 that a revision was made with."""
    return float(re.search(r"r1: (\S+)", project.run("git", "show", f"{revision}:params.yaml"))[1])


def assert_trained_from_the_start(project, revision, log):
    """The run itself reported every part of the budget from the first on, and so does the history that it kept."""
    steps = range(TINY["train"]["report_clips"], BUDGET + 1, TINY["train"]["report_clips"])
    assert re.findall(r"train: (\d+)/(\d+) clips", log) == [(str(clips), str(BUDGET)) for clips in steps]
    assert "resuming from step" not in log
    history = model_file(project, revision, "history.csv").decode().splitlines()
    assert [float(row.split(",")[0]) for row in history[1:]] == list(steps)
    assert json.loads(model_file(project, revision, "training.json"))["clips"] == BUDGET


def test_the_plain_queue_runs_two_points_that_train_in_full(project):
    baseline = project.run("git", "rev-parse", "HEAD").strip()
    for weight in (0.1, 10):
        project.dvc("exp", "run", "--queue", "--name", f"r1-{weight}", "-S", f"train.penalties.r1={weight}")
    project.dvc("queue", "start", "--jobs", "1")
    wait_for_the_queue(project)
    points = experiments(project)
    assert {name: penalty(project, revision) for name, revision in points.items()} == {"r1-0.1": 0.1, "r1-10": 10}
    for name, revision in points.items():
        log = project.dvc("queue", "logs", name)
        assert sorted(stages_run(log)) == ["evaluate", "export", "render", "report", "train"]
        assert_trained_from_the_start(project, revision, log)
    models = {model_file(project, revision, "generator.safetensors") for revision in [baseline, *points.values()]}
    assert len(models) == 3
    assert project.run("git", "status", "--short") == ""


def wait_for_the_queue(project):
    """Follow every task until it has ended; one that the worker has not started yet cannot be followed."""
    while "Running" in (status := project.dvc("queue", "status")) or "Queued" in status:
        if task := re.search(r"^\w+\s+(\S+).*Running", status, re.MULTILINE):
            project.dvc("queue", "logs", "--follow", task[1])
        else:
            time.sleep(1)


def test_t2v_sweep_runs_every_point_in_full_beside_uncommitted_work(project):
    """New code goes along once git knows it; params.yaml and the data of the workspace stay as they were."""
    project.change({"train": {"mismatched": 0.5}})
    before = (project.folder / "params.yaml").read_bytes()
    printed = project.t2v("sweep", "train.penalties.r1=0.1,10", "--jobs", "2", "--name", "weights")
    assert "running the stages that all points share: data/demo/dvc.yaml:draw, filter, transcode, tokenize" in printed
    points = experiments(project)
    assert {name: penalty(project, revision) for name, revision in points.items()} == {
        "weights-1": 0.1,
        "weights-2": 10,
    }
    for name, revision in points.items():
        log = (project.folder / "runs/sweeps/weights" / f"{name}.log").read_text(encoding="utf-8")
        assert sorted(stages_run(log)) == ["evaluate", "export", "render", "report", "train"]
        assert_trained_from_the_start(project, revision, log)
        assert "mismatched: 0.5" in project.run("git", "show", f"{revision}:params.yaml")
    assert len({model_file(project, revision, "generator.safetensors") for revision in points.values()}) == 2
    assert (project.folder / "params.yaml").read_bytes() == before
    assert project.run("git", "status", "--short") == " M params.yaml\n"
    assert "this sweep already exists" in project.t2v("sweep", "seed=1", "--name", "weights", code=1)


def test_a_sweep_needs_no_git_identity_and_a_failed_point_is_its_exit_code(project):
    for name in list(project.environment):
        if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")):
            del project.environment[name]
    # Steps of that length leave every number behind: training stops on the first loss that is none.
    printed = project.t2v("sweep", "train.generator_lr=1.0e+30,0.001", "--until", "train", "--jobs", "1", code=1)
    assert "sweep-1-1 train.generator_lr=1.0e+30: failed (255): error: " in printed
    assert "its log is runs/sweeps/sweep-1/sweep-1-1.log" in printed
    assert list(experiments(project)) == ["sweep-1-2"]


def test_a_killed_sweep_leaves_no_process_and_goes_on_with_the_same_command(project):
    command = ("sweep", "train.total_clips=320", "--seeds", "2", "--until", "evaluate", "--name", "killed")
    folder = project.folder / "runs/sweeps/killed"
    kill_when(project, command, folder / "killed-1.log", "train: 64/320")
    assert within(120, lambda: not find_processes(folder))
    assert experiments(project) == {}
    printed = project.t2v(*command)
    assert "the stages that all points share" not in printed
    assert "resuming from step" in (folder / "killed-1.log").read_text(encoding="utf-8")
    points = experiments(project)
    assert sorted(points) == ["killed-1", "killed-2"]
    for revision in points.values():
        history = model_file(project, revision, "history.csv").decode().splitlines()
        assert [float(row.split(",")[0]) for row in history[1:]] == list(range(16, 321, 16))
    seeds = {name: project.run("git", "show", f"{revision}:params.yaml") for name, revision in points.items()}
    assert "training_seed: 17" in seeds["killed-1"]
    assert "training_seed: 18" in seeds["killed-2"]
    assert len({model_file(project, revision, "generator.safetensors") for revision in points.values()}) == 2
    assert "2 of 2 runs are done already" in project.t2v(*command)  # nothing is left to do
    assert list((project.folder / ".dvc/tmp/sweeps").iterdir()) == []
    assert find_processes(folder) == []
    assert_the_rest_is_made_where_an_experiment_is_applied(project, folder / "killed-1.log")


def assert_the_rest_is_made_where_an_experiment_is_applied(project, log):
    """The point has run the stages up to that of `--until` alone, and those are not repeated."""
    assert stages_run(log.read_text(encoding="utf-8")) == ["train", "evaluate"]
    reported = project.t2v("sweep", "report", "killed", "--json")
    assert json.loads(reported)["points"][0]["metrics"]["withdrawn"]["seeds"] == 2
    project.dvc("exp", "apply", "killed-1")
    assert sorted(stages_run(project.dvc("repro"))) == ["export", "render", "report"]
    assert "up to date" in project.dvc("status")


def kill_when(project, command, log, text):
    """Start a `t2v` command and end it by SIGKILL once the log holds the text."""
    python = [sys.executable, "-m", "pipeline.cli", *command]
    process = subprocess.Popen(python, cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL)
    assert within(600, lambda: log.exists() and text in log.read_text(encoding="utf-8"))
    process.kill()
    process.wait()
