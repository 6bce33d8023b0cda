"""The losses of both networks on one batch, and the settings that follow a schedule."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipeline.data.dataset import Batch, to_training
from pipeline.losses import (
    DiscriminatorOutputs,
    SharedRng,
    check_losses,
    check_penalty,
    find_adversarial,
    find_group_loss,
    find_matching,
    find_penalty,
    first_rows,
    needs_gradient,
    perturb_clips,
    realised_shares,
    spread_shares,
)
from pipeline.models.caption_encoders import find_caption_encoder
from pipeline.models.discriminators import Discriminator, find_discriminator
from pipeline.models.layers import in_float32, per_clip
from pipeline.models.networks import ALL_FRAMES, CaptionedDiscriminator, TextToVideo, find_generator
from pipeline.params import TrainParams
from pipeline.training.augmentation import augment
from pipeline.training.history import MetricRow, Values

FINEST_IN_BF16 = 0.1  # step of finite differences in bf16; with 0.01, rounding triples the penalty, with 0.1 it is 1.03


@dataclass(frozen=True)
class ScheduleValues:
    """The settings of one step."""

    lr_scale: float  # of either learning rate
    gamma_scale: float  # of every penalty's gamma
    mismatched: float  # weight of mismatched captions
    regulariser: float  # scale of the regulariser that a generator sets itself, 0 to 1
    beta2: float
    condition: float  # scale of the caption vectors in both networks, 0 to 1
    augmentation: float  # probability of each kind
    ema_decay: float


def compute_schedule(params: TrainParams, clips_seen: int) -> ScheduleValues:
    """All schedules follow the same half cosine, as in R3GAN, arXiv:2501.05441.

    The half-life of the generator's average is at most a tenth of the run so far, so that it forgets the start. The
    caption is faded in linearly over the first part of the run: arXiv:2201.06578. The learning rates rise linearly to
    that cosine over the first `warmup_clips`, of which the step at `clips_seen` is one.
    """
    done = min(clips_seen / params.total_clips, 1.0)
    left = (1 + math.cos(math.pi * done)) / 2  # 1 -> 0

    def annealed(first: float, last: float) -> float:
        return last + (first - last) * left

    warm = min((clips_seen + params.step_clips) / params.warmup_clips, 1.0) if params.warmup_clips else 1.0
    half_life = max(min(params.ema_clips, clips_seen / 10), 1e-6)
    return ScheduleValues(
        lr_scale=warm * annealed(1.0, params.final_lr_share),
        gamma_scale=annealed(1.0, params.final_gamma_share),
        mismatched=params.mismatched * annealed(1.0, params.final_mismatched_share),
        regulariser=annealed(0.0, 1.0) ** 2,  # late: layers have to find their motion before it is penalised
        beta2=annealed(*params.beta2),
        condition=min(done / params.condition_ramp, 1.0) if params.condition_ramp else 1.0,
        augmentation=annealed(*params.augmentation.probability),
        ema_decay=0.5 ** (params.step_clips / half_life),
    )


def list_settings(params: TrainParams, schedule: ScheduleValues) -> MetricRow:
    """The settings of one step, for a row of the history."""
    row = {"lr/generator": params.generator_lr * schedule.lr_scale, "ema/decay": schedule.ema_decay}
    if params.method == "flow":
        return row
    row |= {"lr/discriminator": params.discriminator_lr * schedule.lr_scale}
    row |= {f"gamma/{name}": gamma * schedule.gamma_scale for name, gamma in params.penalties.items()}
    if any(params.augmentation.probability):
        row["augmentation/probability"] = schedule.augmentation
    return row


@dataclass(frozen=True)
class StepContext:
    """The settings of one step and its random numbers."""

    params: TrainParams
    schedule: ScheduleValues
    gammas: dict[str, float]  # of the penalties that are due in this step, times `penalty_every`
    rng: SharedRng
    shown: slice  # the frames that the discriminator is shown; no others are generated

    def penalised(self, rows: Tensor) -> Tensor:
        """The rows of a batch at which penalties are taken; the tensor itself if these are all rows."""
        return rows if self.params.penalty_shrink == 1 else rows[:: self.params.penalty_shrink]

    @property
    def penalty_rng(self) -> SharedRng:
        """Random numbers for the penalised rows."""
        share = self.rng.share
        return replace(self.rng, share=slice(share.start, share.stop, self.params.penalty_shrink))

    def encode(self, model: CaptionedDiscriminator | TextToVideo, token_ids: Tensor) -> Tensor:
        """The vectors of captions [B,E] by the encoder of `model`, scaled as the schedule says."""
        cond: Tensor = model.caption_encoder(token_ids) * self.schedule.condition
        return cond

    def real(self, batch: Batch) -> Tensor:
        """The real clips of a batch, with the frames that are shown."""
        return to_training(batch.frames[:, self.shown])

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """A context with the precision that params ask for."""
        with torch.autocast(self.rng.device.type, torch.bfloat16, self.params.precision == "bf16"):
            yield

    def augment(self, frames: Tensor) -> Tensor:
        """Clips with the augmentation that the discriminator sees."""
        probability = self.schedule.augmentation
        return augment(frames, probability, self.params.augmentation, self.rng) if probability > 0 else frames


class Objective(NamedTuple):
    """Both take (discriminator, real, fake, batch, context), with augmented clips."""

    discriminator: Callable[[CaptionedDiscriminator, Tensor, Tensor, Batch, StepContext], tuple[Tensor, Values]]
    generator: Callable[[CaptionedDiscriminator, Tensor, Tensor, Batch, StepContext], Tensor]


def choose_frames(stride: int) -> slice:
    """Every `stride`-th frame, starting at a random one of the first `stride`.

    Discriminators learn from few frames of a clip: from every stride-th one in TGANv2, Saito et al. 2018,
    arXiv:1811.09245; from three in StyleGAN-V, Skorokhodov et al. 2021, arXiv:2112.14683. Here they are evenly spaced,
    so that speeds can be judged; in the course of a run, all frames are shown.
    """
    return ALL_FRAMES if stride == 1 else slice(int(torch.randint(stride, ()).numpy()), None, stride)


def discriminator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
) -> tuple[Tensor, Values]:
    """Adversarial loss, matching and penalties as one loss, for a single backward pass."""
    loss, values, outputs = compare_clips(discriminator, *require_gradients(real, fake, context.gammas), batch, context)
    return add_penalties(loss, values, outputs, context)


def compare_clips(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
) -> tuple[Tensor, Values, DiscriminatorOutputs]:
    """Adversarial loss and matching without penalties, values to log, and the outputs that penalties need."""
    # In one batch: a recurrent encoder takes hardly longer for twice the captions.
    cond, others = context.encode(discriminator, torch.cat((batch.token_ids, batch.mismatched_ids))).chunk(2)
    on_real = read_clips(discriminator.clip_discriminator, real, cond, context, "r1")
    on_fake = read_clips(discriminator.clip_discriminator, fake, cond, context, "r2")
    fake_logits, real_logits = on_fake.score(), on_real.score()
    adversarial = find_adversarial(context.params.adversarial).discriminator
    losses = adversarial(real_logits, fake_logits)
    values = {"loss/discriminator": losses.mean(), "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean()}
    if context.schedule.mismatched > 0:
        mismatched_logits = discriminator.clip_discriminator.compute_logits(on_real.features, others)
        mismatches = batch.mismatches()
        weight = context.schedule.mismatched * mismatches
        losses = find_matching(context.params.matching)(
            adversarial, real_logits, fake_logits, mismatched_logits, weight
        )
        values["loss/matching"] = _average_mismatches(softplus(mismatched_logits - real_logits), mismatches)
    outputs = collect_outputs(on_real, on_fake, real_logits, fake_logits, context)
    return losses.mean(), values, outputs


def _average_mismatches(losses: Tensor, mismatches: Tensor) -> Tensor:
    """The mean of `losses` [B] over the rows whose mismatched caption differs from their own; log 2 if none does.

    log 2 is what a discriminator gets that ignores captions, whatever the kind of matching loss.
    """
    count = mismatches.sum()
    mean = (losses * mismatches).sum() / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.full_like(mean, math.log(2)))


@dataclass(frozen=True)
class ClipReading:
    """A discriminator's features of B clips."""

    model: Discriminator
    cond: Tensor  # [B,E]
    features: Tensor  # [B,F]
    penalised: Tensor  # [b,C,T,H,W], the clips at which penalties are taken: all, or every k-th
    perturbed_features: Tensor | None = None  # of the same with noise, for finite differences [b,F]

    def score(self) -> Tensor:
        """The logits [B]."""
        return self.model.compute_logits(self.features, self.cond)

    def score_perturbed(self, context: StepContext) -> Tensor | None:
        """The logits of the clips with noise [b]."""
        if self.perturbed_features is None:
            return None
        return self.model.compute_logits(self.perturbed_features, context.penalised(self.cond))


def read_clips(model: Discriminator, frames: Tensor, cond: Tensor, context: StepContext, penalty: str) -> ClipReading:
    """One pass over the clips; two, of these and of the rest, if `penalty`, r1 or r2, is taken at some only.

    Passes whose gradients are penalised run in float32 and uncompiled, since compiled code cannot be differentiated
    twice. Finite differences over small steps are float32 as well; clips with noise are in one batch with those that
    they are compared with.
    """
    perturbed, differentiated = f"{penalty}_fd" in context.gammas, needs_gradient(context.gammas, penalty)
    shrink, penalised = context.params.penalty_shrink, context.penalised(frames)
    if not (perturbed or differentiated):
        with context.autocast():
            return ClipReading(model, cond, model.extract_features(frames), penalised)
    exact = differentiated or context.params.penalty_sigma < FINEST_IN_BF16
    with in_float32(frames) if exact else context.autocast(), uncompiled() if differentiated else nullcontext():
        if perturbed:
            both = torch.cat((penalised, perturb_clips(penalised, context.penalty_rng, context.params.penalty_sigma)))
            features, of_perturbed = model.extract_features(both).chunk(2)
        else:
            features, of_perturbed = model.extract_features(penalised), None
    if shrink > 1:
        others = frames.detach().reshape(-1, shrink, *frames.shape[1:])[:, 1:].flatten(0, 1)
        with context.autocast():
            of_others = model.extract_features(others)
        whole = torch.cat((features[:, None], of_others.reshape(-1, shrink - 1, *of_others.shape[1:])), 1)
        features = whole.flatten(0, 1)
    return ClipReading(model, cond, features, penalised, of_perturbed)


def collect_outputs(
    real: ClipReading, fake: ClipReading, real_logits: Tensor, fake_logits: Tensor, context: StepContext
) -> DiscriminatorOutputs:
    """The inputs of the penalties."""
    return DiscriminatorOutputs(
        real.model,
        context.penalised(real.cond),
        real.penalised,
        fake.penalised,
        context.penalised(real_logits),
        context.penalised(fake_logits),
        context.penalty_rng,
        context.params.penalty_sigma,
        perturbed_real_logits=real.score_perturbed(context),
        perturbed_fake_logits=fake.score_perturbed(context),
    )


def generator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
) -> Tensor:
    """The generator's loss; `fake` gets a gradient, the discriminator's weights do not."""
    adversarial = find_adversarial(context.params.adversarial)
    with frozen(discriminator):
        cond = context.encode(discriminator, batch.token_ids)
        with context.autocast():
            shown = [real, fake] if adversarial.generator_reads_real else [fake]
            logits = [discriminator.clip_discriminator(clips, cond) for clips in shown]
    return adversarial.generator(logits[0], logits[-1]).mean()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Within the block, the weights of `model` get no gradient, and nothing is kept in memory for one."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def uncompiled() -> AbstractContextManager[None]:
    """A context in which compiled modules run uncompiled."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def require_gradients(real: Tensor, fake: Tensor, names: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Both clips as leaves, requiring gradients if one of these penalties differentiates at them."""
    of_real, of_fake = needs_gradient(names, "r1"), needs_gradient(names, "r2")
    return real.detach().requires_grad_(of_real), fake.detach().requires_grad_(of_fake)


def add_penalties(
    loss: Tensor, values: Values, outputs: DiscriminatorOutputs, context: StepContext
) -> tuple[Tensor, Values]:
    """The loss plus every penalty that has a gamma, and the values to log with these penalties.

    Their sum is logged as it counts on average over the steps with and without penalties, comparable to the losses.
    """
    gammas = context.gammas
    if not gammas:
        return loss, values
    with uncompiled():
        penalties = {name: check_penalty(name, find_penalty(name)(outputs), outputs).mean() for name in gammas}
    whole = torch.stack([gammas[name] * penalty for name, penalty in penalties.items()]).sum()
    values = values | {f"penalty/{name}": penalty for name, penalty in penalties.items()}
    return loss + whole, values | {"loss/penalties": whole / context.params.penalty_every}


def mixed_discriminator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
) -> tuple[Tensor, Values]:
    """The error of the predicted shares of real clips in mixed groups, that of mismatched captions, and penalties.

    `r1` is taken at the groups and `r2` at their complements.
    """
    group_loss, group = find_group_loss(context.params.mixed.loss), context.params.mixed.group
    is_real = _some_rows(context)
    shares = realised_shares(is_real, group)
    mixed, rest = require_gradients(*_mix(real, fake, is_real), context.gammas)
    cond = context.encode(discriminator, batch.token_ids)
    on_mixed = read_clips(discriminator.clip_discriminator, mixed, cond, context, "r1")
    on_rest = read_clips(discriminator.clip_discriminator, rest, cond, context, "r2")
    mixed_logits, rest_logits = on_mixed.score(), on_rest.score()
    values = {
        "loss/discriminator": (group_loss(mixed_logits, shares) + group_loss(rest_logits, 1 - shares)).mean() / 2,
        "logits/real": torch.where(is_real, mixed_logits, rest_logits).mean(),
        "logits/fake": torch.where(is_real, rest_logits, mixed_logits).mean(),
    }
    loss = values["loss/discriminator"]
    if context.schedule.mismatched > 0:
        values["loss/matching"] = _caption_loss(discriminator, real, batch, context)
        loss = loss + context.schedule.mismatched * values["loss/matching"]
    outputs = collect_outputs(on_mixed, on_rest, mixed_logits, rest_logits, context)
    return add_penalties(loss, values, outputs, context)


def mixed_generator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
) -> Tensor:
    """How far predictions for the groups are from "all real"; the discriminator's weights get no gradient."""
    group_loss, all_real = (
        find_group_loss(context.params.mixed.loss),
        real.new_ones(len(real) // context.params.mixed.group),
    )
    with frozen(discriminator):
        cond = context.encode(discriminator, batch.token_ids)
        with context.autocast():
            logits = [discriminator.clip_discriminator(clips, cond) for clips in _mix(real, fake, _some_rows(context))]
    return torch.stack([group_loss(each, all_real).mean() for each in logits]).mean()


def _caption_loss(discriminator: CaptionedDiscriminator, real: Tensor, batch: Batch, context: StepContext) -> Tensor:
    """The same loss on real clips, some with another clip's caption: these count as not real.

    A caption that reads the same as the clip's own counts as its own.
    """
    own = _some_rows(context) | (batch.mismatches() == 0)
    token_ids = torch.where(own[:, None], batch.token_ids, batch.mismatched_ids)
    cond = context.encode(discriminator, token_ids)
    with context.autocast():
        logits = discriminator.clip_discriminator(real, cond)
    return find_group_loss(context.params.mixed.loss)(logits, realised_shares(own, context.params.mixed.group)).mean()


def _some_rows(context: StepContext) -> Tensor:
    """Which rows of each group are real, with randomly drawn shares: bool [B]."""
    shares = spread_shares(context.rng.uniform()[:: context.params.mixed.group], context.params.mixed.edge)
    return first_rows(shares, context.params.mixed.group)


def _mix(real: Tensor, fake: Tensor, is_real: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of real clips in some rows and generated ones in the others, and their complements."""
    chosen = per_clip(is_real)
    return torch.where(chosen, real, fake), torch.where(chosen, fake, real)


def check_references(params: TrainParams) -> None:
    """Raise UserError if a reference in the section `train` is not what it should be, before any work."""
    check_losses(params.adversarial, params.matching, params.mixed.loss)
    for name in params.penalties:
        find_penalty(name)
    find_generator(params)
    find_discriminator(params.discriminator)
    find_caption_encoder(params.captions)
