"""Sweeps whose points are jobs of Slurm: a real one, of one node, started here."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from far_sweeps import FarProject
from waiting import within

from pipeline.sweeping.pool import find_processes

DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"  # where a user's PATH does not lead
MISSING = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=SYSTEM) is None]
SWEEP = ("sweep", "train.penalties.r1=0.5,1", "--name", "far", "--on", "slurm", "--jobs", "2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(MISSING), reason=f"needs Slurm: no {', '.join(MISSING)}"),
]


@contextmanager
def daemon(folder, name, *arguments, **variables):
    """A daemon in the foreground, ended after the block."""
    with (folder / f"{name}.out").open("wb") as log:
        command = [shutil.which(name, path=SYSTEM), *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | variables)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def configure(folder, host, user):
    """Slurm's own settings for one node of two CPUs, all of whose files are in the folder."""
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge.socket",
        "SlurmUser": user,
        "SlurmdUser": user,
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "ProctrackType": "proctrack/pgid",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "SwitchType": "switch/none",
    }
    node = f"NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN\n"
    partition = f"PartitionName=batch Nodes={host} Default=YES State=UP\n"
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (folder / "slurm.conf").write_text("".join([*lines, node, partition]))


@pytest.fixture(scope="module")
def slurm():
    """A cluster of this machine alone -> its settings, which SLURM_CONF has to name."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, since it holds a socket
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configure(folder, socket.gethostname().split(".")[0], getpass.getuser())
    conf = str(folder / "slurm.conf")
    files = ("key-file=munge.key", "socket=munge.socket", "pid-file=pid", "log-file=log", "seed-file=seed")
    with ExitStack() as stack:
        paths = [f"--{name}={folder / file}" for name, file in (pair.split("=") for pair in files)]
        stack.enter_context(daemon(folder, "munged", "--foreground", "--force", *paths))
        assert within(30, (folder / "munge.socket").exists)
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(daemon(folder, name, "-D", SLURM_CONF=conf))
        idle = ["sinfo", "--noheader", "--format=%T"]
        ask = {"env": os.environ | {"SLURM_CONF": conf}, "capture_output": True, "text": True}
        assert within(60, lambda: "idle" in subprocess.run(idle, **ask).stdout)
        yield conf
    shutil.rmtree(folder)


@pytest.fixture
def project(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", slurm)
    monkeypatch.setenv("T2V_SLOTS", str(tmp_path / "slots"))
    return FarProject(tmp_path / "project")


def jobs():
    """The jobs that wait or run."""
    return subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_points_run_as_jobs_and_come_back_as_experiments(project):
    printed = project.end(*SWEEP, "--job-options", "--partition=nowhere", code=1)
    assert "invalid partition specified: nowhere" in printed
    assert not (project.folder / "runs").exists()
    project.end(*SWEEP, "--job-options", "--cpus-per-task=1 --time=0:30:00")
    assert project.experiments() == ["far-1", "far-2"]
    for run in ("far-1", "far-2"):
        assert project.log("far", run).startswith("Submitted batch job ")
        assert "Running stage 'train'" in project.log("far", run)
    assert project.drawn() == 1
    assert jobs() == []


def test_a_sweep_that_is_stopped_or_killed_leaves_no_job_and_goes_on(project):
    def training():
        return all("Running stage 'train'" in project.log("far", run) for run in ("far-1", "far-2"))

    stopped = project.start(*SWEEP)
    assert within(300, training)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(300) == 75
    assert jobs() == []
    killed = project.start(*SWEEP)
    assert within(300, training)
    killed.kill()
    killed.wait()
    assert within(300, lambda: not find_processes(project.folder / "runs/sweeps/far"))  # what waited has stopped them
    assert jobs() == []
    project.end(*SWEEP)
    assert project.experiments() == ["far-1", "far-2"]
    assert project.drawn() == 1


def test_jobs_of_a_machine_that_was_lost_are_ended_before_the_sweep_goes_on(project):
    lost = project.start(*SWEEP)
    assert within(300, lambda: len(jobs()) == 2)
    for process in find_processes(project.folder / "runs/sweeps/far"):
        if "pipeline.sweeping.clusters" in process.cmdline():
            process.kill()
    lost.kill()
    lost.wait()
    project.end(*SWEEP)
    assert project.experiments() == ["far-1", "far-2"]
    assert jobs() == []
