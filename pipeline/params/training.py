"""The section of training: networks, losses, schedules."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.params.base import Positive, Section, Share, Weight

PenaltyName = Literal["r1", "r2", "zero_gp", "wgan_gp"]
AdversarialName = Literal["relativistic", "nonsaturating", "hinge", "wasserstein"]


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
