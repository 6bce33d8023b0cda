"""Small whole projects to run DVC in: a copy of this one with tiny params, committed to a git repository of its own."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]  # not from `locations`: the benches use this module, too

COPIED = (
    "pipeline",
    "stages",
    "extensions",
    "params.yaml",
    "dvc.yaml",
    "data/demo/dvc.yaml",
    "data/weights/README.md",
    "data/no-vectors.txt",
    ".dvc/config",
    ".dvc/plots",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
)
TINY: dict[str, Any] = {
    "compute": {"workers": 2},
    "checkpoints": {"every_clips": 32},
    "logging": {"sample_clips": 32},
    "demo": {"clips": 100},
    "filter": {"shares": {"train": 0.3, "judge": 0.5, "val": 0.1, "test": 0.1}},
    "clip": {"frames": 8, "height": 16, "width": 16},
    "transcode": {"shard_clips": 16},
    "train": {
        "total_clips": 64,
        "batch_clips": 8,
        "ema_clips": 16,
        "report_clips": 16,
    },
    "judge": {"width": 4, "steps": 3, "batch_clips": 8},
    "evaluate": {"samples": 6, "varied_captions": 2, "varied_samples": 2, "resamples": 20, "pictures": 2},
    "render": {"seeds": [1, 2], "objects": 3, "scale": 2},
}
PERSON = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


class Project:
    """A copy of this project in `folder`, its commands run as by a user who has no settings of any kind.

    It is committed to a git repository in the same folder, or in `repository`, a folder above it.
    """

    def __init__(self, folder: Path, repository: Path | None = None) -> None:
        self.folder = folder
        self.repository = repository or folder
        home = self.repository.parent / f"{folder.name}-home"
        home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "T2V_"))}
        self.environment = kept | {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "site"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(home),
            "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: on a busy machine the spinning ones take all
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "",
            "T2V_DEVICES": "cpu",
            "T2V_SLOTS": str(home / "slots"),  # no sweep of the user is waited for
            "XDG_CONFIG_HOME": str(home),
        }
        self.environment |= dict.fromkeys(PERSON, "tester")
        for name in COPIED:
            copy_source(ROOT / name, folder / name)
        self.change(TINY)
        self.change({"train": narrowed(self.params()["train"])})
        self.run("git", "init", "--quiet", "--initial-branch=main", str(self.repository))
        self.commit("start")

    def copy(self, folder: Path) -> "Project":
        """This project's repository in another folder, with data, cache and history."""
        shutil.copytree(self.repository, folder, symlinks=True)
        return self._moved(folder)

    def clone(self, folder: Path) -> "Project":
        """A `git clone` of this project: no data, no cache."""
        self.run("git", "clone", "--quiet", str(self.repository), str(folder))
        return self._moved(folder)

    def _moved(self, repository: Path) -> "Project":
        other = copy.copy(self)
        other.folder, other.repository = repository / self.folder.relative_to(self.repository), repository
        slots = repository.with_name(f"{repository.name}-slots")  # nor is a sweep of another copy waited for
        other.environment = self.environment | {"T2V_SLOTS": str(slots)}
        return other

    def params(self) -> Any:
        """The parsed params.yaml."""
        return yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))

    def change(self, changes: dict[str, Any]) -> None:
        """Put values into params.yaml."""
        tree = merged(self.params(), changes)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit everything that is not ignored."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def run(self, *command: str, code: int = 0) -> str:
        """What the command prints; it must end with exit code `code`."""
        answer = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert answer.returncode == code, (
            f"{' '.join(command)} ended with {answer.returncode}:\n{answer.stdout}{answer.stderr}"
        )
        return answer.stdout + answer.stderr

    def dvc(self, *arguments: str, code: int = 0) -> str:
        """What a `dvc` command prints."""
        return self.run(sys.executable, "-m", "dvc", *arguments, code=code)

    def t2v(self, *arguments: str, code: int = 0) -> str:
        """What a `t2v` command of this copy prints."""
        return self.run(sys.executable, "-m", "pipeline.cli", *arguments, code=code)


def stages_run(printed: str) -> list[str]:
    """The stages that ran, from what `dvc` printed."""
    return [line.split("'")[1].split(":")[-1] for line in printed.splitlines() if line.startswith("Running stage '")]


def copy_source(source: Path, target: Path) -> None:
    """Copy a file or folder without compiled code."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def narrowed(section: dict[str, Any]) -> dict[str, Any]:
    """The widths of the networks in a section, each at most 8."""
    inner = {key: narrowed(value) for key, value in section.items() if isinstance(value, dict)}
    return inner | {key: min(value, 8) for key, value in section.items() if key.endswith("width")}


def merged(tree: Any, changes: Any) -> Any:
    """`tree` with the values of `changes` in place of its own, section by section; one of another kind as a whole."""
    if not isinstance(tree, dict) or not isinstance(changes, dict):
        return changes
    if changes.get("kind", tree.get("kind")) != tree.get("kind"):
        return changes
    return tree | {key: merged(tree.get(key), value) for key, value in changes.items()}
