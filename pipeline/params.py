"""`params.yaml` as frozen, strict models.

They hold no default values: DVC cannot see a default, so changing one would leave old outputs in place.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from pipeline.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]

PenaltyName = Literal["r1", "r2", "zero_gp", "wgan_gp"]
AdversarialName = Literal["relativistic", "nonsaturating", "hinge", "wasserstein"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ComputeParams(Section):
    workers: Literal["auto"] | PositiveInt


class DemoParams(Section):
    clips: Annotated[int, Field(gt=0, le=200_000)]  # ids are drawn from 1 to 220,847
    validation_share: Share


class DatasetParams(Section):
    format: Literal["something"]
    labels: Text
    videos: Text


class ShareParams(Section):
    train: Share
    judge: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.judge + self.val + self.test
        if abs(total - 1) > 1e-6 or self.train == 0:
            raise ValueError(f"the shares must sum to 1 with train above 0, not to {total:g}")
        return self


class FilterParams(Section):
    categories: Annotated[list[Text], Field(min_length=1)]
    shares: ShareParams
    test_pairs: Share
    test_words: list[Text]


class ClipParams(Section):
    frames: PositiveInt  # T
    height: PositiveInt  # H, pixels
    width: PositiveInt  # W, pixels


class TranscodeParams(Section):
    short_clips: Literal["drop", "repeat_last"]
    shard_format: Literal["parquet", "npz"]
    shard_clips: PositiveInt


class TokenizeParams(Section):
    max_tokens: PositiveInt
    min_word_count: PositiveInt


class GeneratorParams(Section):
    content_width: PositiveInt
    motion_width: PositiveInt
    code_width: PositiveInt
    layers: PositiveInt
    still_width: PositiveInt
    volume_width: Annotated[int, Field(ge=0)]


class DiscriminatorParams(Section):
    width: PositiveInt


class TrainParams(Section):
    total_clips: PositiveInt
    batch_clips: PositiveInt
    adversarial: AdversarialName
    penalties: dict[PenaltyName, Weight]
    penalty_every: PositiveInt
    mismatched: Weight
    generator_lr: Positive
    discriminator_lr: Positive
    final_lr_share: Share
    final_gamma_share: Share
    beta2: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    ema_clips: Positive
    caption_width: PositiveInt
    generator: GeneratorParams
    discriminator: DiscriminatorParams
    report_clips: PositiveInt
    sample_clips: PositiveInt
    state_clips: PositiveInt


class RenderParams(Section):
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)]
    objects: PositiveInt
    scale: PositiveInt
    fps: PositiveInt


class Params(Section):
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    devices: Text
    compute: ComputeParams
    demo: DemoParams
    dataset: DatasetParams
    filter: FilterParams
    clip: ClipParams
    transcode: TranscodeParams
    tokenize: TokenizeParams
    train: TrainParams
    render: RenderParams

    @model_validator(mode="after")
    def _clip_fits_the_networks(self) -> Self:
        doublings_of(self.clip)
        return self


def doublings_of(shape: ClipParams) -> int:
    """How often the networks double both sides, from 4 to 7 pixels on the shorter. Raises ValueError if they cannot."""
    height, width = shape.height, shape.width
    doublings = max(min(height, width).bit_length() - 3, 1)
    step = 1 << doublings
    if min(height, width) < 8 or height % step or width % step:
        raise ValueError(f"clip.height {height} and clip.width {width} must be at least 8 and multiples of {step}")
    return doublings


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the whole file, so that a typo under `train` stops `filter`.

    Raises UserError that names every wrong key, its value and the nearest right one.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file in {Path.cwd()}; run from the project's folder") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    return check_params(tree, str(path))


def check_params(tree: Any, source: str) -> Params:
    """A parsed tree as Params. Raises UserError; `source` names the tree in its message."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise UserError("\n  ".join([f"{source} has {len(lines)} wrong value(s):", *lines])) from None


def worker_count(compute: ComputeParams) -> int:
    """Processes for the data stages; `auto` is one per CPU core that this process may use."""
    return len(os.sched_getaffinity(0)) if compute.workers == "auto" else compute.workers


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "the file"
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
        return f"{where}: no such key" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{where}: missing"
    told = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # a rule between values, which it names itself
        return f"{where}: {told}" if problem["loc"] else told
    as_text = isinstance(value, str) and problem["type"].startswith(("float", "int"))
    return f"{where}: {told}, got {value!r}" + (" (YAML reads 2e-4 as text: write 2.0e-4)" if as_text else "")


def _keys(location: tuple[Any, ...]) -> list[str]:
    model: Any = Params
    for part in location:
        model = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
    return list(getattr(model, "model_fields", {}))
