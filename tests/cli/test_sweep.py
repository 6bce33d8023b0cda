"""`t2v sweep` before its first point starts: devices, names, and the stages that all points share."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from rich.console import Console
from typer.testing import CliRunner
from waiting import within

from pipeline.cli.sweep import (
    app,
    check_plan,
    describe_slots,
    draw_table,
    find_free_name,
    hold_sweep,
    read_metric,
    run_pool,
)
from pipeline.cli.sweep_stages import settings_for_copies, split_stages
from pipeline.errors import UserError
from pipeline.provenance.locks import find_cache
from pipeline.sweeping import FOLDER, Origin, Plan, Sweep, lock_sweep
from pipeline.sweeping.clusters import check_slurm_jobs, end_jobs, end_slurm_jobs
from pipeline.sweeping.pool import Job, SlotQueue


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "shared"),
    [
        ("train.penalties.r1", {"draw", "filter", "transcode", "tokenize", "judge"}),
        ("filter.categories", {"draw"}),
        ("clip.frames", {"draw", "filter", "tokenize"}),
        ("training_seed", {"draw", "filter", "transcode", "tokenize", "judge"}),
        ("seed", set()),
    ],
)
def test_the_shared_stages_are_those_that_no_point_changes(root, monkeypatch, key, shared):
    monkeypatch.chdir(root)
    known = {"draw", "filter", "transcode", "tokenize", "train", "judge", "evaluate", "render", "export"}
    assert {name.split(":")[-1] for name in split_stages([key]).shared} & known == shared


def test_dvc_finds_every_stage_and_draws_before_it_filters(root, monkeypatch):
    """DVC does not look into a folder below an ignored `/data/*`, even where git is told to: nothing would be drawn."""
    monkeypatch.chdir(root)
    stages = split_stages([]).shared
    assert stages.index("data/demo/dvc.yaml:draw") < stages.index("filter") < stages.index("train")


def test_a_point_reads_only_products_of_the_stages_before_its_own(root, monkeypatch):
    monkeypatch.chdir(root)
    stages = split_stages(["evaluate.samples"])
    assert stages.swept[0] == "evaluate"
    assert not {"draw", "render"} & set(stages.swept)
    assert {"filter", "transcode", "tokenize", "train", "judge"} <= set(stages.inputs)
    assert stages.kept_by_git == ["metrics.json"]


@pytest.mark.parametrize(
    ("key", "until", "swept", "left_out"),
    [
        ("train.penalties.r1", "evaluate", ["train", "evaluate"], ["render", "report", "export"]),
        ("train.penalties.r1", "train", ["train"], ["evaluate", "render", "report", "export"]),
        ("clip.frames", "train", ["transcode", "train"], ["judge", "evaluate", "render", "report", "export"]),
    ],
)
def test_points_end_with_the_stage_that_is_named_and_run_what_it_needs(root, monkeypatch, key, until, swept, left_out):
    monkeypatch.chdir(root)
    stages = split_stages([key], until)
    assert stages.swept == swept
    assert sorted(stages.left_out) == sorted(left_out)
    assert ["metrics.json"] in (stages.kept_by_git, stages.left_to_git)
    assert ("metrics.json" in stages.kept_by_git) == ("evaluate" in swept)
    assert "judge" not in stages.shared or until == "evaluate"  # none is trained that no point reads


@pytest.mark.parametrize(
    ("key", "until"), [("clip.frames", "judge"), ("clip.frames", "evalute"), ("render.scale", "train")]
)
def test_points_end_with_no_stage_before_training_and_none_that_they_do_not_run(root, monkeypatch, key, until):
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=f"--until {until}: points of this sweep can end with ") as caught:
        split_stages([key], until)
    may = str(caught.value).rpartition("with ")[2].split(", ")
    trained = ["evaluate", "export", "render", "report", "train"]
    assert sorted(may) == (["render", "report"] if key == "render.scale" else trained)


def test_databases_of_dvc_that_cannot_be_opened_are_told(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path))
    split_stages(["seed"])
    for path in tmp_path.rglob("cache.db*"):
        path.unlink()
        path.mkdir()
    with pytest.raises(
        UserError, match=f"^{tmp_path}: DVC's database .*fails: unable to open database file; make room"
    ):
        split_stages(["seed"])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("dvc.yaml", "stages:\n  a: [", "DVC cannot read this project: unable to read: 'dvc.yaml', YAML file"),
        ("dvc.yaml", "stages: {a: {cmd: 'echo ${no}'}}", "DVC cannot read this project: failed to parse"),
        (
            ".dvc/config.local",
            "[core\n",
            r"\.dvc/config\.local: settings of DVC that cannot be read \(config file error",
        ),
    ],
)
def test_a_project_that_dvc_cannot_read_ends_with_a_message(tmp_path, monkeypatch, name, text, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"^{told}"):
        split_stages(["seed"])


@pytest.mark.parametrize("name", ["a, b", "c#", "it's", 'a "b"'])
def test_copies_use_the_cache_of_a_project_whatever_its_folder_is_called(tmp_path, monkeypatch, name):
    """A comment of DVC's settings begins at #, and a comma makes a list."""
    folder, copy = tmp_path / name, tmp_path / "copy"
    for place in (folder, copy):
        (place / ".dvc").mkdir(parents=True)
        (place / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    monkeypatch.chdir(folder)
    (copy / ".dvc/config.local").write_text(settings_for_copies())
    with Repo(copy) as repo:
        assert Path(repo.cache.local_cache_dir) == folder / ".dvc/cache"
    assert find_cache(copy) == folder / ".dvc/cache/files/md5"


def test_a_user_of_other_data_never_draws_the_demo(project, monkeypatch):
    project.change({"dataset": {"labels": "mine/labels", "videos": "mine/videos"}})
    monkeypatch.chdir(project.folder)
    assert split_stages(["train.penalties.r1"]).shared == ["filter", "transcode", "tokenize", "judge"]


def test_the_table_shows_each_point_with_its_state_and_last_line(tmp_path):
    log = tmp_path / "grid-1.log"
    log.write_text("started\ntrain: 480/12000 clips\n")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(draw_table([Job("grid-1", "train.penalties.r1=0.1", ["true"], log, seconds=75)]))
    text = console.export_text()
    for word in ("grid-1", "train.penalties.r1=0.1", "waiting", "1:15", "train: 480/12000 clips"):
        assert word in text


@pytest.mark.parametrize("option", ["--array=1-2", "--arr", "-a1-2", "-a", "--test-only", "--te"])
def test_options_that_make_no_single_job_of_a_point_are_refused(option):
    with pytest.raises(UserError, match=f"--job-options '{option}': each point of a sweep is one job"):
        check_slurm_jobs(["--time=10", option])


def test_where_slurm_is_not_it_says_so_also_of_jobs_that_may_be_left(tmp_path, monkeypatch):
    """A sweep that was begun on a cluster goes on elsewhere only once its jobs are known to have ended."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch is not on PATH"):
        check_slurm_jobs(["--gpus=1"])
    with pytest.raises(UserError, match="squeue is not on PATH"):
        end_slurm_jobs(tmp_path, ["far-1"], 0.0)


def test_jobs_on_a_cluster_that_only_another_version_knows_are_left_to_it():
    left = Sweep("far", Plan(("seed=1,2",)), Origin("", "", (), (), (), "", 1, engine="pbs"))
    with pytest.raises(UserError, match=r"^runs/sweeps/far/sweep\.json: its points run on 'pbs', which this"):
        end_jobs(left, ["far-1"], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["train.penalties.r3=1"], "r3"),
        (["train.penalties.r1=-1"], "greater than or equal to 0"),
        (["nonsense"], "write KEY=VALUE"),
        (["train.mismatched=0.0..1.0"], "say how many points to draw from it"),
        (["logging.sample_clips=1,2"], "no stage depends on logging.sample_clips"),
        (["train.mismatched=0,1", "--minimise", "frechet"], "and the number of --points"),
        (["training_seed=1,2", "--seeds", "2"], "--seeds sets training_seed"),
        (["train.mismatched=0,1", "--until", "judge"], "--until judge: points of this sweep can end with train, "),
        (
            ["seed=1,2", "--points", "2", "--minimise", "frechet", "--until", "train"],
            "tokenize, train writes metrics.json",
        ),
    ],
)
def test_a_wrong_value_ends_with_a_message_before_anything_starts(project, arguments, answer):
    printed = project.t2v("sweep", *arguments, code=1)
    assert answer in printed
    assert "Traceback" not in printed
    assert not (project.folder / "runs").exists()
    assert "Running stage" not in printed


@pytest.mark.parametrize(
    ("metric", "answer"),
    [
        ("recal", "recal: no such metric in metrics.json; did you mean recall?"),
        ("fvd", "fvd: has no value in metrics.json of the last commit; choose another metric, or .* commit that file"),
    ],
)
def test_points_are_not_chosen_by_a_metric_that_has_no_value(root, monkeypatch, metric, answer):
    pytest.importorskip("optuna")
    monkeypatch.chdir(root)
    monkeypatch.setattr("pipeline.cli.sweep.read_metrics", lambda _: {"recall": 0.5, "fvd": None})
    with pytest.raises(UserError, match=answer):
        check_plan(Plan((), points=3, metric=metric), [], both=False)
    check_plan(Plan((), points=3, metric="recall"), [], both=False)


def test_a_sweep_is_named_beside_experiments_of_any_name(tmp_path, monkeypatch):
    """An experiment of DVC's own has no number behind it."""
    monkeypatch.chdir(tmp_path)
    person = ("-c", "user.name=a", "-c", "user.email=a@a")
    for command in (["init"], [*person, "commit", "--allow-empty", "-m", "a"]):
        subprocess.run(["git", *command], check=True, stdout=subprocess.DEVNULL)
    for name in ("one", "sweep-1-2"):
        subprocess.run(["git", "update-ref", f"refs/exps/ab/cd/{name}", "HEAD"], check=True)
    assert find_free_name("") == "sweep-2"
    with pytest.raises(UserError, match="--name sweep-1: experiments of that name already exist"):
        find_free_name("sweep-1")


def test_a_name_is_taken_from_the_start_of_a_sweep_and_free_again_where_it_was_not_begun(tmp_path, monkeypatch):
    """What all points share may take hours, in which another sweep would write its record over that of the first."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    with lock_sweep(FOLDER / "sweep-1"):
        assert find_free_name("") == "sweep-2"
        with pytest.raises(UserError, match="--name sweep-1: experiments of that name already exist"):
            find_free_name("sweep-1")
    assert find_free_name("") == find_free_name("sweep-1") == "sweep-1"


@pytest.mark.slow
def test_the_name_is_held_while_the_shared_stages_run(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    names = []
    monkeypatch.setattr("pipeline.cli.sweep.run_shared_stages", lambda *_: names.append(find_free_name("")))
    monkeypatch.setattr("pipeline.cli.sweep.continue_sweep", lambda sweep, *_: names.append(sweep.name))
    CliRunner().invoke(app, ["train.penalties.r1=1.0"], catch_exceptions=False)
    assert names == ["sweep-2", "sweep-1"]


def test_a_name_that_another_sweep_takes_at_the_same_moment_is_not_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    free = iter(["sweep-1", "sweep-2"])
    monkeypatch.setattr("pipeline.cli.sweep.find_free_name", lambda name: name or next(free))
    monkeypatch.setattr("pipeline.cli.sweep.choose_stages", lambda *_: None)
    monkeypatch.setattr("pipeline.cli.sweep.begin_sweep", lambda *given: given[3])
    with lock_sweep(FOLDER / "sweep-1"):
        with hold_sweep(Plan(()), [], "", 17, 1) as name:
            assert name == "sweep-2"
        with pytest.raises(UserError, match="this sweep is running"), hold_sweep(Plan(()), [], "sweep-1", 17, 1):
            pass


def test_a_sweep_is_resumed_with_the_points_that_its_last_process_has_added(tmp_path, monkeypatch):
    """The record is read before the lock is taken, and that process may hold the lock until then."""
    monkeypatch.chdir(tmp_path)
    sweep = Sweep("weights", Plan(()), Origin("", "", (), (), (), "", 1))
    sweep.save()
    before = Sweep(sweep.name, sweep.plan, sweep.origin)
    monkeypatch.setattr("pipeline.cli.sweep.find_sweep", lambda *_: before)
    sweep.add_point({}, [17])
    sweep.save()
    with hold_sweep(sweep.plan, [], "weights", 17, 1) as found:
        assert list(found.runs) == ["weights-1"]


def test_a_failed_run_has_no_metric_even_if_the_workspace_has_one(tmp_path, monkeypatch):
    """`git show :./metrics.json`, of no commit, shows that of the index."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path("metrics.json").write_text('{"recall": 0.5}')
    subprocess.run(["git", "add", "metrics.json"], check=True)
    assert read_metric("sweep-1-1", "recall") is None


SHARED = """
import os
from pipeline.cli.sweep_stages import run_shared_stages
run_shared_stages(["judge"], dict(os.environ))
"""
SLOW_DVC = """
import pathlib, signal, time
def save(*_):
    time.sleep(1)
    pathlib.Path("saved").touch()
    raise SystemExit(75)
signal.signal(signal.SIGINT, save)
pathlib.Path("running").touch()
time.sleep(60)
"""


def test_ctrl_c_waits_until_a_shared_stage_has_saved(root, tmp_path):
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc/__init__.py").touch()
    (tmp_path / "dvc/__main__.py").write_text(SLOW_DVC)
    command, environment = [sys.executable, "-c", SHARED], os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE
    ) as process:
        assert within(60, (tmp_path / "running").exists)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("name", ["a/b", "a,b", "a b"])
def test_a_name_that_no_folder_or_list_of_jobs_can_hold_is_refused(tmp_path, monkeypatch, name):
    """With a slash, points would be done and never found; with a comma, Slurm would end none of their jobs."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    with pytest.raises(UserError, match=f"--name {name}: not a valid name for experiments; use letters"):
        find_free_name(name)


def test_under_nohup_the_end_of_a_login_does_not_stop_a_sweep(tmp_path):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for ignored, handled in ((signal.SIG_IGN, signal.SIG_IGN), (signal.SIG_DFL, signal.default_int_handler)):
            signal.signal(signal.SIGHUP, ignored)
            run_pool({}, lambda: None, 1, SlotQueue("job", [], 0, tmp_path), lambda _: None)
            assert signal.getsignal(signal.SIGHUP) is handled
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_gpus_are_lent_by_their_names_on_the_machine_and_told_by_their_places(monkeypatch, tmp_path):
    """Of two sweeps that see other GPUs as their first, neither waits for the other or takes its GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    slots = SlotQueue("gpu", ["5", "7"], 1, tmp_path)
    taken, other = slots.take(), slots.take()
    assert (taken.names, other.names) == (("5",), ("7",))
    assert describe_slots(other)["T2V_DEVICES"] == "1"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert describe_slots(SlotQueue("gpu", ["3"], 1, tmp_path).take())["T2V_DEVICES"] == "3"
    assert describe_slots(SlotQueue("core", ["0", "2"], 2, tmp_path).take())["T2V_CORES"] == "0,2"


@pytest.mark.slow
def test_without_git_a_sweep_says_what_to_do(project):
    project.run(sys.executable, "-c", "import shutil; shutil.rmtree('.git')")
    assert "git init && git add . && git commit" in project.t2v("sweep", "train.penalties.r1=1", code=1)


def test_in_another_users_tree_a_sweep_says_how_to_trust_it(project):
    project.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    printed = project.t2v("sweep", "train.penalties.r1=1", code=1)
    assert f"git config --global --add safe.directory '{project.folder}'" in printed
