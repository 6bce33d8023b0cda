"""Kills commands at random times, and tests that running them again gives the bytes of an undisturbed run.

`python -m bench.kills` creates a tiny project and runs its stages, and sweeps of trivial stages. Each is killed
(SIGKILL) at random times, one of its processes or all of them, up to three times. Then the same command is repeated
until it succeeds. The outputs must equal those of an undisturbed run, and nothing else may remain: no process, saved
state or temporary file.
"""

import argparse
import random
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import forked
from bench.full_disk import HALF
from bench.sweep_kills import count, disturb_sweep, make_project, start
from pipeline.files import digest_file
from tests.projects import Project

OUTS = {  # stage -> module and output folder
    "filter": ("stages.filter_labels", "labels"),
    "transcode": ("stages.transcode_clips", "clips"),
    "train": ("stages.train_model", "model"),
    "render": ("stages.render_samples", "samples"),
}
MADE_BEFORE = {"filter": ("draw_demo",), "train": ("tokenize_captions",)}
MAX_KILLS = 3  # per run
COMPARED = ("points", "processes", "copies")  # of a sweep; after a kill, it may draw and transcode again
PATIENCE = 10.0  # seconds for processes to notice the end of another
TRIES = 3  # attempts after the last kill
TEMPORARY = re.compile(rf"{HALF.pattern}|\.scratch-.*|\.pictures-.*")
CHANGES = {"checkpoints": {"every_clips": 8}}  # a checkpoint after each step


@dataclass
class Tally:
    """The outcomes of the runs of one command."""

    runs: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)


class Stages:
    """A tiny project, created once, in which single stages are repeated."""

    def __init__(self, folder: Path, made: Path | None) -> None:
        self.project, self._said = Project(folder), folder.with_name("said.txt")
        self.project.change(CHANGES)
        if made:
            shutil.copytree(made / "data", folder / "data", dirs_exist_ok=True)
        self.seconds: dict[str, float] = {}
        self.whole: dict[str, dict[str, str]] = {}
        for stage, (module, _) in OUTS.items():
            for before in () if made else MADE_BEFORE.get(stage, ()):
                self._run(f"stages.{before}")
            began = time.monotonic()
            self._run(module)
            self.seconds[stage], self.whole[stage] = time.monotonic() - began, self.outputs(stage)

    def start(self, stage: str) -> int:
        """Remove the outputs of the stage and start it, as DVC does -> the process id."""
        shutil.rmtree(self.out(stage), ignore_errors=True)
        return self._start(OUTS[stage][0])

    def _start(self, module: str) -> int:
        return forked.start(module, (), self.project.folder, self.project.environment, self._said)

    def _run(self, module: str) -> None:
        if forked.wait(self._start(module)):
            raise AssertionError(f"{module} failed undisturbed: {self._said.read_text(encoding='utf-8')}")

    def out(self, stage: str) -> Path:
        """The output folder of the stage."""
        return self.project.folder / "data" / OUTS[stage][1]

    def outputs(self, stage: str) -> dict[str, str]:
        """Path -> digest of the outputs of the stage."""
        out = self.out(stage)
        return {str(path.relative_to(out)): digest_file(path) for path in sorted(out.rglob("*")) if path.is_file()}

    def find_processes(self) -> list[psutil.Process]:
        """All processes in the project."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(self.project.folder):
                    found.append(process)
        return found

    def find_faults(self, stage: str) -> list[str]:
        """The differences from an undisturbed run."""
        folder, now = self.project.folder, self.outputs(stage)
        names = sorted({*now, *self.whole[stage]})
        faults = [f"other bytes: {name}" for name in names if now.get(name) != self.whole[stage].get(name)]
        left = [path for path in (folder / "data").rglob("*") if TEMPORARY.fullmatch(path.name)]
        left += (folder / ".dvc/tmp/state").glob("*")
        faults += [f"left behind: {path.relative_to(folder)}" for path in left]
        return faults + [f"still running: {process}" for process in self.find_processes()]

    def kill(self, pid: int, rng: random.Random) -> None:
        """Kill one of the running processes, or all of them, as in a power failure."""
        running = self.find_processes() or [psutil.Process(pid)]
        for one in running if rng.random() < 0.5 else [rng.choice(running)]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)

    def disturb(self, stage: str, kills: int, rng: random.Random, tally: Tally) -> None:
        """One run, killed at most `kills` times, then repeated until it succeeds."""
        tally.runs += 1
        code = None
        for _ in range(kills):
            pid = self.start(stage)
            code = forked.wait(pid, rng.uniform(0, self.seconds[stage]))
            if code is None:
                self.kill(pid, rng)
                tally.kills += 1
                code = forked.wait(pid)
            if code == 0:
                break
        for _ in range(TRIES if code else 0):
            code = forked.wait(self.start(stage))
            if code == 0:
                break
        if code:
            tally.faults.append(f"repeated, it still fails: {self._said.read_text(encoding='utf-8')[-1000:]}")
        psutil.wait_procs(self.find_processes(), timeout=PATIENCE)
        tally.faults += self.find_faults(stage)


def disturb_stages(project: Stages, tallies: Mapping[str, Tally], kills: int, rng: random.Random) -> None:
    """Kill each stage `kills` times, in turn."""
    while waiting := [stage for stage, tally in tallies.items() if tally.kills < kills]:
        for stage in waiting:
            tally, known = tallies[stage], len(tallies[stage].faults)
            project.disturb(stage, rng.randint(1, MAX_KILLS), rng, tally)
            print(f"{stage}, {tally.kills} kills:", "; ".join(tally.faults[known:]) or "good", flush=True)


def disturb_sweeps(folder: Path, tally: Tally, kills: int, rng: random.Random) -> None:
    """Kill sweeps `kills` times, each in a new project."""
    whole = folder / "whole"
    make_project(whole)
    began = time.monotonic()
    code, longest = start(whole).wait(), time.monotonic() - began
    undisturbed = count(whole)
    print(f"sweep: {longest:.0f} s undisturbed, exit code {code}", flush=True)
    while tally.kills < kills:
        found = disturb_sweep(folder / str(tally.runs), rng.randrange(2**32), rng.randint(1, MAX_KILLS), longest)
        tally.runs += 1
        tally.kills += len(found["killed"])
        faults = [f"{key}: {found[key]}" for key in COMPARED if found[key] != undisturbed[key]]
        tally.faults += faults
        print(f"sweep, {tally.kills} kills, {found['codes']}:", "; ".join(faults) or "good", flush=True)


def main() -> None:
    """Print a line per run and the totals, also after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="kills per command")
    parser.add_argument("--only", nargs="*", choices=[*OUTS, "sweep"], default=[*OUTS, "sweep"])
    parser.add_argument("--made", type=Path, help="a tiny project whose videos and captions are copied")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, tallies = random.Random(options.seed), {name: Tally() for name in options.only}
    stages = {name: tally for name, tally in tallies.items() if name in OUTS}
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        if stages:
            disturb_stages(Stages(Path(folder) / "project", options.made), stages, options.kills, rng)
        if "sweep" in tallies:
            disturb_sweeps(Path(folder), tallies["sweep"], options.kills, rng)
    for name, tally in tallies.items():
        print(f"{name}: {tally.kills} kills in {tally.runs} runs, {len(tally.faults)} faults")
    print(f"{sum(tally.kills for tally in tallies.values())} kills")


if __name__ == "__main__":
    main()
