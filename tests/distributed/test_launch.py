"""A run in processes of its own, as DVC and torchrun start it: signals, kill -9, two devices, two nodes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from projects import ROOT
from safetensors.numpy import load_file
from training_sets import TEN_STEPS, find_checkpoints, outputs, train_project, write_project

DRIVER = """
import os, signal, time
from pathlib import Path
from pipeline.errors import run
from pipeline.training.loop import Trainer
from stages.train_model import main

take = Trainer._take_step

def step(self):
    kind, at, rank = os.environ["DO"].split()
    if self.step >= int(at) and self.rank.rank == int(rank):
        struck = Path(f"struck-{kind}-{at}")
        if not struck.exists():  # once: not again by those who go on
            struck.touch()
            target = os.getppid() if kind.endswith("PARENT") else os.getpid()
            os.kill(target, signal.SIGKILL if kind.startswith("KILL") else signal.SIGTERM)
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


def started(folder, do, *launcher, **environment):
    """The stage in a session of its own that does `do` ("kind step rank")."""
    (folder / "driver.py").write_text(DRIVER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "T2V_"))}
    return subprocess.Popen(
        [sys.executable, *launcher, "driver.py"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DO": do} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process):
    """(exit code, what it printed) of a stage once it and all that it started are gone."""
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


def in_process(folder, do, **environment):
    """(exit code, what it printed) of the stage that does `do`."""
    return ended(started(folder, do, **environment))


def session_of(pid):
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


@pytest.mark.slow
def test_sigterm_ends_with_75_and_kill_with_the_last_saved_state(finished, project):
    """As DVC sees it: SIGTERM at step 2, kill -9 at step 6, then to the end."""
    code, printed = in_process(project, "TERM 2 0")
    assert (code, "Traceback" in printed) == (75, False)
    assert "interrupted: training is saved at step 3 of 10; run the same command again" in printed
    code, _ = in_process(project, "KILL 6 0")
    assert code == -signal.SIGKILL
    assert not (project / "data/model").exists()
    code, printed = in_process(project, "none 99 0")
    assert code == 0, printed
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
def test_two_processes_stop_together_go_on_and_end_with_the_networks_of_one(finished, project):
    """SIGTERM reaches the launcher only, as from `kill`; both ranks save and end. They end after its kill -9, too."""
    code, printed = in_process(project, "TERM-PARENT 3 0", T2V_DEVICES="cpu:2")
    assert (code, "Traceback" in printed) == (75, False), printed
    assert find_checkpoints(project)
    code, printed = in_process(project, "KILL-PARENT 7 1", T2V_DEVICES="cpu:2")
    assert code == -signal.SIGKILL, printed
    code, printed = in_process(project, "none 99 0", T2V_DEVICES="cpu:2")
    assert code == 0, printed
    assert "resuming from step" in printed
    assert_same_networks(project, finished)
    one, two = (json.loads((folder / "data/model/training.json").read_text()) for folder in (finished, project))
    assert two == pytest.approx(one, rel=0.05, abs=0.02)


def assert_same_networks(project, other):
    """But for rounding."""
    for name in ("generator.safetensors", "discriminator.safetensors"):
        one, two = (load_file(folder / "data/model" / name) for folder in (other, project))
        for key in one.keys() - {"clips.realness.bias"}:  # relativistic losses leave it to rounding
            np.testing.assert_allclose(two[key], one[key], atol=1e-5, err_msg=key)


def nodes(*folders, do):
    """The stage under one torchrun in each folder, as on so many nodes -> (exit code, what it printed) of each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    meeting = ("--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}", "--rdzv-id=test", "--local-addr=localhost")
    launcher = ("-m", "torch.distributed.run", f"--nnodes={len(folders)}", "--nproc-per-node=1", *meeting)
    running = [started(folder, do, *launcher, "--max-restarts=0") for folder in folders]
    return [ended(process) for process in running]


@pytest.mark.slow
def test_two_nodes_share_nothing_but_data_and_go_on_when_a_process_is_killed(finished, project, tmp_path):
    """Whichever node has rank 0 holds the states and the model; the other has neither, and goes on all the same."""
    other = write_project(tmp_path / "other", **TEN_STEPS)
    assert [code for code, _ in nodes(project, other, do="KILL 6 1")] == [1, 1]
    for code, printed in nodes(project, other, do="none 99 0"):
        assert code == 0, printed
    (made,) = [folder for folder in (project, other) if (folder / "data/model").exists()]
    assert_same_networks(made, finished)
    (spared,) = {project, other} - {made}
    assert (spared / "struck-KILL-6").exists()
    assert not (spared / ".dvc/tmp/state").exists()


@pytest.mark.slow
def test_processes_whose_torchrun_is_killed_save_and_end(project):
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=0")
    code, printed = ended(started(project, "KILL-PARENT 4 1", *launcher))
    assert code == -signal.SIGKILL
    assert "interrupted: training is saved at step" in printed
    assert find_checkpoints(project)
    assert not (project / "data/model").exists()


@pytest.mark.slow
def test_a_node_with_other_params_stops_all_of_them(project, tmp_path):
    other = write_project(tmp_path / "other", **TEN_STEPS | {"mismatched": 0.5})
    for code, printed in nodes(project, other, do="none 99 0"):
        assert code == 1
        assert "rank 1 of 2 would make another run than rank 0" in printed
    assert not any((folder / "data/model").exists() for folder in (project, other))
