"""Sweeps with random kills: tests that no points are lost, and that they equal those of an undisturbed sweep.

For each run, `bench.kills` creates a small project whose stages take seconds, starts a sweep of three weights and three
seeds with two jobs, and kills one of its processes, or all of them, at random times. Then it repeats the command until
it succeeds, and compares.
"""

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.measuring import ROOT
from pipeline.repository import IDENTITY, child_environment, git
from pipeline.sweeping.pool import find_processes

STEPS = 20
WEIGHTS, SEEDS = (0.5, 1.0, 5.0), 3
SWEEP = ("sweep", f"train.penalties.r1={','.join(map(str, WEIGHTS))}", "--seeds", str(SEEDS), "--name", "killed")
TRIES = 4  # attempts after the kill
VICTIMS = ("sweep", "point", "dvc", "training", "machine")
GRAPH = {
    "draw": {"cmd": "python work.py draw", "outs": ["data/drawn"], "deps": ["work.py"]},
    "transcode": {
        "cmd": "python work.py transcode",
        "deps": ["work.py", "data/drawn"],
        "params": ["clip"],
        "outs": ["data/clips"],
    },
    "train": {
        "cmd": "python work.py train",
        "deps": ["work.py", "data/clips"],
        "params": ["train", "training_seed"],
        "outs": ["data/model"],
    },
    "evaluate": {
        "cmd": "python work.py evaluate",
        "deps": ["work.py", "data/model"],
        "params": ["evaluate"],
        "outs": [{"metrics.json": {"cache": False}}],
    },
}
# Fast stages, and a training stage that saves a checkpoint after each step.
WORK = f"""
import json, os, signal, sys, time
from pathlib import Path
import yaml
what, root = sys.argv[1], Path(os.environ["DVC_ROOT"])
params = yaml.safe_load(Path("params.yaml").read_text())
with (root / "runs.log").open("a") as log:
    log.write(what + "\\n")
if what in ("draw", "transcode"):
    Path({{"draw": "data/drawn", "transcode": "data/clips"}}[what]).write_text("clips" * 1000)
elif what == "train":
    weight, seed = params["train"]["penalties"]["r1"], params["training_seed"] or 17
    state = root / ".dvc/tmp/state" / f"work-{{weight}}-{{seed}}.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(75))
    steps = json.loads(state.read_text()) if state.exists() else []
    while len(steps) < {STEPS}:
        time.sleep(0.1)
        steps.append(len(steps))
        new = state.with_suffix(f".{{os.getpid()}}")
        new.write_text(json.dumps(steps))
        new.replace(state)
    Path("data/model").mkdir(parents=True)
    Path("data/model/history.json").write_text(json.dumps([weight, seed, steps]))
    state.unlink()
else:
    weight, seed, steps = json.loads(Path("data/model/history.json").read_text())
    Path("metrics.json").write_text(json.dumps({{"recall": 1 / weight + seed / 1000, "steps": len(steps)}}))
"""


def make_project(folder: Path) -> None:
    """Create and commit a project with this project's params and commands, and its own stages."""
    (folder / "data").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    for name in ("pipeline", "params.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=ignored) if source.is_dir() else shutil.copy(
            source, folder / name
        )
    (folder / "work.py").write_text(WORK, encoding="utf-8")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": GRAPH}), encoding="utf-8")
    (folder / ".gitignore").write_text("/data\n/runs\n/runs.log\n__pycache__\n", encoding="utf-8")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "start"]):
        subprocess.run(["git", *command], cwd=folder, env=environment(), check=True)


def environment() -> dict[str, str]:
    """The environment of the commands: this Python first, CPU only, a git identity."""
    kept = {name: value for name, value in child_environment().items() if name != "PYTHONPATH"}
    return kept | dict.fromkeys(IDENTITY, "bench") | {"T2V_DEVICES": "cpu", "DVC_NO_ANALYTICS": "1"}


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the sweep in the project."""
    output = (folder.parent / f"{folder.name}.log").open("ab")
    command = [sys.executable, "-m", "pipeline.cli", *SWEEP, "--jobs", "2"]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=output, stderr=output, start_new_session=True
    )


def kill(process: "subprocess.Popen[bytes]", folder: Path, victim: str, rng: random.Random) -> str:
    """Kill a process of this kind of a running sweep -> the kind killed; the sweep itself if there is none."""
    ours = find_processes(folder / "runs/sweeps/killed")
    kinds = {
        "point": ["pipeline.sweeping.point"],
        "dvc": ["-m dvc", "from dvc.cli"],  # for shared stages, and of a point
        "training": ["work.py train"],
    }
    found = [one for one in ours if any(kind in " ".join(_command(one)) for kind in kinds.get(victim, []))]
    if victim == "machine":
        found = [psutil.Process(process.pid), *ours]
    chosen = found if victim == "machine" else [rng.choice(found)] if found else [psutil.Process(process.pid)]
    for one in chosen:
        if one.is_running():
            one.send_signal(signal.SIGKILL)
    return victim if found else "sweep"


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def disturb_sweep(folder: Path, number: int, kills: int, longest: float) -> dict[str, Any]:
    """One sweep, killed `kills` times, each within `longest` seconds of its start -> the outcome."""
    rng = random.Random(number)
    make_project(folder)
    killed: list[str] = []
    code = None
    while code is None and len(killed) < kills:
        process = start(folder)
        try:
            code = process.wait(timeout=rng.uniform(0, longest))
        except subprocess.TimeoutExpired:
            killed.append(kill(process, folder, rng.choice(VICTIMS), rng))
            code = None if process.wait() else 0  # if the sweep itself was not killed, it may have succeeded
    codes = [code or 0]
    while code is None or (codes[-1] and len(codes) <= TRIES):
        code = start(folder).wait()
        codes.append(code)
    return {"killed": killed, "codes": codes} | count(folder)


def list_trees(folder: Path) -> dict[str, str]:
    """Name -> tree of DVC's experiments."""
    trees = {}
    lines = git("for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", "refs/exps", folder=folder).stdout
    for name, commit in (line.split(" ") for line in lines.splitlines()):
        trees[name] = git("rev-parse", f"{commit}^{{tree}}", folder=folder).stdout.strip()
    return trees


def count(folder: Path) -> dict[str, Any]:
    """The final state: complete points by name, stages run, remaining processes and copies."""
    runs = (folder / "runs.log").read_text(encoding="utf-8").split()
    return {
        "points": list_trees(folder),
        "draws": runs.count("draw"),
        "transcodings": runs.count("transcode"),
        "processes": len(find_processes(folder / "runs/sweeps/killed")),
        "copies": len(list((folder / ".dvc/tmp/sweeps").glob("*"))),
    }
