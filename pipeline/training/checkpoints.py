"""Checkpoints of a training, and the run diff: what sets a new run apart from one that was stopped."""

import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from pipeline.errors import UserError, first_line
from pipeline.extensions import digest_references
from pipeline.files import (
    STATES,
    atomic_write,
    digest_file,
    digest_value,
    find_states,
    lock_folder,
    read_json,
    remove_abandoned,
    remove_state,
    write_json,
)
from pipeline.source_code import digest_maker

KIND = "train"  # of the folders in `pipeline.files.STATES`
DAMAGED = (BadZipFile, UnpicklingError, zlib.error, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError)
LAYOUT = 2  # of a checkpoint: another number means that its keys have changed
RUN = "run.json"  # in the folder of its checkpoints: what the run is
MAX_DIFFERENCES = 4  # in a message


def digest_inputs(settings: dict[str, Any], files: Iterable[Path]) -> dict[str, str]:
    """Everything that the result of a run depends on, but not its devices or folder: name -> digest."""
    return {
        "params": digest_value(settings),
        **{str(path): digest_file(path) for path in files},
        "code": digest_maker("stages.train_model"),
        **digest_references(settings),
        "torch": str(torch.__version__),
    }


def fingerprint(inputs: Mapping[str, str]) -> str:
    """The name of a run, from its inputs; the paths of the files do not matter."""
    return digest_value(list(inputs.values()))


class Checkpoints:
    """The newest `keep` checkpoints of one run: each a mapping of tensors and plain values, its `step` among them.

    `every_clips` is the number of training clips between two of them; without it, a run is saved only when it is asked
    to stop and at its end.
    """

    def __init__(self, name: str, root: Path = STATES, keep: int = 2, every_clips: int | None = None) -> None:
        self.folder, self.every_clips, self._keep = root / f"{KIND}-{name}", every_clips, keep

    def paths(self) -> list[Path]:
        """The existing checkpoints, the newest first."""
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    def save(self, state: dict[str, Any]) -> None:
        # Through memory: torch does not report a full disk to its caller.
        file = io.BytesIO()
        torch.save({"layout": LAYOUT, **state}, file)
        with atomic_write(self.folder / f"step-{state['step']:09}.pt") as temporary:
            temporary.write_bytes(file.getbuffer())
        for path in self.paths()[self._keep :]:
            path.unlink()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The newest readable checkpoint, or None; others are skipped with a notice."""
        for path in self.paths():
            try:
                return _read_checkpoint(path, device)
            except DAMAGED as error:
                print(f"{path}: not a readable checkpoint ({first_line(error)}); skipped", file=sys.stderr)
        return None

    def forget(self) -> None:
        """Remove the checkpoints of a finished run."""
        remove_state(self.folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this run alone. Raises UserError while an identical run is in progress."""
        with lock_folder(self.folder, wait=False) as is_ours:
            if not is_ours:
                raise UserError(f"{self.folder}: an identical run is in progress; wait for it or stop it")
            yield


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Raises ValueError if it was written by a version of this project with another layout of checkpoints."""
    _require_whole(path)
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(state, dict) or state.pop("layout", None) != LAYOUT:
        raise ValueError("written by another version of t2v")
    return state


def _require_whole(path: Path) -> None:
    """Raises BadZipFile if a checksum does not match; torch writes them but does not check them."""
    with ZipFile(path) as parts:
        if damaged := parts.testzip():
            raise BadZipFile(f"{damaged} is damaged")


def start_run(checkpoints: Checkpoints, settings: Mapping[str, Any], inputs: Mapping[str, str], keep_runs: int) -> None:
    """Record what this run is, and print how it differs from a stopped run, if it cannot resume that one.

    All but the `keep_runs` newest runs lose their checkpoints.
    """
    # The points of a sweep, which run in folders of their own, differ on purpose.
    if not checkpoints.paths() and checkpoints.folder.resolve().is_relative_to(Path.cwd()):
        for before in _find_stopped_runs(checkpoints.folder):
            changes = [*_diff_settings(before["params"], settings), *_diff_inputs(before["parts"], inputs)]
            shown = ", ".join(changes[:MAX_DIFFERENCES])
            more = f" and {len(changes) - MAX_DIFFERENCES} more" if len(changes) > MAX_DIFFERENCES else ""
            print(
                f"train: a new run; changes since the stopped one: {shown}{more}; undo them to resume it",
                file=sys.stderr,
            )
            break
    write_json(checkpoints.folder / RUN, {"params": settings, "parts": inputs})
    remove_abandoned(checkpoints.folder.parent, KIND, keep_runs)


def _find_stopped_runs(own: Path) -> Iterator[dict[str, Any]]:
    """The records of other stopped runs with a checkpoint, the newest first."""
    folders = [path for path in find_states(own.parent, KIND) if path != own and (path / RUN).exists()]
    for folder in folders:
        with lock_folder(folder, wait=False) as stopped:
            if stopped and any(folder.glob("step-*.pt")) and (record := _read_record(folder / RUN)):
                yield record


def _read_record(path: Path) -> dict[str, Any] | None:
    """The record of a run; None, with a notice, if it was written by a version with another layout."""
    try:
        record = read_json(path, "skipped")
    except UserError as error:
        print(error, file=sys.stderr)
        return None
    if not isinstance(record, dict) or not {"params", "parts"} <= record.keys():
        print(f"{path}: written by another version of t2v; skipped", file=sys.stderr)
        return None
    return record


def _diff_settings(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Every value that differs: `train.mismatched 1.0 -> 0.5`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from _diff_settings(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} {before} -> {now}"


def _diff_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Other data, by file, other code, another torch."""
    names = sorted(name for name in {*before, *now} - {"params"} if before.get(name) != now.get(name))
    for name in names:
        yield f"torch {before.get(name)} -> {now.get(name)}" if name == "torch" else f"different {name}"
