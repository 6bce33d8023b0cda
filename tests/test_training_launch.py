"""A run in processes of its own, as DVC starts it: signals, kill -9, two devices, a device that fails."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from projects import ROOT
from safetensors.numpy import load_file
from training_sets import TEN_STEPS, outputs, states_of, train_project, write_project

DRIVER = """
import os, signal, time
from pipeline.errors import UserError, run
from pipeline.training.loop import Trainer
from stages.train_model import main

take = Trainer._take_step

def step(self):
    kind, at, rank = os.environ["DO"].split()
    if self.step >= int(at) and self.rank.rank == int(rank):
        if kind == "refuse":
            raise UserError("this rank was told to fail")
        if kind == "break":
            raise RuntimeError("this rank is broken")
        if self.step == int(at):
            target = os.getppid() if kind == "PARENT" else os.getpid()
            os.kill(target, signal.SIGKILL if kind == "SIGKILL" else signal.SIGTERM)
        time.sleep(0.3)
    return take(self)

Trainer._take_step = step

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project after an uninterrupted run of ten steps on one CPU process."""
    return train_project(tmp_path_factory.mktemp("finished") / "project", **TEN_STEPS)


@pytest.fixture
def project(tmp_path):
    """A fresh project."""
    return write_project(tmp_path / "project", **TEN_STEPS)


def in_process(folder, do, **environment):
    """The stage in a process of its own that does `do` ("kind step rank") -> (exit code, what it printed)."""
    (folder / "driver.py").write_text(DRIVER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "T2V_"))}
    process = subprocess.Popen(
        [sys.executable, "driver.py"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DO": do} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=500)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while left := [p for p in psutil.process_iter() if session_of(p.pid) == process.pid]:
        assert time.monotonic() < end, f"{left} outlived the stage"
        time.sleep(0.2)
    return process.returncode, printed


def session_of(pid):
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


def test_sigterm_ends_with_75_and_kill_with_the_last_saved_state(finished, project):
    """As DVC sees it: SIGTERM at step 2, kill -9 at step 6, then to the end."""
    code, printed = in_process(project, "SIGTERM 2 0")
    assert (code, "Traceback" in printed) == (75, False)
    assert "interrupted: training is saved at step 3 of 10; give the same command again" in printed
    code, _ = in_process(project, "SIGKILL 6 0")
    assert code == -signal.SIGKILL
    assert not (project / "data/model").exists()
    code, printed = in_process(project, "none 99 0")
    assert code == 0, printed
    assert outputs(project) == outputs(finished)


def test_two_processes_stop_together_go_on_and_end_with_the_networks_of_one(finished, project):
    """SIGTERM reaches the launcher only, as from `kill`; both ranks save and end."""
    code, printed = in_process(project, "PARENT 3 0", T2V_DEVICES="cpu:2")
    assert (code, "Traceback" in printed) == (75, False), printed
    assert states_of(project)
    code, printed = in_process(project, "none 99 0", T2V_DEVICES="cpu:2")
    assert code == 0, printed
    assert "going on from step" in printed
    for name in ("generator.safetensors", "discriminator.safetensors"):
        one, two = (load_file(folder / "data/model" / name) for folder in (finished, project))
        for key in one.keys() - {"clips.realness.bias"}:  # relativistic losses leave it to rounding
            np.testing.assert_allclose(two[key], one[key], atol=1e-5, err_msg=key)
    one, two = (json.loads((folder / "data/model/training.json").read_text()) for folder in (finished, project))
    assert two == pytest.approx(one, rel=0.05, abs=0.02)


@pytest.mark.slow
def test_two_processes_draw_and_normalise_as_one_does(tmp_path):
    """Batch norm over both, and penalties, augmentation and negatives that draw: the first steps report the same."""
    train = TEN_STEPS | {
        "total_clips": 24,
        "report_clips": 8,
        "penalties": {"zero_gp": 1.0, "r1_fd": 1.0},
        "opposites": 0.5,
        "augmentation": {"probability": [0.5, 0.5]},
        "generator": {"kind": "convgru"},
        "discriminator": {"frames": 2},
    }
    one = train_project(tmp_path / "one", **train)
    two = write_project(tmp_path / "two", **train)
    code, printed = in_process(two, "none 99 0", T2V_DEVICES="cpu:2")
    assert code == 0, printed
    rows = [list(csv.DictReader((folder / "data/model/history.csv").open())) for folder in (one, two)]
    for alone, shared in zip(*rows, strict=True):
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            assert float(shared[name] or 0) == pytest.approx(float(value or 0), rel=0.01, abs=0.01), name


def test_a_rank_that_fails_takes_the_others_with_it_and_says_why(project):
    code, printed = in_process(project, "refuse 2 1", T2V_DEVICES="cpu:2")
    assert code == 1
    assert "error: this rank was told to fail" in printed
    assert "error: rank 1 of 2 ended with 1; see above" in printed
    code, printed = in_process(project, "break 2 1", T2V_DEVICES="cpu:2")
    assert code == 1
    assert "RuntimeError: this rank is broken" in printed
