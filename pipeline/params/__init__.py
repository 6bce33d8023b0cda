"""`params.yaml` as frozen, strict models.

They hold no default values: DVC cannot see a default, so changing one would leave old outputs in place.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from pipeline.errors import UserError
from pipeline.params.base import Section, Text
from pipeline.params.data import (
    ClipParams,
    ColumnParams,
    ComputeParams,
    DatasetParams,
    DemoParams,
    EmbeddingParams,
    FilterParams,
    LimitParams,
    Loading,
    ShareParams,
    TokenizeParams,
    TranscodeParams,
    doublings_of,
)
from pipeline.params.training import (
    AdversarialName,
    AugmentationParams,
    CaptionParams,
    CheckpointParams,
    Conditioning,
    DiscriminatorParams,
    EvaluateParams,
    GeneratorParams,
    JudgeParams,
    LoggingParams,
    MatchingName,
    MixedName,
    PenaltyName,
    SearchName,
    TrainParams,
    ValidationName,
    ValidationParams,
)

__all__ = [
    "AdversarialName",
    "AugmentationParams",
    "CaptionParams",
    "CheckpointParams",
    "ClipParams",
    "ColumnParams",
    "ComputeParams",
    "Conditioning",
    "DatasetParams",
    "DemoParams",
    "DiscriminatorParams",
    "EmbeddingParams",
    "EvaluateParams",
    "FilterParams",
    "GeneratorParams",
    "JudgeParams",
    "LimitParams",
    "Loading",
    "LoggingParams",
    "MatchingName",
    "MixedName",
    "Params",
    "PenaltyName",
    "RenderParams",
    "SearchName",
    "Section",
    "ShareParams",
    "TokenizeParams",
    "TrainParams",
    "TranscodeParams",
    "ValidationName",
    "ValidationParams",
    "check_params",
    "doublings_of",
    "load_params",
    "worker_count",
]

# Keys that have had another name, so that a params.yaml of an older version is refused with the new one: old -> new.
OLD_KEYS = {"states": "checkpoints"}


class RenderParams(Section):
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)]
    objects: PositiveInt
    new_words: list[Text]
    scale: PositiveInt
    fps: PositiveInt


class Params(Section):
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    devices: Text
    compute: ComputeParams
    checkpoints: CheckpointParams
    logging: LoggingParams
    demo: DemoParams
    dataset: DatasetParams
    filter: FilterParams
    clip: ClipParams
    transcode: TranscodeParams
    tokenize: TokenizeParams
    train: TrainParams
    judge: JudgeParams
    evaluate: EvaluateParams
    render: RenderParams

    @field_validator("devices")
    @classmethod
    def _devices_are_such(cls, devices: str) -> str:
        numbers = r"\d{1,4}(-\d{1,4})?"  # as training reads them, where T2V_DEVICES may stand in
        if not re.fullmatch(rf"auto|cpu(:[1-9]\d*)?|{numbers}(,{numbers})*", devices.strip(), re.ASCII):
            raise ValueError(f"{devices!r} is none of auto, cpu, cpu:2 (processes), 3-5 or 0,2 (GPUs)")
        return devices

    @model_validator(mode="after")
    def _clip_fits_the_networks(self) -> Self:
        doublings_of(self.clip)
        return self

    @model_validator(mode="after")
    def _new_words_have_vectors(self) -> Self:
        for section, words in (("evaluate", self.evaluate.new_words), ("render", self.render.new_words)):
            if words and self.tokenize.embeddings.source == "learned":
                raise ValueError(
                    f"{section}.new_words needs vectors for words that are not learned: set "
                    f"tokenize.embeddings.source to subword, file or spacy, or {section}.new_words to []"
                )
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the whole file, so that a typo under `train` stops `filter`.

    Raises UserError that names every wrong key, its value and the nearest right one.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file in {Path.cwd()}; run from the project's folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    return check_params(tree, str(path))


def check_params(tree: Any, source: str) -> Params:
    """A parsed tree as Params. Raises UserError; `source` names the tree in its message."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        problems = [(".".join(map(str, problem["loc"])), problem) for problem in error.errors()]
        renamed = {OLD_KEYS[where] for where, _ in problems if where in OLD_KEYS}  # not to be called missing as well
        lines = [_explain(problem) for where, problem in problems if where not in renamed]
        raise UserError("\n  ".join([f"{source} has {len(lines)} wrong value(s):", *lines])) from None


def worker_count(compute: ComputeParams) -> int:
    """Processes for the data stages; `auto` is one per CPU core that this process may use."""
    return len(os.sched_getaffinity(0)) if compute.workers == "auto" else compute.workers


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "the file"
    value = problem["input"]
    if problem["type"] == "extra_forbidden" and where in OLD_KEYS:
        return f"{where}: now called {OLD_KEYS[where]}; rename it"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
        return f"{where}: no such key" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{where}: missing"
    told = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # a rule between values, which it names itself
        return f"{where}: {told}" if problem["loc"] else told
    as_text = isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+", value, re.IGNORECASE)
    hint = " (YAML reads 2e-4 and 1.0e6 as text: write 2.0e-4 and 1.0e+6)" if as_text else ""
    return f"{where}: {told}, got {value!r}{hint}"


def _keys(location: tuple[Any, ...]) -> list[str]:
    model: Any = Params
    for part in location:
        model = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
    return list(getattr(model, "model_fields", {}))
