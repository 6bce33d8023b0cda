"""One point of a sweep, run by `python -m pipeline.sweeping.point FOLDER NAME`, from a snapshot to a DVC experiment.

It stops if the sweep that started it has ended, and leaves no processes behind, even if one is killed.

`dvc exp run --temp` is no alternative: two at a time may take each other's task off DVC's stash, a killed one leaves
its folder behind, and a shallow clone loses the result. So a point runs `dvc repro` in a copy of the tracked files,
and its result is committed where DVC looks for experiments: refs/exps/<baseline>/<name>.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import Interrupted, UserError, naming, run
from pipeline.files import atomic_write, try_lock
from pipeline.provenance.locks import digest_folder, find_cache, locate, quote_setting
from pipeline.repository import child_environment, git
from pipeline.sweeping import Origin, read_sweep
from pipeline.sweeping.axes import put_values
from pipeline.sweeping.pool import PATIENCE, PAUSE, SlotQueue, Slots, end_processes
from pipeline.yaml_editor import read_to_edit, write_edited

PARAMS = "params.yaml"
METRICS = "metrics.json"
LOCKS = ("dvc.lock", "data/demo/dvc.lock")
SNAPSHOTS = "refs/t2v/sweeps"  # protect the snapshots of sweeps from git's garbage collection
COPIES = Path(".dvc/tmp/sweeps")
# The files that determine the results of a point, to detect whether they changed since the snapshot.
DECIDING = (PARAMS, "dvc.yaml", "pipeline", "stages", "extensions")

CORES = "T2V_CORES"  # the indices of the point's cores
CORE_COUNT = "T2V_CORE_COUNT"  # the number of cores it may take on a cluster node
SEED = "training_seed"
# DVC commands in one process, up to the first that fails; starting DVC for each would take 0.6 seconds.
IN_TURN = (
    "import json, sys; from dvc.cli import main; "
    "sys.exit(next((code for words in json.loads(sys.argv[1]) if (code := main(words))), 0))"
)


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


class Supervisor:
    """Runs commands in sequence, and interrupts them if the parent process has ended.

    Commands are in this process group, so they receive SIGINT too. With `end`, the command only waits for something
    elsewhere: it is in its own session, and is killed after `end` has ended what it waits for.
    """

    def __init__(self, end: Callable[[], None] | None = None) -> None:
        self._end = end
        self._parent = os.getppid()
        self._stopped: float | None = None  # time of the stop request
        signal.signal(signal.SIGINT, lambda *_: self._note())

    def call(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
        """Run the command -> its exit code. Raises Interrupted after a stop request."""
        self._require_going()
        process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=bool(self._end))
        while process.poll() is None:
            if self._stopped is None and os.getppid() != self._parent:
                os.killpg(0, signal.SIGINT)
                self._note()
            if self._stopped is not None and self._end:
                self._end()
                process.kill()
            elif self._stopped is not None and time.monotonic() - self._stopped > PATIENCE:
                process.kill()
            try:
                process.wait(timeout=PAUSE)
            except subprocess.TimeoutExpired:
                continue
        self._require_going()
        return process.returncode

    def _note(self) -> None:
        self._stopped = self._stopped or time.monotonic()

    def _require_going(self) -> None:
        if self._stopped is not None:
            raise Interrupted("the point was asked to stop")


def build_command(folder: Path, name: str) -> list[str]:
    """The command that runs a point of the sweep in `folder`, on any machine."""
    return [sys.executable, "-m", "pipeline.sweeping.point", str(folder), name]


def _take_cores() -> Slots:
    """Set the CPU affinity to the cores assigned to this point, or else to as many free ones as it may take.

    A cluster may set only their number, without binding its jobs to cores.
    """
    seen = sorted(os.sched_getaffinity(0))
    if cores := os.environ.get(CORES):
        os.sched_setaffinity(0, map(int, cores.split(",")))
    elif 0 < (count := int(os.environ.get(CORE_COUNT) or 0)) < len(seen):
        queue = SlotQueue("core", [str(core) for core in seen], count)
        while (slots := queue.take()) is None:
            time.sleep(PAUSE)
        os.sched_setaffinity(0, map(int, slots.names))
        return slots
    return Slots("core", {})


@contextmanager
def _lock_point(folder: Path, name: str) -> Iterator[None]:
    """Lock the point; wait for a process that is saving it, such as on a cluster. Raises UserError on timeout."""
    deadline = time.monotonic() + 2 * PATIENCE
    while (file := try_lock(folder / f"{name}.lock")) is None:
        if time.monotonic() > deadline:
            raise UserError(f"{name} still runs on another machine; stop it there, or wait for it")
        time.sleep(PAUSE)
    with file:
        yield


def main(folder: Path, name: str) -> None:
    """Run the stages of a point in a copy of the project, and commit the result as a DVC experiment."""
    sweep = read_sweep(folder)
    point, origin = sweep.runs[name], sweep.origin
    held = _take_cores()
    environment = os.environ | {"DVC_ROOT": str(Path.cwd())}  # where the states of interrupted trainings are
    seeds = {SEED: point.seed} if sweep.plan.seeds > 1 else {}
    supervisor = Supervisor()
    try:
        with _lock_point(folder, name), WorkingCopy(origin, name) as copy:
            copy.change_params({**seeds, **point.values})
            copy.leave_out()
            fetched = [["checkout", *origin.inputs]] if origin.inputs else []
            steps = json.dumps([*fetched, ["repro", "--single-item", *origin.stages]])
            if code := supervisor.call([sys.executable, "-c", IN_TURN, steps], copy.project, environment):
                sys.exit(code if code > 0 else 128 - code)
            copy.commit()
    finally:
        end_processes(folder, name)
        held.release()


if __name__ == "__main__":
    run(main)
