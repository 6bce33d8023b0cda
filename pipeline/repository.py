"""A project under git and DVC: its repository, obstacles to experiments, the committer's identity, broken settings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UserError, describe_fault

IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
UNTRUSTED = "dubious ownership"  # in git's message about a repository of another user
COMMIT = "git add . && git commit -m start"


def find_repository(root: Path) -> Path | None:
    """The git repository that contains the project at `root`, which may be a sub-folder.

    None if there is none, git is not installed, or the repository ignores the project, so that DVC would refuse its
    files. A repository of another user counts, although git does not work in it.
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
    """The completed git command, with English messages unless `environment` is given; exit code 127 without git."""
    if shutil.which("git") is None:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")
    env = environment or os.environ | {"LC_ALL": "C"}  # messages are matched here
    # Decoded like paths, since it prints some: their bytes need not be UTF-8.
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        encoding=sys.getfilesystemencoding(),
        errors="surrogateescape",
        check=False,
    )


def git_fault() -> str:
    """Why DVC cannot record experiments here, with a remedy; empty if it can."""
    answer = git("rev-parse", "--show-toplevel")
    if answer.returncode == 127:
        return "git is not installed, and experiments are git commits; install git"
    if UNTRUSTED in answer.stderr:
        return (
            f"{Path.cwd()} belongs to another user, so git refuses to work here; "
            f"trust it: git config --global --add safe.directory '{find_repository(Path.cwd())}'"
        )
    if answer.returncode:
        return f"this is not a git repository, and experiments are git commits; git init && {COMMIT}"
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
    """Whether git has the name and email for commits."""
    return all(name in os.environ for name in IDENTITY) or all(
        git("config", name).stdout.strip() for name in ("user.name", "user.email")
    )


def require_git() -> None:
    """Raise UserError, with a remedy, if DVC cannot record experiments."""
    if fault := git_fault():
        raise UserError(fault)


def child_environment() -> dict[str, str]:
    """The environment variables for `dvc`: the running Python first on PATH, and a git identity if there is none."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not has_identity():
        environment |= dict.fromkeys(IDENTITY[::2], "t2v") | dict.fromkeys(IDENTITY[1::2], "t2v@localhost")
    return environment


def list_settings(folder: Path) -> list[Path]:
    """All config files of DVC for the project of this `.dvc`, existing or not; later ones take precedence."""
    import platformdirs  # takes 30 ms

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or platformdirs.site_config_dir("dvc", "iterative")
    own = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or platformdirs.user_config_dir("dvc", "iterative")
    return [Path(system) / "config", Path(own) / "config", folder / "config", folder / "config.local"]


def refuse_settings(path: Path, error: Exception) -> UserError:
    """The error for a DVC config file that cannot be read."""
    return UserError(f"{path}: settings of DVC that cannot be read ({describe_fault(error)}); correct it")
