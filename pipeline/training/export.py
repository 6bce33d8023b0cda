"""A trained generator as files: safetensors beside a json of what it needs to be built and spoken to again."""

import csv
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, replacing, write_json
from pipeline.models.layers import channels_last
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import ClipParams, TrainParams
from pipeline.records import VECTORS, Caption
from pipeline.training.batches import condition_ids
from pipeline.training.log import Row

HISTORY, VALIDATION, SUMMARY = "history.csv", "validation.csv", "training.json"
VAL = "val/"  # begins the names of validation's figures
FIGURES = ("discriminator_gap", "discriminator_gap_generated", "discrepancy")  # that every validation has
GENERATOR, DISCRIMINATOR, DESCRIPTION = "generator.safetensors", "discriminator.safetensors", "model.json"


class Model:
    """A generator read from `folder`, ready to sample: `generator`, `vocabulary`, `shape`, `max_tokens`, `digest`."""

    def __init__(self, folder: Path) -> None:
        self.description = _read_description(folder / DESCRIPTION)
        try:
            self.shape = ClipParams.model_validate(self.description["clip"])
            params = TrainParams.model_validate(self.description["train"])
            self.vocabulary: list[str] = list(self.description["vocabulary"]["words"])
            self.conditioning = params.captions.conditioning
            self.max_tokens = int(self.description["max_tokens"])
            learned = len(self.vocabulary) - int(self.description["vocabulary"]["unlearned"])
            self.generator = TextToVideo(self.shape, params, learned, read_vectors(folder / VECTORS))
            self.generator.eval().requires_grad_(False)
            self.generator.load_state_dict(load_file(folder / GENERATOR))
            channels_last(self.generator)  # as in training: other strides, other rounding
            self.digest = digest_file(folder / GENERATOR)
        except FileNotFoundError:
            raise UserError(f"{folder / GENERATOR}: no such file; `dvc repro train` makes it") from None
        except (KeyError, TypeError, ValueError, ValidationError, SafetensorError, RuntimeError) as error:
            raise UserError(
                f"{folder}: {GENERATOR} and {DESCRIPTION} do not fit each other or this version ({error}); "
                "`dvc repro -f train` makes them anew"
            ) from None

    def condition(self, caption: Caption) -> tuple[int, ...]:
        """The token ids that the generator hears of a caption."""
        return condition_ids(caption, self.conditioning)

    def add_words(self, vectors: NDArray[np.float32]) -> None:
        """Take in words that were never trained on, by their vectors [N,D]; their ids follow on the last one."""
        self.generator.add_words(torch.from_numpy(vectors))

    def provenance(self) -> dict[str, Any]:
        """What names this model and the code that speaks to it."""
        return {"model": self.digest, "params": digest_value(self.description), "code": f"t2v {version('t2v')}"}


def save_model(
    folder: Path, generator: TextToVideo, discriminator: CaptionedDiscriminator, description: dict[str, Any]
) -> None:
    """Write both networks and then their description (`clip`, `train`, `vocabulary`, `max_tokens` and more)."""
    _save(generator, folder / GENERATOR)
    _save(discriminator, folder / DISCRIMINATOR)
    write_json(folder / DESCRIPTION, description)


def read_vectors(path: Path) -> Tensor | None:
    """The given vectors of the vocabulary [V,D]; None where there is no such file, since they are learned."""
    try:
        return load_file(path)["vectors"]
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path}: not a file of word vectors ({error}); `dvc repro` makes it anew") from None


def save_vectors(source: Path, folder: Path) -> None:
    """Copy the word vectors of a run to its model, which is read without its data; there may be none."""
    if source.exists():
        with replacing(folder / VECTORS) as temporary:
            shutil.copyfile(source, temporary)
    else:
        (folder / VECTORS).unlink(missing_ok=True)


def save_history(folder: Path, history: list[Row]) -> None:
    """Write every row for `dvc plots`, and the last one for `dvc metrics`.

    Validations have a table of their own, since the plots would take an empty cell for 0.
    """
    ordinary = [{name: value for name, value in row.items() if not name.startswith(VAL)} for row in history]
    validated = [
        {name.removeprefix(VAL): value for name, value in row.items() if name == "clips" or name.startswith(VAL)}
        for row in history
    ]
    _write_rows(folder / HISTORY, ordinary)
    _write_rows(folder / VALIDATION, [row for row in validated if len(row) > 1], ("clips", *FIGURES))
    write_json(folder / SUMMARY, {_column(name): float(_short(value)) for name, value in history[-1].items()})


def _write_rows(path: Path, rows: list[Row], first: Sequence[str] = ()) -> None:
    """A table of these rows, with the columns of `first` even where there is none."""
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, [_column(name) for name in names], lineterminator="\n")
        table.writeheader()
        table.writerows({_column(name): _short(value) for name, value in row.items()} for row in rows)


def _column(name: str) -> str:
    return name.replace("/", "_")


def _short(value: float) -> str:
    """Six digits, but counts of clips in full."""
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


def _save(model: nn.Module, path: Path) -> None:
    data = save({name: value.contiguous().cpu() for name, value in model.state_dict().items()})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro train` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); `dvc repro -f train` makes it anew") from None
    return description
