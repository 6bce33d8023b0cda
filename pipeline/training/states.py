"""Saved states of a training, in the folder that `pipeline.states` gives a run."""

import io
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file, digest_value, replacing
from pipeline.states import ROOT, code_files, held

KIND = "train"  # of the folders in `pipeline.states.ROOT`
CODE = ("directions", "losses", "measures", "models", "training")


def fingerprint(params: dict[str, Any], inputs: Iterable[Path]) -> str:
    """Names a run by everything that its result depends on, but not by its devices or folder."""
    return digest_value(list(ingredients(params, inputs).values()))


def ingredients(params: dict[str, Any], inputs: Iterable[Path]) -> dict[str, str]:
    """Everything that the result of a run depends on: name -> digest."""
    return {
        "params": digest_value(params),
        **{str(path): digest_file(path) for path in inputs},
        "code": digest_value([digest_file(path) for path in code_files(*CODE)]),
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
