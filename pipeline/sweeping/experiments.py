"""DVC experiments by plain git: the snapshot of files that a point starts from, and the commit of its result.

`dvc exp run --temp` is no alternative: two at a time may take each other's task off DVC's stash, a killed one leaves
its folder behind, and a shallow clone loses the result. So a point runs `dvc repro` in a copy of the tracked files,
and its result is committed where DVC looks for experiments: refs/exps/<baseline>/<name>.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, naming
from pipeline.files import atomic_write
from pipeline.provenance.locks import digest_folder, find_cache, locate, quote_setting
from pipeline.repository import child_environment, git
from pipeline.sweeping import Origin
from pipeline.sweeping.axes import put_values
from pipeline.yaml_editor import read_to_edit, write_edited

PARAMS = "params.yaml"
METRICS = "metrics.json"
LOCKS = ("dvc.lock", "data/demo/dvc.lock")
SNAPSHOTS = "refs/t2v/sweeps"  # protect the snapshots of sweeps from git's garbage collection
COPIES = Path(".dvc/tmp/sweeps")
# The files that determine the results of a point, to detect whether they changed since the snapshot.
DECIDING = (PARAMS, "dvc.yaml", "pipeline", "stages", "extensions")


def take_snapshot() -> tuple[str, str]:
    """HEAD, and a new commit of the tracked files in the workspace and of DVC's lock files, even untracked ones."""
    baseline = _git("rev-parse", "HEAD")
    index = Path(f".dvc/tmp/snapshot-{os.getpid()}.index")
    index.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_git("rev-parse", "--path-format=absolute", "--git-path", "index"), index)
    ours = child_environment() | {"GIT_INDEX_FILE": str(index.resolve())}
    try:
        _git("add", "--update", ":/", environment=ours)
        _git("add", "--force", *(name for name in LOCKS if Path(name).exists()), environment=ours)
        tree = _git("write-tree", environment=ours)
    finally:
        index.unlink(missing_ok=True)
    message = "t2v: what a sweep starts from"
    return baseline, _git("commit-tree", "-p", baseline, "-m", message, tree, environment=ours)


def keep_snapshot(name: str, snapshot: str) -> None:
    """Protect a snapshot from garbage collection by a ref of the sweep `name`."""
    _git("update-ref", f"{SNAPSHOTS}/{name}", snapshot)


def differ(one: str, other: str) -> bool:
    """Whether two commits differ in files that determine results, or one of them does not exist."""
    return git("diff", "--quiet", one, other, "--", *DECIDING).returncode != 0


def find_experiments() -> dict[str, str]:
    """Name -> commit of all experiments, of any baseline."""
    lines = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    refs = [line.split(" ") for line in lines if line.count("/") == 4]  # refs/exps/ab/cdef.../name
    return {ref.rpartition("/")[2]: commit for ref, commit in refs}


def read_metrics(commit: str) -> dict[str, float | None]:
    """The figures of a commit by name, None for those without a value; empty if it has no metrics file.

    Raises UserError if the file is invalid, as after a merge conflict.
    """
    answer = git("show", f"{commit}:./{METRICS}")
    try:
        tree = json.loads(answer.stdout) if answer.returncode == 0 else {}
        fault = "" if isinstance(tree, dict) else "not a JSON object"
    except ValueError as error:
        fault = f"not JSON ({error})"
    if fault:
        raise UserError(
            f"{METRICS} of the commit {commit}: {fault}; recreate it with `dvc repro evaluate`, and commit it"
        )
    return {name: float(value) if isinstance(value, int | float) else None for name, value in tree.items()}


class WorkingCopy:
    """A temporary copy of the files of a sweep's origin, in which one point runs; a context manager."""

    def __init__(self, origin: Origin, name: str) -> None:
        self.origin, self.name, self.folder = origin, name, COPIES.resolve() / name
        self.project = self.folder / "tree" / _git("rev-parse", "--show-prefix")
        self._environment = child_environment() | {
            "GIT_DIR": _git("rev-parse", "--absolute-git-dir"),
            "GIT_WORK_TREE": str(self.folder / "tree"),
            "GIT_INDEX_FILE": str(self.folder / "index"),
        }

    def __enter__(self) -> "WorkingCopy":
        shutil.rmtree(self.folder, ignore_errors=True)  # of a killed attempt
        with ExitStack() as undo:
            undo.callback(self.__exit__)  # remove an incomplete copy, as on a full disk
            self._fill()
            undo.pop_all()
        return self

    def _fill(self) -> None:
        (self.folder / "tree").mkdir(parents=True)
        self._git("read-tree", self.origin.snapshot)
        self._git("checkout-index", "--all", "--force", "--index")
        settings = f"{self.origin.settings}site_cache_dir = {quote_setting(self.folder / 'site')}\n"
        path = self.project / ".dvc" / "config.local"
        with naming(path):
            path.write_text(settings, encoding="utf-8")

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def change_params(self, values: Mapping[str, Any]) -> None:
        """Set values in params.yaml, preserving comments."""
        path = self.project / PARAMS
        tree = read_to_edit(path.read_text(encoding="utf-8"))
        put_values(tree, values)
        with atomic_write(path) as temporary:
            temporary.write_text(write_edited(tree), encoding="utf-8")

    def leave_out(self) -> None:
        """Replace the outputs of stages that the point does not run by empty folders.

        Outputs of an earlier run are not the point's; without lock entries, `dvc exp apply` would fail.
        """
        for name in self.origin.left_to_git:
            (self.project / name).unlink(missing_ok=True)
        if not self.origin.left_out:
            return
        empty = digest_folder({})
        kept = locate(find_cache(self.project), empty)
        if not kept.exists():
            with atomic_write(kept) as temporary:
                temporary.write_text("[]", encoding="utf-8")
                temporary.chmod(0o444)  # as in DVC's cache
        path = self.project / LOCKS[0]
        text = path.read_text(encoding="utf-8") if path.is_file() else "schema: '2.0'"
        tree = read_to_edit(text)
        for stage, outs in self.origin.left_out.items():
            entries = [{"path": out, "hash": "md5", "md5": empty, "size": 0, "nfiles": 0} for out in outs]
            tree.setdefault("stages", {})[stage] = {"cmd": "not run by t2v sweep", "outs": entries}
        with atomic_write(path) as temporary:
            temporary.write_text(write_edited(tree), encoding="utf-8")

    def commit(self) -> None:
        """Commit the files as the experiment; the point is then done."""
        self._git("add", "--update", ".")
        written = [self.project / name for name in (*LOCKS, *self.origin.files)]
        self._git("add", "--force", *(os.path.relpath(path, self.folder / "tree") for path in written if path.exists()))
        tree = self._git("write-tree")
        message = f"dvc: commit experiment {self.name}"
        commit = self._git("commit-tree", "-p", self.origin.baseline, "-m", message, tree)
        start, rest = self.origin.baseline[:2], self.origin.baseline[2:]
        self._git("update-ref", f"refs/exps/{start}/{rest}/{self.name}", commit)

    def _git(self, *arguments: str) -> str:
        return _git(*arguments, folder=self.folder / "tree", environment=self._environment)


def _git(*arguments: str, folder: Path = Path(), environment: Mapping[str, str] | None = None) -> str:
    """The output of git. Raises UserError with its message if it fails."""
    answer = git(*arguments, folder=folder, environment=environment)
    if answer.returncode:
        raise UserError(f"git {arguments[0]} has failed: {answer.stderr.strip()}")
    return answer.stdout.removesuffix("\n")
