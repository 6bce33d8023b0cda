"""Trained models: reading them from a folder, writing them, and sampling."""

import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.data.dataset import pad, read_vectors, to_frames, to_training
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError, describe_fault, first_line
from pipeline.files import atomic_write, digest_file, read_json, write_json
from pipeline.models.layers import channels_last
from pipeline.models.networks import CaptionedDiscriminator, FlowGenerator, TextToVideo
from pipeline.params import ClipParams, SamplingParams, TrainParams
from pipeline.records import (
    DESCRIPTION,
    DISCRIMINATOR,
    FIRST_WORD_ID,
    GENERATOR,
    SAMPLING,
    VECTORS,
    Caption,
    Frames,
    ModelFiles,
    digest_description,
    find_model_files,
    read_exported_sampling,
    select_condition_ids,
)

INSTRUCTIONS = ("DEFAULT", "AVX2", "AVX512")  # ascending

BATCH_CLIPS = 16  # clips in one pass; one group of the discriminator, if that is more


class Model:
    """A generator read from `folder`, ready to sample: `generator`, `vocabulary`, `shape`, `max_tokens`, `digest`.

    `params` are those of its training; `learned` is the number of words it was trained on. With method flow, `sampling`
    sets the steps and the guidance; by default they are those of its last export, or else of the training.
    """

    def __init__(self, folder: Path, sampling: SamplingParams | None = None) -> None:
        files = find_model_files(folder)
        self.description = read_json(files.description, "`dvc repro train` creates it")
        try:
            self.shape = ClipParams.model_validate(self.description["clip"])
            self.params = TrainParams.model_validate(self.description["train"])
            self.vocabulary: list[str] = list(self.description["vocabulary"]["words"])
            self.max_tokens = int(self.description["max_tokens"])
            self.learned = len(self.vocabulary) - int(self.description["vocabulary"]["unlearned"])
            vectors = read_vectors(files.vectors)
            self.generator = TextToVideo(self.shape, self.params, self.learned, vectors)
            self.generator.eval().requires_grad_(False)
            weights = load_file(files.weights)
            if weights.keys() != self.generator.state_dict().keys():
                raise UserError(_outdated(folder, files.remedy))
            self.generator.load_state_dict(weights)
            channels_last(self.generator)  # as in training, since the strides affect rounding
            self.digest = digest_file(files.weights)
            if self.flow is not None and (chosen := sampling or _read_sampling(files)) is not None:
                self.flow.steps, self.flow.guidance = chosen.steps, chosen.guidance
        except FileNotFoundError:
            raise UserError(f"{files.weights}: no such file; `dvc repro train` creates it") from None
        except ValidationError:
            raise UserError(_outdated(folder, files.remedy)) from None
        except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
            raise UserError(
                f"{folder}: {files.weights.name} and {files.description.name} do not match "
                f"({describe_fault(error)}); {files.remedy}"
            ) from None

    @property
    def flow(self) -> FlowGenerator | None:
        """The flow network; None with another method."""
        return self.generator.generator if isinstance(self.generator.generator, FlowGenerator) else None

    def condition(self, caption: Caption) -> tuple[int, ...]:
        """The token ids of a caption that the generator is conditioned on."""
        return select_condition_ids(caption, self.params.captions.conditioning)

    def add_words(self, vectors: NDArray[np.float32]) -> None:
        """Add words that were not trained on, by their vectors [N,D]; they replace those added before.

        Their ids follow the last id of the vocabulary.
        """
        self.generator.add_words(torch.from_numpy(vectors))

    def describe(self) -> dict[str, Any]:
        """What identifies this model, and its sampling params."""
        return {"model": self.digest, "params": digest_description(self.description), **self.sampling()}

    def provenance(self) -> dict[str, Any]:
        """The same, and the environment on which its bytes depend."""
        return self.describe() | {"environment": describe_environment()}

    def sampling(self) -> dict[str, Any]:
        """Sampling steps and guidance; empty without method flow."""
        return {} if self.flow is None else {"steps": self.flow.steps, "guidance": self.flow.guidance}


def _read_sampling(files: ModelFiles) -> SamplingParams | None:
    """The steps and the guidance that the model was exported with; None: those of its training."""
    written = read_exported_sampling(files)
    try:
        return SamplingParams.model_validate(written) if written else None
    except ValidationError as error:
        raise UserError(f"{files.sampling}: {SAMPLING}: {describe_fault(error)}; repeat the export") from None


class TrainedDiscriminator:
    """The final discriminator of a run with method gan, read from the folder of its model."""

    def __init__(self, folder: Path, model: Model) -> None:
        vectors = read_vectors(folder / VECTORS)
        self._group = model.params.group_clips
        self._network = CaptionedDiscriminator(model.shape, model.params, model.learned, vectors)
        try:
            self._network.load_state_dict(load_file(folder / DISCRIMINATOR))
        except FileNotFoundError:
            raise UserError(f"{folder / DISCRIMINATOR}: no such file; `dvc repro train` creates it") from None
        except (SafetensorError, RuntimeError) as error:
            raise UserError(
                f"{folder / DISCRIMINATOR}: not the discriminator of this model ({first_line(error)}); "
                "run `dvc repro -f train`"
            ) from None
        channels_last(self._network.eval().requires_grad_(False))

    def compute_logits(self, frames: Frames, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Logits [N] of clips uint8 [N,T,H,W,3] with their captions, as token ids from `Model.condition`.

        If the discriminator compares clips in groups, consecutive clips form one.
        """
        count, step = len(frames), max(BATCH_CLIPS // self._group, 1) * self._group
        rows = np.arange(-(-count // self._group) * self._group) % count  # fills up the last group
        ids = pad(token_ids)[rows]
        with torch.inference_mode():
            parts = [
                self._network(to_training(torch.from_numpy(frames[rows[at : at + step]])), ids[at : at + step])
                for at in range(0, len(rows), step)
            ]
        logits: NDArray[np.float64] = torch.cat(parts)[:count].double().numpy()
        return logits


def save_model(
    folder: Path, generator: TextToVideo, discriminator: CaptionedDiscriminator | None, description: dict[str, Any]
) -> None:
    """Write the networks, then their description (`clip`, `train`, `vocabulary`, `max_tokens` and more)."""
    _save(generator, folder / GENERATOR)
    if discriminator is None:
        (folder / DISCRIMINATOR).unlink(missing_ok=True)
    else:
        _save(discriminator, folder / DISCRIMINATOR)
    write_json(folder / DESCRIPTION, description)


def save_vectors(source: Path, folder: Path) -> None:
    """Copy the word vectors of a run, if any, to its model, so that it can be read without the data."""
    if source.exists():
        with atomic_write(folder / VECTORS) as temporary:
            shutil.copyfile(source, temporary)
    else:
        (folder / VECTORS).unlink(missing_ok=True)


def describe_environment(device: torch.device | None = None) -> dict[str, Any]:
    """What bytes depend on besides params, data and code: torch, instruction sets, threads, device.

    MKL's matrix products depend on the CPU vendor, and ignore the limits of torch and oneDNN:
    `findings/torch-matmul-ignores-capability.sh`.
    """
    name = torch.cuda.get_device_name(device) if device is not None and device.type == "cuda" else "cpu"
    return {
        "torch": str(torch.__version__),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA") or _find_best_instructions(),
        "blas": _describe_blas(),
        "threads": torch.get_num_threads(),
        "device": name,
    }


def use_environment(environment: dict[str, Any]) -> None:
    """Reproduce an environment as far as this machine can. To be called before any computation.

    torch and oneDNN read these variables on first use; there may be more threads than cores.
    """
    best = INSTRUCTIONS.index(_find_best_instructions())
    for key, variable in (("cpu", "ATEN_CPU_CAPABILITY"), ("onednn", "ONEDNN_MAX_CPU_ISA")):
        wanted = environment.get(key)
        if wanted in INSTRUCTIONS[:best]:
            os.environ[variable] = wanted.lower() if key == "cpu" else wanted
    torch.set_num_threads(int(environment["threads"]))


def _describe_blas() -> str:
    """The BLAS library, the CPU vendor, and the environment variables that limit MKL."""
    library = "MKL" if torch.backends.mkl.is_available() else "not MKL"  # type: ignore[no-untyped-call]
    limits = (os.environ.get(name) for name in ("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"))
    return " ".join((library, "on", _find_processor_maker(), *filter(None, limits)))


def _find_processor_maker() -> str:
    """The CPU vendor, such as "GenuineIntel", from /proc/cpuinfo; without it, the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    vendors = (line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id"))
    return next(vendors, platform.machine())


def _find_best_instructions() -> str:
    """The best instruction set of this machine, by torch's name."""
    known = {"AVX2": torch.cpu._is_avx2_supported(), "AVX512": torch.cpu._is_avx512_supported()}
    return next((name for name in reversed(INSTRUCTIONS) if known.get(name)), INSTRUCTIONS[0])


def _save(model: nn.Module, path: Path) -> None:
    data = save({name: value.contiguous().cpu() for name, value in model.state_dict().items()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _outdated(folder: Path, remedy: str) -> str:
    return f"{folder}: this model was made by an earlier version of the pipeline; {remedy}"


def sample(model: Model, token_ids: Sequence[Sequence[int]], z: Tensor) -> Frames:
    """A clip for each caption and row of z [N,Z] -> uint8 [N,T,H,W,3], on the CPU.

    Raises UserError if pixels are not finite: they would become a black clip.
    """
    ids = pad(token_ids)
    parts = []
    for at in range(0, len(ids), BATCH_CLIPS):
        with torch.inference_mode():
            clips = model.generator(z[at : at + BATCH_CLIPS], ids[at : at + BATCH_CLIPS])
        if not clips.isfinite().all():
            raise UserError("the generator's pixels are not finite: its weights are broken; `dvc repro -f train`")
        parts.append(to_frames(clips))  # a quarter of the memory
    return np.concatenate(parts)


def draw_inputs(model: Model, count: int) -> tuple[Tensor, Tensor]:
    """Noise [B,Z] and token ids [B,L] of random captions of different lengths."""
    draw = torch.Generator().manual_seed(count)
    token_ids = torch.randint(
        FIRST_WORD_ID, max(model.learned, FIRST_WORD_ID + 1), (count, model.max_tokens), generator=draw
    )
    lengths = 1 + (1 + torch.arange(count)[:, None]) * 3 % model.max_tokens
    token_ids = token_ids.where(torch.arange(model.max_tokens) < lengths, 0)
    return draw_noise(count, count, model.generator.z_width), token_ids
