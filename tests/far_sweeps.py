"""A small project whose stages take seconds, and sweeps in it whose points run on a cluster."""

import subprocess
import sys
from pathlib import Path

from bench.sweep_kills import environment, make_project


class FarProject:
    """The project in `folder` and what its commands have printed; they inherit this environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.printed = folder, folder.with_suffix(".printed")
        make_project(folder)

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a `t2v` command."""
        python = [sys.executable, "-m", "pipeline.cli", *command]
        with self.printed.open("ab") as printed:
            return subprocess.Popen(python, cwd=self.folder, env=environment(), stdout=printed, stderr=printed)

    def end(self, *command: str, code: int = 0) -> str:
        """What this and earlier `t2v` commands have printed; it must end with exit code `code`."""
        ended = self.start(*command).wait()
        printed = self.printed.read_text(encoding="utf-8")
        assert ended == code, printed
        return printed

    def experiments(self) -> list[str]:
        """The names of the experiments there are."""
        command = ["git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps"]
        printed = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout
        return sorted(printed.split())

    def log(self, sweep: str, run: str) -> str:
        """The log of a run; empty where there is none yet."""
        path = self.folder / "runs/sweeps" / sweep / f"{run}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def drawn(self) -> int:
        """How many times the data that all points share were drawn."""
        return (self.folder / "runs.log").read_text(encoding="utf-8").split().count("draw")
