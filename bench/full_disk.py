"""Disks that fill up during a command, at many points: tests the messages, the remaining files and the recovery.

`python -m bench.full_disk` (as root, since it mounts a small file system in memory) creates a tiny project there,
including the temporary folder, and runs each command that writes with too little room, in bytes or in files,
increasing each time. It must end with exit code 1 and one message that names a file, leave no partial files, and
succeed once there is room, with the bytes of an undisturbed run. A command that left everything as it was before is not
repeated with room: that would be the undisturbed run once more.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.forked import PLACES, start, wait
from bench.measuring import ROOT
from bench.sweep_kills import list_trees
from pipeline.errors import NO_SCRATCH
from pipeline.files import read_json
from tests.projects import Project

ROOMY, MANY = 4 << 30, 1 << 20  # bytes and files: far more than any command needs
PAGE = 4096  # allocation unit of the file system, bytes
POLL_SECONDS = 0.001
T2V = ("pipeline.cli",)
CAPTION = "pushing a mug from left to right"
GIVEN = 12  # videos for `t2v evaluate`
COMMITTED = ("data/demo/dvc.yaml:draw", "filter", "transcode", "tokenize", "train", "judge")
# All commands, each after those whose outputs it reads.
COMMANDS: dict[str, tuple[str, ...]] = {
    "draw": ("stages.draw_demo",),
    "filter": ("stages.filter_labels",),
    "transcode": ("stages.transcode_clips",),
    "tokenize": ("stages.tokenize_captions",),
    "train": ("stages.train_model",),
    "judge": ("stages.train_judge",),
    "evaluate": ("stages.evaluate_model",),
    "render": ("stages.render_samples",),
    "report": ("stages.report_run",),
    "export": ("stages.export_onnx",),
    "prepare": (*T2V, "prepare"),
    "t2v recipe": (*T2V, "recipe", "write", "film", "--to", "out/params.yaml"),
    **{
        f"t2v sample, {end}": (*T2V, "sample", CAPTION, "-o", f"out/sample.{end}")
        for end in ("png", "gif", "mp4", "npz")
    },
    "t2v sample --exact": (*T2V, "sample", CAPTION, "-o", "out/exact.png", "--exact"),
    "t2v export": (*T2V, "export", "out/model"),
    "t2v report": (*T2V, "report", "-o", "out/page.html"),
    "t2v clips inspect": (*T2V, "clips", "inspect", "data/clips", "--sheet", "out/sheet.png"),
    "t2v reproduce": (*T2V, "reproduce", "out/sample.png", "data/samples/grid.png", "-o", "out/again"),
    "t2v verify": (*T2V, "verify", "out/exact.png"),
    "t2v evaluate": (*T2V, "evaluate", "given", "-o", "out/given.json"),
    "dvc repro": ("dvc.__main__", "repro", "--single-item", "transcode"),
    "dvc commit": ("dvc.__main__", "commit", "--force", *COMMITTED),
    "t2v sweep": (*T2V, "sweep", "train.generator_lr=0.002", "--until", "train", "--name", "filled"),
}
# A hidden partial copy that DVC leaves behind: it is counted, and reported by `t2v doctor`.
COPY_BY_DVC = re.compile(r"project/\.dvc/cache/.*/\.[\w-]+\.tmp")
# Files with times, or not needed by any command: logs, locks of DVC and of a sweep's cores, records of verified shards,
# notes of ONNX Runtime.
UNCOMPARED = re.compile(
    r"project-home/.*|scratch/(\.ses|t2v-slots-\d+/.*)|project/(runs|\.dvc/tmp)/.*|" + COPY_BY_DVC.pattern
)
# The message names a file, or the folders for temporary files.
FAILS = "DVC's database here, or in core.site_cache_dir, fails"
DATABASE = rf".+: {FAILS}: (disk I/O error|database or disk is full|unable to open database file)"
TOLD = re.compile(rf"error: (No space left on device \(.+\)|{NO_SCRATCH} found in \[.+\]|{DATABASE}); make room .+")
# Messages of DVC and its database; a sweep reports a failed run in one line.
BY_DVC = re.compile(r"(?m)^ERROR: .+")
OF_RUN = re.compile(r"filled-\d+ .*: failed( \(\d+\))?: .*(No space left on device|disk is full|disk I/O error).*")
HALF = re.compile(r"\.[^/]+\.\d+(\.[^/]*)?")  # a temporary name of `pipeline.files.atomic_write`


@dataclass(frozen=True)
class Ended:
    """The exit code and output of a command."""

    code: int
    said: str


@dataclass(frozen=True)
class Disk:
    """A file system in memory whose capacity can be changed while it is in use."""

    folder: Path

    def used(self) -> tuple[int, int]:
        """The numbers of used bytes and files."""
        now = os.statvfs(self.folder)
        return (now.f_blocks - now.f_bfree) * now.f_frsize, now.f_files - now.f_ffree

    def leave(self, room: int | None = None, files: int | None = None) -> None:
        """Limit the numbers of further bytes and files that can be written; None: practically unlimited."""
        spent, held = self.used()
        size = ROOMY if room is None else max(spent + room, PAGE)  # 0 would mean any size
        most = MANY if files is None else held + files
        options = f"remount,size={size},nr_inodes={most}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Mount a large disk at an empty folder. Raises PermissionError if that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={ROOMY},nr_inodes={MANY}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "t2v", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Filled:
    """A tiny project on a limited disk, with all inputs of its commands."""

    def __init__(self, disk: Disk, project: Project) -> None:
        self.disk, self.project = disk, project
        self._scratch, compiled = disk.folder / "scratch", disk.folder.with_name("compiled")
        self._scratch.mkdir(exist_ok=True)
        self._saved = disk.folder.with_name("saved")
        self._environment = {**project.environment, "TMPDIR": str(self._scratch), "PYTHONPYCACHEPREFIX": str(compiled)}

    def run(self, command: Sequence[str]) -> Ended:
        """Run a Python module with arguments in the project."""
        module, *words = command
        said = self.disk.folder.with_name("said.txt")
        # On most machines the folders for temporary files are on the same disk.
        code = wait(start(module, words, self.project.folder, self._environment, said, self._scratch))
        return Ended(code, said.read_text(encoding="utf-8", errors="replace"))

    def files(self) -> dict[str, str]:
        """Path on the disk -> digest of every file; and names of DVC's experiments -> trees."""
        found = (path for path in self.disk.folder.rglob("*") if path.is_file() and not path.is_symlink())
        named = ((path.relative_to(self.disk.folder).as_posix(), path) for path in found)
        files = {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in named
            if "__pycache__" not in name and "/.git/" not in name
        }
        return files | {f"experiment {name}": tree for name, tree in list_trees(self.project.folder).items()}

    def paths(self) -> set[Path]:
        """Everything on the disk but in the folder for temporary files: folders, too, even empty ones."""
        return {path for path in self.disk.folder.rglob("*") if not path.is_relative_to(self._scratch)}

    def save(self) -> None:
        """Back up the content of the disk."""
        shutil.rmtree(self._saved, ignore_errors=True)
        shutil.copytree(self.disk.folder, self._saved, symlinks=True)

    def restore(self) -> None:
        """Restore the last backup."""
        for path in self.disk.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._saved, self.disk.folder, symlinks=True, dirs_exist_ok=True)


def measure_room(filled: Filled, command: Sequence[str]) -> tuple[int, int]:
    """The peak numbers of bytes and files that a command adds; it must succeed."""
    done, most, start = threading.Event(), [0, 0], filled.disk.used()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            most[:] = map(max, most, filled.disk.used())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ended = filled.run(command)
    done.set()
    watcher.join()
    if ended.code:
        raise AssertionError(f"{command} ended with {ended.code}:\n{ended.said}")
    return most[0] - start[0], most[1] - start[1]


def fill(
    filled: Filled,
    name: str,
    before: Mapping[str, str],
    whole: Mapping[str, str],
    room: int | None,
    files: int | None,
) -> list[str]:
    """Run a command with little room, then with plenty -> faults; `["roomy"]` if the room was sufficient."""
    command, judge, paths = COMMANDS[name], JUDGES.get(name, judge_message), filled.paths()
    filled.disk.leave(room, files)
    ended = filled.run(command)
    filled.disk.leave()
    left = filled.files()
    if halves := sum(bool(COPY_BY_DVC.fullmatch(name)) for name in left):
        print(f"    DVC left {halves} partial copies in its cache")
    faults = [*judge(ended), *judge_files(left, before, whole)] if ended.code else ["roomy"]
    if ended.code and keep_lasting(left) == keep_lasting(before) and filled.paths() == paths:
        return faults
    again = filled.run(command)
    if again.code:
        return [*faults, f"repeated, it ended with {again.code}: {again.said.strip()[-1500:]}"]
    end = filled.files()
    names = (name for name in sorted({*whole, *end}) if not UNCOMPARED.fullmatch(name))
    return [*faults, *(f"other bytes at the end: {name}" for name in names if whole.get(name) != end.get(name))]


def judge_message(ended: Ended) -> Iterator[str]:
    """The faults in the exit code and messages of a command without room."""
    if ended.code != 1:
        yield f"exit code {ended.code}"
    errors = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    if len(errors) != 1:
        yield f"{len(errors)} messages: {ended.said.strip()[-3000:]}"
    elif not TOLD.fullmatch(errors[0]):
        yield f"unexpected message: {errors[0]}"
    if "Traceback" in ended.said:
        yield f"a traceback: {ended.said.strip()[-3000:]}"


def judge_dvc(ended: Ended) -> Iterator[str]:
    """As `judge_message`, for DVC, which has other exit codes and messages and does not always name a file."""
    if not BY_DVC.search(ended.said):
        yield f"no message: {ended.said.strip()[-3000:]}"
    if "Traceback" in ended.said:
        yield f"a traceback: {ended.said.strip()[-3000:]}"


def judge_sweep(ended: Ended) -> Iterator[str]:
    """As `judge_message`, for a sweep, which reports failed runs and continues with others."""
    if not OF_RUN.search(ended.said):
        yield from judge_message(ended)
    elif ended.code != 1 or "Traceback" in ended.said:
        yield f"exit code {ended.code}: {ended.said.strip()[-3000:]}"


JUDGES = {"dvc repro": judge_dvc, "dvc commit": judge_dvc, "t2v sweep": judge_sweep}


def judge_files(left: Mapping[str, str], before: Mapping[str, str], whole: Mapping[str, str]) -> Iterator[str]:
    """The faults in the remaining files."""
    for name, digest in left.items():
        temporary = HALF.fullmatch(Path(name).name) or name.startswith("scratch/")
        if temporary and name not in before and not UNCOMPARED.fullmatch(name):
            yield f"left behind: {name}"
        elif not UNCOMPARED.fullmatch(name) and digest not in (before.get(name), whole.get(name)):
            yield f"partially written: {name}"
    yield from (f"gone: {name}" for name in before.keys() - left.keys() if not UNCOMPARED.fullmatch(name))


def keep_lasting(files: Mapping[str, str]) -> dict[str, str]:
    """The files outside the folder for temporary files."""
    return {name: digest for name, digest in files.items() if not name.startswith("scratch/")}


def give_videos(project: Path) -> None:
    """Write a folder of videos with captions, as from another generator."""
    given = project / "given"
    given.mkdir()
    rows = read_json(project / "data/demo/labels/train.json", "")[:GIVEN]
    for row in rows:
        shutil.copyfile(project / "data/demo/videos" / f"{row['id']}.webm", given / f"{row['id']}.webm")
    lines = [f"{row['id']}.webm,{row['label']}\n" for row in rows]
    (given / "metadata.csv").write_text("".join(["file_name,caption\n", *lines]), encoding="utf-8")


def take(made: Path, project: Path) -> None:
    """Copy the outputs of commands from another tiny project."""
    for name in ("data", "out"):
        if (made / name).is_dir():
            shutil.copytree(made / name, project / name, dirs_exist_ok=True)
    shutil.copyfile(made / "params.yaml", project / "params.yaml")


def choose_places(most: tuple[int, int], count: int, rng: random.Random) -> Iterator[tuple[int | None, int | None]]:
    """The limits to test: in bytes, from none to nearly all that a command needs, and in files."""
    pages, files = max(most[0] // PAGE, 1), max(most[1], 1)
    spread = {0, pages - 1, *(rng.randrange(pages) for _ in range(count))}
    yield from ((place * PAGE, None) for place in sorted(spread))
    yield from ((None, place) for place in sorted({0, *(rng.randrange(files) for _ in range(count // 2))}))


def main() -> None:
    """Print a line per command and limit, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=9, help="limits per command, chosen at random")
    parser.add_argument(
        "--only", nargs="*", choices=COMMANDS, default=[], help="commands to test; the others run undisturbed"
    )
    parser.add_argument(
        "--made", type=Path, help="a tiny project whose data and `out` are copied, so that other commands do not run"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, wrong, tried = random.Random(options.seed), 0, 0
    build = ROOT / "build"
    if any(build.resolve().is_relative_to(place) for place in PLACES):
        parser.error(f"{ROOT} is in a folder for temporary files, over which commands see the full disk; move it")
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder, mounted(Path(folder) / "disk") as disk:
        filled = Filled(disk, Project(disk.folder / "project"))
        shutil.copytree(ROOT / "recipes", disk.folder / "project/recipes")
        if options.made:
            take(options.made, filled.project.folder)
        for name, command in COMMANDS.items():
            if options.made and name not in options.only:
                continue
            if name == "t2v evaluate":
                give_videos(filled.project.folder)
            before = filled.files()
            filled.save()
            most = measure_room(filled, command)
            whole = filled.files()
            if options.only and name not in options.only:
                continue
            print(f"{name}: {most[0]} bytes and {most[1]} files", flush=True)
            for room, files in choose_places(most, options.places, rng):
                filled.restore()
                faults = fill(filled, name, before, whole, room, files)
                tried += faults != ["roomy"]
                wrong += faults not in (["roomy"], [])
                print(f"  room {room} files {files}:", "; ".join(faults) or "good", flush=True)
            if not options.made:  # the last place may have left nothing for the commands that follow
                filled.run(command)
    print(f"{tried} runs without room, {wrong} with a fault")


if __name__ == "__main__":
    main()
