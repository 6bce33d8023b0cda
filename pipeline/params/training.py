"""The sections of training, the judge, evaluation and rendering."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from pipeline.params.base import REFERENCE, Positive, QuotedPath, Section, Share, Text, Weight, require_one_of

# Built-in names; instead of each, params may have a reference package.module:object to user-defined code.
PENALTY_NAMES = ("r1", "r2", "r1_fd", "r2_fd", "zero_gp", "wgan_gp")
ADVERSARIAL_NAMES = ("relativistic", "nonsaturating", "hinge", "wasserstein")
MATCHING_NAMES = ("relativistic", "reed", "thirds")
MIXED_NAMES = ("none", "bgan", "mbgan")
ENCODER_NAMES = ("mean", "gru", "transformer")
CONDITION_NAMES = ("projection", "stacked")

PenaltyName = Annotated[str, require_one_of(*PENALTY_NAMES)]
AdversarialName = Annotated[str, require_one_of(*ADVERSARIAL_NAMES)]
MatchingName = Annotated[str, require_one_of(*MATCHING_NAMES)]
MixedName = Annotated[str, require_one_of(*MIXED_NAMES)]
Conditioning = Literal["caption", "object"]
ValidationName = Literal["discrepancy", "motion_direction"]

SearchName = Literal["numpy", "faiss"]


class CheckpointParams(Section):
    every_clips: PositiveInt
    keep: PositiveInt
    keep_runs: PositiveInt


class LoggingParams(Section):
    tensorboard: bool
    dvclive: bool
    sample_clips: PositiveInt
    keep_pictures: Annotated[int, Field(ge=0)]


class CaptionParams(Section):
    encoder: Annotated[str, require_one_of(*ENCODER_NAMES)]
    conditioning: Conditioning
    words: Literal["trained", "frozen"]
    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.encoder == "transformer" and self.width % self.heads:
            raise ValueError(f"train.captions.width {self.width} must be a multiple of heads {self.heads}")
        return self


class ResidualParams(Section):
    network: ClassVar = "pipeline.models.residual_generator:ResidualGenerator"
    method: ClassVar = "gan"

    kind: Literal["residual"]
    content_width: PositiveInt
    motion_width: PositiveInt
    code_width: PositiveInt
    layers: PositiveInt
    object_layers: PositiveInt
    object_extent: Annotated[float, Field(gt=0, le=1)]
    motion_penalty: Annotated[float, Field(ge=0)]
    still_width: PositiveInt
    chroma: Literal["full", "half"]
    background: Literal["still", "moving", "warped"]
    conditioning: Literal["factorised", "caption"]
    volume_width: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _objects_lie_in_layers(self) -> Self:
        if self.object_layers > self.layers:
            raise ValueError(f"train.generator.object_layers {self.object_layers} are more than layers {self.layers}")
        return self


class ConvGruParams(Section):
    network: ClassVar = "pipeline.models.convgru_generator:ConvGruGenerator"
    method: ClassVar = "gan"

    kind: Literal["convgru"]
    content_width: PositiveInt
    motion_width: PositiveInt
    code_width: PositiveInt
    frame_width: PositiveInt
    frame_memory: bool
    caption_in_blocks: bool
    batch_norm: bool


class UNetParams(Section):
    network: ClassVar = "pipeline.models.unet_generator:UNetGenerator"
    method: ClassVar = "flow"

    kind: Literal["unet"]
    width: PositiveInt
    code_width: PositiveInt
    blocks: PositiveInt
    patch: Literal[1, 2, 4]
    frame_patch: Literal[1, 2, 4]


class CustomGeneratorParams(Section):
    kind: Annotated[str, Field(pattern=f"^{REFERENCE}$")]
    options: dict[str, Any]

    @property
    def network(self) -> str:
        """The class to build, like `network` of the built-in kinds."""
        return self.kind


# A new kind needs a section, a line here and one in GeneratorParams, and the module of `network`.
GENERATORS: dict[str, type[ResidualParams] | type[ConvGruParams] | type[UNetParams]] = {
    "residual": ResidualParams,
    "convgru": ConvGruParams,
    "unet": UNetParams,
}


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    if kind in GENERATORS:
        return f"kind={kind}"
    return "kind=custom" if isinstance(kind, str) and re.fullmatch(REFERENCE, kind) else None


GeneratorParams = Annotated[
    Annotated[ResidualParams, Tag("kind=residual")]
    | Annotated[ConvGruParams, Tag("kind=convgru")]
    | Annotated[UNetParams, Tag("kind=unet")]
    | Annotated[CustomGeneratorParams, Tag("kind=custom")],
    Discriminator(_tag),
]


class DiscriminatorParams(Section):
    width: PositiveInt
    condition: Annotated[str, require_one_of(*CONDITION_NAMES)]
    time: Literal["throughout", "head"]
    frames: Annotated[int, Field(ge=0)]
    frame_stride: PositiveInt
    spectral_norm: bool


class AugmentationParams(Section):
    probability: Annotated[list[Share], Field(min_length=2, max_length=2)]
    translation: Share
    cutout: Share
    colour: Share


class MixedParams(Section):
    loss: MixedName
    group: Annotated[int, Field(ge=2)]
    edge: Annotated[float, Field(gt=0, le=0.5)]


class FlowParams(Section):
    time_mean: Annotated[float, Field(allow_inf_nan=False)]
    time_spread: Positive
    long_steps: Annotated[float, Field(ge=0, lt=1)]
    caption_dropout: Annotated[float, Field(ge=0, lt=1)]
    sample_steps: PositiveInt


class SamplingParams(Section):
    steps: PositiveInt
    guidance: Weight


class ValidationParams(Section):
    every_clips: PositiveInt
    clips: PositiveInt
    metric: ValidationName
    patience: PositiveInt | None


class TrainParams(Section):
    method: Literal["gan", "flow"]
    total_clips: PositiveInt
    batch_clips: PositiveInt
    discriminator_steps: PositiveInt
    generator_steps: PositiveInt
    updates: Literal["in_turn", "together"]
    precision: Literal["float32", "bf16"]
    compile: bool
    adversarial: AdversarialName
    penalties: dict[PenaltyName, Weight]
    penalty_every: PositiveInt
    penalty_shrink: PositiveInt
    penalty_sigma: Positive
    matching: MatchingName
    mismatched: Weight
    opposites: Share
    mixed: MixedParams
    condition_ramp: Annotated[float, Field(ge=0, lt=1)]
    generator_lr: Positive
    discriminator_lr: Positive
    warmup_clips: Annotated[int, Field(ge=0)]
    max_gradient_norm: Positive | None
    final_lr_share: Share
    final_gamma_share: Share
    final_mismatched_share: Share
    beta2: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    ema_clips: Positive
    augmentation: AugmentationParams
    flow: FlowParams
    captions: CaptionParams
    generator: GeneratorParams
    discriminator: DiscriminatorParams
    report_clips: PositiveInt
    validation: ValidationParams
    export: Literal["last", "best"]

    @property
    def step_clips(self) -> int:
        """Real clips per step: a batch for each update of the network that is updated more often."""
        if self.method == "flow":
            return self.batch_clips
        return self.batch_clips * max(self.discriminator_steps, self.generator_steps)

    @property
    def group_clips(self) -> int:
        """Clips that the discriminator scores together, on one device."""
        return 1 if self.method == "flow" or self.mixed.loss == "none" else self.mixed.group

    @model_validator(mode="after")
    def _method_can_train_the_generator(self) -> Self:
        method = getattr(self.generator, "method", self.method)  # unknown for user-defined kinds
        if method != self.method:
            fitting = " or ".join(kind for kind, section in GENERATORS.items() if section.method == self.method)
            raise ValueError(
                f"train.generator.kind {self.generator.kind} is trained by method {method}: set train.method to it, or "
                f"the kind to {fitting}"
            )
        return self

    @model_validator(mode="after")
    def _batches_hold_whole_groups(self) -> Self:
        if self.batch_clips % self.group_clips:
            raise ValueError(
                f"train.batch_clips {self.batch_clips} must be a multiple of train.mixed.group {self.mixed.group}"
            )
        return self

    @property
    def shared_clips(self) -> int:
        """Clips that must be on the same device: a group, or `penalty_shrink` clips, of which one is penalised."""
        return 1 if self.method == "flow" else max(self.group_clips, self.penalty_shrink)

    @property
    def sharing_key(self) -> str:
        """The key that determines `shared_clips`; groups and `penalty_shrink` exclude each other."""
        return "train.penalty_shrink" if self.penalty_shrink > 1 else "train.mixed.group"

    @model_validator(mode="after")
    def _penalties_at_some_clips_alone(self) -> Self:
        if self.batch_clips % self.penalty_shrink:
            raise ValueError(
                f"train.batch_clips {self.batch_clips} must be a multiple of train.penalty_shrink {self.penalty_shrink}"
            )
        if self.penalty_shrink > 1 and (self.updates == "together" or self.mixed.loss != "none"):
            raise ValueError(
                f"train.penalty_shrink {self.penalty_shrink} needs updates in_turn and mixed.loss none, since it reads "
                "the clips of a batch apart; or set it to 1"
            )
        return self

    @model_validator(mode="after")
    def _one_pass_serves_one_update_each(self) -> Self:
        if self.updates == "together" and not self.discriminator_steps == self.generator_steps == self.group_clips == 1:
            raise ValueError(
                "train.updates together needs discriminator_steps 1, generator_steps 1 and mixed.loss none: one pass "
                "of the discriminator serves one update of each network; or take in_turn"
            )
        return self

    @model_validator(mode="after")
    def _thirds_are_of_probabilities(self) -> Self:
        if self.matching == "thirds" and self.adversarial != "nonsaturating":
            raise ValueError(
                f"train.matching thirds needs train.adversarial nonsaturating, not {self.adversarial}; or take reed"
            )
        return self


class JudgeParams(Section):
    clips: PositiveInt
    min_class_clips: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=4)]
    steps: PositiveInt
    batch_clips: PositiveInt
    lr: Positive


class PretrainedParams(Section):
    weights: QuotedPath
    clips: PositiveInt


class EvaluateParams(Section):
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    real_clips: PositiveInt
    train_clips: PositiveInt
    samples: PositiveInt
    varied_captions: PositiveInt
    varied_samples: Annotated[int, Field(ge=2)]
    distractors: PositiveInt
    new_words: list[Text]
    search: SearchName
    metrics: list[Text]
    resamples: PositiveInt
    pictures: PositiveInt
    pretrained: PretrainedParams
