"""What the commands need around them: git as DVC wants it, and an environment in which stages find their Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import UserError

IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The ended command; exit code 127 where there is no git."""
    if shutil.which("git") is None:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


def git_fault() -> str:
    """Why DVC cannot record experiments here, with the way out; empty where it can."""
    answer = git("rev-parse", "HEAD")
    if answer.returncode == 0:
        return ""
    if answer.returncode == 127:
        return "git is not installed, and experiments are git commits; install git"
    if "dubious ownership" in answer.stderr:
        return (
            f"{Path.cwd()} belongs to another user, so git refuses to work here; "
            f"trust it: git config --global --add safe.directory '{Path.cwd()}'"
        )
    if (Path.cwd() / ".git").exists():
        return "there is no commit yet, and an experiment starts from one; git add . && git commit -m start"
    return "this is no git repository, and experiments are git commits; git init && git add . && git commit -m start"


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
