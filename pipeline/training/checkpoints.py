"""Checkpoints of a training, and what sets a new run apart from those that were stopped."""

import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file, digest_value, replacing, write_json
from pipeline.source_code import digest_code
from pipeline.state_folders import ROOT, held, remove_abandoned

KIND = "train"  # of the folders in `pipeline.states.ROOT`

RUN = "run.json"  # in the folder of its states: what the run is
TOLD = 4  # differences, at most


def fingerprint(params: dict[str, Any], inputs: Iterable[Path]) -> str:
    """Names a run by everything that its result depends on, but not by its devices or folder."""
    return digest_value(list(ingredients(params, inputs).values()))


def ingredients(params: dict[str, Any], inputs: Iterable[Path]) -> dict[str, str]:
    """Everything that the result of a run depends on: name -> digest."""
    return {
        "params": digest_value(params),
        **{str(path): digest_file(path) for path in inputs},
        "code": digest_code("stages.train_model"),
        "torch": str(torch.__version__),
    }


class States:
    """The newest `keep` saved states of one run: each a mapping of tensors and plain values, its `step` among them."""

    def __init__(self, name: str, root: Path = ROOT, keep: int = 2) -> None:
        self.folder, self._keep = root / f"{KIND}-{name}", keep

    def paths(self) -> list[Path]:
        """The states there are, the newest first."""
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    def save(self, state: dict[str, Any]) -> None:
        # Through memory: torch hides from its caller that the disk is full.
        file = io.BytesIO()
        torch.save(state, file)
        with replacing(self.folder / f"step-{state['step']:09}.pt") as temporary:
            temporary.write_bytes(file.getbuffer())
        for path in self.paths()[self._keep :]:
            path.unlink()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The newest state that can be read, or None; an unreadable one is told of and passed over."""
        for path in self.paths():
            try:
                _require_whole(path)
                state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
                return state
            except (BadZipFile, RuntimeError, UnpicklingError, EOFError, OSError, ValueError) as error:
                print(f"{path}: not a readable state ({first_line(error)}); passed over", file=sys.stderr)
        return None

    def forget(self) -> None:
        """Remove the states of a run that has ended well."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this run alone. Raises UserError while an equal run is in progress."""
        with held(self.folder, wait=False) as is_ours:
            if not is_ours:
                raise UserError(f"{self.folder}: an equal run is in progress; wait for it or stop it")
            yield


def _require_whole(path: Path) -> None:
    """Raises BadZipFile where bytes differ from their checksums, which torch writes and does not look at again."""
    with ZipFile(path) as parts:
        if damaged := parts.testzip():
            raise BadZipFile(f"{damaged} is damaged")


def begin(states: States, params: Mapping[str, Any], parts: Mapping[str, str], keep_runs: int) -> None:
    """Note what this run is, and say once what it has changed, where it starts afresh beside one that was stopped.

    `parts` are the ingredients of the run. All but the `keep_runs` newest runs lose their states.
    """
    # The points of a sweep, which run in folders of their own, differ on purpose.
    if not states.paths() and states.folder.resolve().is_relative_to(Path.cwd()):
        for folder in _others(states.folder):
            before = json.loads((folder / RUN).read_text(encoding="utf-8"))
            changes = [*_changes(before["params"], params), *_changed_parts(before["parts"], parts)]
            told = ", ".join(changes[:TOLD]) + (f" and {len(changes) - TOLD} more" if len(changes) > TOLD else "")
            print(f"train: starts afresh: {told}; undo that, and the run that was stopped goes on", file=sys.stderr)
            break
    write_json(states.folder / RUN, {"params": params, "parts": parts})
    remove_abandoned(states.folder.parent, KIND, keep_runs)


def _others(own: Path) -> Iterator[Path]:
    """Folders of other runs that were stopped after they had saved a state, the newest first."""
    folders = [path for path in own.parent.glob(f"{KIND}-*") if path != own and (path / RUN).exists()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        with held(folder, wait=False) as stopped:
            if stopped and any(folder.glob("step-*.pt")):
                yield folder


def _changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Every value that is another one: `train.mismatched 1.0 -> 0.5`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} {before} -> {now}"


def _changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Other data, by file, other code, another torch."""
    names = sorted(name for name in {*before, *now} - {"params"} if before.get(name) != now.get(name))
    for name in names:
        yield f"torch {before.get(name)} -> {now.get(name)}" if name == "torch" else f"other {name}"
