"""`params.yaml` as frozen, strict models.

They have no default values: DVC does not see them, so changing one would leave outdated outputs.
"""

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from pipeline.errors import UserError, suggest_name
from pipeline.params.base import DEVICES, NO_DEVICES, Section, Text
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
    PhraseParams,
    SegmentParams,
    ShareParams,
    TokenizeParams,
    TranscodeParams,
    count_doublings,
)
from pipeline.params.training import (
    ADVERSARIAL_NAMES,
    CONDITION_NAMES,
    ENCODER_NAMES,
    GENERATORS,
    MATCHING_NAMES,
    MIXED_NAMES,
    PENALTY_NAMES,
    AdversarialName,
    AugmentationParams,
    CaptionParams,
    CheckpointParams,
    Conditioning,
    ConvGruParams,
    CustomGeneratorParams,
    DiscriminatorParams,
    EvaluateParams,
    FlowParams,
    GeneratorParams,
    JudgeParams,
    LoggingParams,
    MatchingName,
    MixedName,
    PenaltyName,
    ResidualParams,
    SamplingParams,
    SearchName,
    TrainParams,
    UNetParams,
    ValidationName,
    ValidationParams,
)

__all__ = [
    "ADVERSARIAL_NAMES",
    "CONDITION_NAMES",
    "DEFAULTS",
    "ENCODER_NAMES",
    "GENERATORS",
    "MATCHING_NAMES",
    "MIXED_NAMES",
    "OLD_KEYS",
    "PENALTY_NAMES",
    "AdversarialName",
    "AugmentationParams",
    "CaptionParams",
    "CheckpointParams",
    "ClipParams",
    "ColumnParams",
    "ComputeParams",
    "Conditioning",
    "ConvGruParams",
    "CustomGeneratorParams",
    "DatasetParams",
    "DemoParams",
    "DiscriminatorParams",
    "EmbeddingParams",
    "EvaluateParams",
    "FilterParams",
    "FlowParams",
    "GeneratorParams",
    "JudgeParams",
    "LimitParams",
    "Loading",
    "LoggingParams",
    "MatchingName",
    "MixedName",
    "Params",
    "PenaltyName",
    "PhraseParams",
    "RenderParams",
    "ReportParams",
    "ResidualParams",
    "SamplingParams",
    "SearchName",
    "Section",
    "SegmentParams",
    "ShareParams",
    "TokenizeParams",
    "TrainParams",
    "TranscodeParams",
    "UNetParams",
    "ValidationName",
    "ValidationParams",
    "check_params",
    "count_doublings",
    "load_params",
    "read_text",
    "read_yaml",
    "show_value",
    "worker_count",
]

DEFAULTS = Path(__file__).with_name("defaults.yaml")

# Renamed keys, old -> new, for the message about a params.yaml of an older version.
OLD_KEYS = {
    "states": "checkpoints",
    "train.generator.looks_hear": "train.generator.conditioning",
    "train.generator.appearance_conditioning": "train.generator.conditioning",
}


Seed = Annotated[int, Field(ge=0, lt=2**31)]


class RenderParams(Section):
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)]
    objects: PositiveInt
    new_words: list[Text]
    scale: PositiveInt
    fps: Annotated[int, Field(ge=1, le=100)]  # GIFs count hundredths of a second


class ReportParams(Section):
    captions: PositiveInt
    clips: PositiveInt


class Params(Section):
    seed: Seed
    training_seed: Seed | None
    devices: Text
    deterministic: bool
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
    sampling: SamplingParams
    judge: JudgeParams
    evaluate: EvaluateParams
    render: RenderParams
    report: ReportParams

    @field_validator("devices")
    @classmethod
    def _devices_are_such(cls, devices: str) -> str:
        if not DEVICES.fullmatch(devices.strip()):
            raise ValueError(f"{devices!r} {NO_DEVICES}")
        return devices

    @model_validator(mode="after")
    def _clip_fits_the_networks(self) -> Self:
        count_doublings(self.clip)
        stride = self.train.discriminator.frame_stride
        if self.train.method == "gan" and self.clip.frames % stride:
            raise ValueError(
                f"clip.frames {self.clip.frames} must be a multiple of train.discriminator.frame_stride {stride}; "
                "1 takes any number"
            )
        generator = self.train.generator
        if isinstance(generator, UNetParams):
            for key, side in (("frame_patch", "frames"), ("patch", "height"), ("patch", "width")):
                length, patch = getattr(self.clip, side), getattr(generator, key)
                if length % patch:
                    raise ValueError(f"clip.{side} {length} must be a multiple of train.generator.{key} {patch}")
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

    Raises UserError that names every invalid key, its value and the nearest valid key.
    """
    return check_params(read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, unchecked. Raises UserError if the file is missing or not YAML."""
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        quotes = "texts that start with *, [ or { or contain ': ' are written in quotes"
        raise UserError(f"{path}: not YAML: {error}\n  {quotes}") from None


def read_text(path: Path) -> str:
    """The text of a YAML file. Raises UserError if the file is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file in {Path.cwd()}; run from the project's folder") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; params are read from a YAML file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def check_params(tree: Any, source: str) -> Params:
    """A parsed tree as Params. Raises UserError; `source` names the tree in its message."""
    if not isinstance(tree, dict):
        raise UserError(f"{source}: has no keys with values; `t2v recipe write demo --force` writes a whole file")
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        problems = [(_spell(problem["loc"]), problem) for problem in error.errors()]
        renamed = {OLD_KEYS[where] for where, _ in problems if where in OLD_KEYS}  # not reported as missing too
        lines = [_explain(where, problem) for where, problem in problems if where not in renamed]
        raise UserError("\n  ".join([f"{source} has {len(lines)} wrong value(s):", *lines])) from None


def show_value(value: Any) -> str:
    """A value as YAML on one line."""
    text = str(yaml.safe_dump(value, default_flow_style=True, width=10_000))
    return text.removesuffix("\n").removesuffix("\n...")


def worker_count(compute: ComputeParams) -> int:
    """The number of processes of the data stages; `auto`: one per CPU core that this process may use."""
    return len(os.sched_getaffinity(0)) if compute.workers == "auto" else compute.workers


def _spell(location: tuple[Any, ...]) -> str:
    """The dotted key of a location, without the tag of a union and pydantic's marker of a key."""
    return ".".join(part for part in map(str, location) if part != "[key]" and not part.startswith("kind="))


def _explain(where: str, problem: Any) -> str:
    value, where = problem["input"], where or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{where}: {_explain_extra(where)}"
    if problem["type"] == "union_tag_not_found":
        return f"{where}.kind: {_explain_kind(value)}"
    if problem["type"] == "missing":
        return f"{where}: missing{_tell_default(where)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # a rule between values, whose message names them
        return f"{where}: {message}" if problem["loc"] else message
    return f"{where}: {message}, got {value!r}{_hint_at_yaml(problem['type'], value)}"


def _hint_at_yaml(kind: str, value: Any) -> str:
    """How to write a value that YAML reads as another type than was meant, for a message; empty if it is none."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+", value, re.IGNORECASE):
        return " (YAML reads 2e-4 and 1.0e6 as text: write 2.0e-4 and 1.0e+6)"
    if kind == "list_type" and isinstance(value, (str, int, float)):
        return f" (write a list of one value as {show_value([value])})"
    if kind == "string_type" and isinstance(value, (int, float, date)):
        return " (YAML reads 7, no and 2026-01-31 as a number, false and a date: put such texts in quotes)"
    return ""


def _tell_default(where: str) -> str:
    """The default of a key, for a message, if it is a scalar or a list."""
    value: Any = read_yaml(DEFAULTS)
    for part in where.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return "" if isinstance(value, dict) else f"; the default is {show_value(value)}"


def _explain_extra(where: str) -> str:
    """The message about an unknown key, with what may have been meant."""
    if where in OLD_KEYS:
        return f"now called {OLD_KEYS[where]}; rename it"
    section, _, key = where.rpartition(".")
    owners = [kind for kind, params in GENERATORS.items() if key in params.model_fields]
    if section == "train.generator" and owners:
        return f"belongs to kind {' and '.join(owners)}; remove it, or change train.generator.kind"
    return f"no such key{suggest_name(key, _list_keys(section))}"


def _explain_kind(section: Any) -> str:
    kind = section.get("kind") if isinstance(section, dict) else None
    choices = f"{', '.join(GENERATORS)} or package.module:object (docs/extending.md)"
    return "missing" if kind is None else f"{kind!r} is none of {choices}{suggest_name(str(kind), GENERATORS)}"


def _list_keys(section: str) -> list[str]:
    """The keys of a section by its dotted name, of all its kinds; empty if it has no fixed keys."""
    if section == "train.generator":
        return [key for params in GENERATORS.values() for key in params.model_fields]
    model: Any = Params
    for part in filter(None, section.split(".")):
        model = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
    return list(getattr(model, "model_fields", {}))
