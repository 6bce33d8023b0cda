"""`t2v train` is the stage under DVC; with --profile it looks at a few steps and touches nothing else."""

import json
import os
import re
import time

import pytest
from training_sets import write_project

from pipeline.cli.train import train
from pipeline.errors import UserError, catch_fault
from pipeline.training.loop import Trainer

EVERY, STEPS = 4, 2


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with tiny data, and the working folder in it."""
    monkeypatch.setenv("T2V_DEVICES", "cpu")
    folder = write_project(tmp_path / "project", penalty_every=EVERY)
    monkeypatch.chdir(folder)
    return folder


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_number_of_steps_without_a_profile_is_refused_and_trains_nothing(monkeypatch):
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("a whole training was started"))
    with pytest.raises(UserError, match=r"^--steps: only a profile has a number of steps; add --profile, or set"):
        train(steps=100)


@pytest.mark.parametrize("name", ["runs", "runs/profile"])
def test_a_profile_that_cannot_be_written_is_told_before_any_step(project, monkeypatch, name):
    monkeypatch.setattr("pipeline.cli.train._trace", lambda *_: pytest.fail("steps were taken"))
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("in the way")
    message, code = catch_fault(lambda: train(profile=True))
    assert (message, code) == (
        "runs/profile: a file where a folder is needed, or a folder where a file is; name another place",
        1,
    )


@pytest.mark.slow
def test_a_profile_is_a_chrome_trace_of_warm_steps_the_first_with_penalties(project, monkeypatch, capsys):
    steps, take = [], Trainer._take_step
    monkeypatch.setattr(Trainer, "_take_step", lambda self: steps.append(self.step) or take(self))
    before = files(project)
    train(profile=True, steps=STEPS)
    assert steps == list(range(EVERY + STEPS))
    written = files(project).keys() - before.keys()
    assert {path.parent.as_posix() for path in written} == {"runs/profile"}
    assert before.items() <= files(project).items()
    (file,) = (project / path for path in written)
    events = json.loads(file.read_text())["traceEvents"]
    names = [event.get("name", "") for event in events if event.get("ph") == "X"]
    assert sorted(name for name in names if name.startswith("ProfilerStep")) == ["ProfilerStep#4", "ProfilerStep#5"]
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    of_adam = [line for line in table if line[:1] == ["aten::_fused_adam_"]]
    assert names.count("aten::_fused_adam_") == 2 * STEPS  # one for each network
    assert all(line[1] == "2" for line in of_adam)
    shares = [float(line[-1][:-1]) for line in table if line[-1:] and line[-1].endswith("%")]
    assert shares == sorted(shares, reverse=True)
    assert 50 < sum(shares) <= 100.1


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_a_profile_of_steps_that_did_not_have_the_processor_says_so(monkeypatch, capsys):
    """Torch's profiler counts what an operation waits for as its own."""
    take = Trainer._take_step
    monkeypatch.setattr(Trainer, "_take_step", lambda self: time.sleep(1) or take(self))
    train(profile=True, steps=1)
    assert re.search(r"other processes used the CPU: .* training ran during only \d+% of them", capsys.readouterr().out)


@pytest.mark.slow
def test_a_profile_begins_anew_beside_the_saved_state_of_an_equal_run(project, monkeypatch):
    """It neither goes on from that state nor changes it."""
    from pipeline.training.checkpoints import Checkpoints

    monkeypatch.setattr(Checkpoints, "load", lambda *_: pytest.fail("a checkpoint was read"))
    monkeypatch.setattr(Checkpoints, "save", lambda *_: pytest.fail("a checkpoint was written"))
    train(profile=True, steps=1)
    assert not (project / ".dvc").exists()


@pytest.mark.usefixtures("project")
def test_devices_that_cannot_share_the_batch_are_refused():
    with pytest.raises(UserError, match=r"train\.batch_clips 8 does not divide over 3 devices"):
        train(devices="cpu:3", profile=True)


@pytest.mark.usefixtures("project")
def test_without_profile_dvc_takes_its_place(monkeypatch):
    commands = []
    monkeypatch.setattr(os, "execv", lambda *command: commands.append((*command, os.environ["T2V_DEVICES"])) or exit())
    with pytest.raises(SystemExit):
        train(devices="cpu:2")
    (_, command, devices), *others = commands
    assert (command[1:], devices, others) == (["-m", "dvc", "repro", "train"], "cpu:2", [])
