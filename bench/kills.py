"""Sweeps with a random kill in each: are points lost, and what does a point cost besides its own work?

`python -m bench.kills --runs 20` makes for each run a small project whose stages take seconds, starts a sweep of three
weights and three seeds with two jobs, and kills one of its processes, or all of them, at a random moment. Then it gives
the same command until it ends well, and counts.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.measuring import ROOT, cpu_seconds
from pipeline.repository import IDENTITY, child_environment, git
from pipeline.sweeping.processes import find_processes

STEPS = 20
WEIGHTS, SEEDS = (0.5, 1.0, 5.0), 3
SWEEP = ("sweep", f"train.penalties.r1={','.join(map(str, WEIGHTS))}", "--seeds", str(SEEDS), "--name", "killed")
TRIES = 4  # of the same command after the kill
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
# Stages that take no time to speak of, and a training with a checkpoint after each step, as ours has it.
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
    """A project with our params and commands, and stages of its own, committed."""
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
    """Of the commands: this Python first, CPU only, a name to commit by."""
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
    """Kill one kind of process of a running sweep -> its name; the sweep itself where there is no other."""
    ours = find_processes(folder / "runs/sweeps/killed")
    kinds = {"point": "pipeline.sweeping.point", "dvc": "-m dvc", "training": "work.py train"}
    found = [one for one in ours if victim in kinds and kinds[victim] in " ".join(_command(one))]
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


def run_once(folder: Path, number: int, longest: float) -> dict[str, Any]:
    """One sweep with a kill -> what became of it."""
    rng = random.Random(number)
    make_project(folder)
    process = start(folder)
    moment = rng.uniform(0, longest)
    try:
        process.wait(timeout=moment)
        killed = "nothing: it had ended"
    except subprocess.TimeoutExpired:
        killed = kill(process, folder, VICTIMS[number % len(VICTIMS)], rng)
    codes = [process.wait()]
    while codes[-1] and len(codes) <= TRIES:
        codes.append(start(folder).wait())
    return {"killed": killed, "after": round(moment, 1), "codes": codes} | count(folder)


def count(folder: Path) -> dict[str, Any]:
    """What is there in the end: whole points, stages run, processes and copies left over."""
    found = set()
    for commit in git("for-each-ref", "--format=%(objectname)", "refs/exps", folder=folder).stdout.split():
        figures = json.loads(git("show", f"{commit}:metrics.json", folder=folder).stdout)
        if figures["steps"] == STEPS:
            found.add(round(figures["recall"], 6))
    runs = (folder / "runs.log").read_text(encoding="utf-8").split()
    return {
        "lost": len(WEIGHTS) * SEEDS - len(found),
        "draws": runs.count("draw"),
        "transcodings": runs.count("transcode"),
        "processes": len(find_processes(folder / "runs/sweeps/killed")),
        "copies": len(list((folder / ".dvc/tmp/sweeps").glob("*"))),
    }


def main() -> None:
    """Print a line per run and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first run: its kill is drawn by it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        make_project(whole)
        began, before = time.monotonic(), cpu_seconds()
        code = start(whole).wait()
        longest, spent = time.monotonic() - began, cpu_seconds() - before
        print(f"without a kill: exit code {code}, {longest:.0f} s, {spent:.0f} CPU s, {count(whole)}", flush=True)
        rows = []
        for number in range(options.first, options.first + options.runs):
            rows.append(run_once(Path(folder) / str(number), number, longest))
            print(number, rows[-1], flush=True)
        print(f"{len(rows)} runs, {sum(row['lost'] for row in rows)} points lost")


if __name__ == "__main__":
    main()
