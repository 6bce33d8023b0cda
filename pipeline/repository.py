"""Git around a project: where the repository is, why DVC could not record experiments in it, who commits."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UserError

IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
UNTRUSTED = "dubious ownership"  # in what git answers in a repository of another user
COMMIT = "git add . && git commit -m start"


def find_repository(root: Path) -> Path | None:
    """The git repository that the project at `root` belongs to: its own, or one that it is a sub-folder of.

    None where git finds none or is not installed, and where a repository above ignores the project: DVC would refuse
    its files. A repository of another user counts, although git does not work in it: DVC does without git then.
    """
    answer = git("rev-parse", "--show-toplevel", folder=root)
    if UNTRUSTED in answer.stderr:
        return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    if answer.returncode or git("check-ignore", "--quiet", "dvc.yaml", folder=root).returncode == 0:
        return None
    return Path(answer.stdout.removesuffix("\n"))


def git(
    *arguments: str, folder: Path = Path(), environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The ended command, in English unless it has an `environment` of its own; exit code 127 where there is no git."""
    if shutil.which("git") is None:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")
    env = environment or os.environ | {"LC_ALL": "C"}  # whose answers are told apart here
    return subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def git_fault() -> str:
    """Why DVC cannot record experiments here, with the way out; empty where it can."""
    answer = git("rev-parse", "--show-toplevel")
    if answer.returncode == 127:
        return "git is not installed, and experiments are git commits; install git"
    if UNTRUSTED in answer.stderr:
        return (
            f"{Path.cwd()} belongs to another user, so git refuses to work here; "
            f"trust it: git config --global --add safe.directory '{find_repository(Path.cwd())}'"
        )
    if answer.returncode:
        return f"this is no git repository, and experiments are git commits; git init && {COMMIT}"
    if find_repository(Path.cwd()) is None:
        repository = answer.stdout.strip()
        return f"the git repository {repository} ignores this folder; change its .gitignore, or git init && {COMMIT}"
    if git("rev-parse", "--verify", "HEAD").returncode:
        return f"there is no commit yet, and an experiment starts from one; {COMMIT}"
    if git("rev-parse", "--verify", "HEAD:./dvc.yaml").returncode:
        return f"dvc.yaml is not in the last commit, and an experiment starts from that; {COMMIT}"
    if git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        return "this is a shallow clone, in which DVC runs an experiment and records nothing; git fetch --unshallow"
    return ""


def has_identity() -> bool:
    """Whether git knows under whose name to commit."""
    return all(name in os.environ for name in IDENTITY) or all(
        git("config", name).stdout.strip() for name in ("user.name", "user.email")
    )


def require_git() -> None:
    """Raise UserError with the way out where DVC cannot record experiments."""
    if fault := git_fault():
        raise UserError(fault)


def child_environment() -> dict[str, str]:
    """This environment for `dvc`: the running Python first on PATH, and a git identity where there is none."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not has_identity():
        environment |= dict.fromkeys(IDENTITY[::2], "t2v") | dict.fromkeys(IDENTITY[1::2], "t2v@localhost")
    return environment
