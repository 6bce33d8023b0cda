"""One training step: updates of both networks, with the settings of the schedule, and of the generator's average."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import compress

import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.nn.utils.parametrize import cached

from pipeline.data.dataset import Batch, to_training
from pipeline.errors import UserError, first_line
from pipeline.losses import RISING, SharedRng, find_adversarial, gradient_at, needs_gradient
from pipeline.models.discriminators import Trunk
from pipeline.models.layers import per_clip
from pipeline.models.networks import ALL_FRAMES, CaptionedDiscriminator, FlowGenerator, Generator, TextToVideo
from pipeline.params import TrainParams
from pipeline.training.flow import flow_loss
from pipeline.training.history import Values
from pipeline.training.objectives import (
    Objective,
    ScheduleValues,
    StepContext,
    add_penalties,
    choose_frames,
    compare_clips,
    discriminator_loss,
    generator_loss,
    mixed_discriminator_loss,
    mixed_generator_loss,
    require_gradients,
)

MIN_DERIVATIVE = 1e-30  # of the loss in a logit, which is divided by: 0 for clips the discriminator is certain about

COMPILED = (Generator, Trunk)
BETA1 = {"gan": 0.0, "flow": 0.9}  # of Adam; 0 is usual for GANs

PAIRED = Objective(discriminator_loss, generator_loss)
MIXED = Objective(mixed_discriminator_loss, mixed_generator_loss)
Averager = Callable[[Iterable[nn.Parameter]], None] | None  # averages gradients over the ranks, where there are several


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, for every parameter and buffer of floating-point numbers.

    The moments of batch norms are averaged like the weights that they belong to. Other buffers are copied.
    """
    old, new = ([*network.parameters(), *network.buffers()] for network in (average, model))
    real = [tensor.is_floating_point() for tensor in old]
    torch._foreach_lerp_(list(compress(old, real)), list(compress(new, real)), 1 - decay)
    for kept, current, is_real in zip(old, new, real, strict=True):
        if not is_real:
            kept.copy_(current)


def compile_networks(device: torch.device, *models: nn.Module) -> bool:
    """Compile the parts of the models that generate or score clips, when they are first called -> whether they will be.

    Without a working compiler, prints a notice and changes nothing. Gradients of compiled code cannot be differentiated
    again: `torch.compiler.set_stance("force_eager")` runs it uncompiled.
    """
    if reason := _obstacle(device):
        print(f"train.compile: {reason}; training goes on without", file=sys.stderr)
        return False
    for model in models:
        for part in model.modules():
            if isinstance(part, FlowGenerator):  # `forward` is a loop, of which each step is compiled by itself
                part.predict = torch.compile(part.predict, dynamic=False)  # type: ignore[method-assign]
            elif isinstance(part, COMPILED):
                part.compile(dynamic=False)
    return True


def _obstacle(device: torch.device) -> str:
    """Why nothing can be compiled for `device`, found by a trial; empty if it can."""
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except BackendCompilerFailed as error:
        return first_line(error)
    return ""


class Networks:
    """The networks of a run and their optimizers, on one device; method flow has no discriminator."""

    discriminator: CaptionedDiscriminator | None
    discriminator_adam: torch.optim.Adam | None

    def __init__(
        self,
        generator: TextToVideo,
        discriminator: CaptionedDiscriminator | None,
        average: TextToVideo,
        params: TrainParams,
    ) -> None:
        self.generator, self.discriminator, self.average = (
            generator,
            discriminator,
            average.requires_grad_(False).eval(),
        )
        if params.compile:
            compile_networks(next(generator.parameters()).device, *self.trained.values())
        self.generator_adam = _adam(generator, params.generator_lr)
        self.discriminator_adam = None if discriminator is None else _adam(discriminator, params.discriminator_lr)

    @property
    def trained(self) -> dict[str, TextToVideo | CaptionedDiscriminator]:
        """The networks that have an optimizer, by name."""
        if self.discriminator is None:
            return {"generator": self.generator}
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def adams(self) -> list[torch.optim.Adam]:
        """The optimizers of `trained`, in the same order."""
        return [adam for adam in (self.generator_adam, self.discriminator_adam) if adam is not None]

    def state(self) -> dict[str, dict[str, object]]:
        return {name: part.state_dict() for name, part in vars(self).items() if part is not None}

    def load(self, state: dict[str, dict[str, object]]) -> None:
        for name, part in vars(self).items():
            if part is not None:
                part.load_state_dict(state[name])

    def finite(self) -> bool:
        """Whether all weights are finite numbers; waits for the device."""
        models: tuple[nn.Module, ...] = (*self.trained.values(), self.average)
        return bool(torch.stack([p.isfinite().all() for model in models for p in model.parameters()]).all())

    def set_rates(self, params: TrainParams, schedule: ScheduleValues) -> None:
        for adam, lr in zip(self.adams, (params.generator_lr, params.discriminator_lr), strict=False):
            for group in adam.param_groups:
                group["lr"], group["betas"] = lr * schedule.lr_scale, (BETA1[params.method], schedule.beta2)


def train_step(
    nets: Networks,
    batches: Sequence[Batch],
    params: TrainParams,
    schedule: ScheduleValues,
    rng: SharedRng,
    *,
    penalise: bool,
    average_gradients: Averager,
) -> Values:
    """Update the networks and the average in place -> means over the batch by name, each a scalar without gradient.

    `batches` has one batch for each update of the network that is updated more often; the values are of the last one.
    """
    nets.set_rates(params, schedule)
    multiplier = schedule.gamma_scale * params.penalty_every if penalise else 0.0
    weighted = {name: gamma * multiplier for name, gamma in params.penalties.items()}
    gammas = {name: gamma for name, gamma in weighted.items() if gamma > 0}
    shown = choose_frames(params.discriminator.frame_stride) if params.method == "gan" else ALL_FRAMES
    context = StepContext(params, schedule, gammas, rng, shown)
    values = UPDATES[params.updates if params.method == "gan" else params.method](
        nets, batches, context, average_gradients
    )
    update_average(nets.average, nets.generator, schedule.ema_decay)
    return {name: value.detach() for name, value in values.items()}


def _update_flow(nets: Networks, batches: Sequence[Batch], context: StepContext, average_gradients: Averager) -> Values:
    values: Values = {}
    for batch in batches:
        loss, values = flow_loss(nets.generator, to_training(batch.frames), batch, context)
        norm = _update(loss, nets.generator, nets.generator_adam, context, average_gradients)
        values["gradient/generator"] = norm
    return values


def _update_together(
    nets: Networks, batches: Sequence[Batch], context: StepContext, average_gradients: Averager
) -> Values:
    assert nets.discriminator is not None and nets.discriminator_adam is not None
    (batch,) = batches
    real, drawn = context.augment(context.real(batch)), context.augment(_draw(nets, batch, context))
    with cached():
        fake = drawn.detach().requires_grad_()
        passes = OnePass(nets.discriminator, real, fake, batch, context)
    norms = {
        "gradient/discriminator": _update(
            passes.loss, nets.discriminator, nets.discriminator_adam, context, average_gradients, also=passes.leaves
        )
    }
    gradient = passes.generator_gradient()
    # The sum has this gradient at the clips.
    loss, values = _regularise((drawn * gradient).sum(), nets, context)
    norms["gradient/generator"] = _update(loss, nets.generator, nets.generator_adam, context, average_gradients)
    return passes.values | values | norms


class OnePass:
    """Both networks of a GAN from one pass of the discriminator: Shen et al. 2021, arXiv:2103.00430.

    Each logit depends on its own clip alone. So the gradients of both losses at a generated clip are the gradient of
    its logit times the derivative of the loss in that logit.

    `loss` is the discriminator's on one batch, `values` are those of both networks, `fake` is a leaf. Once the loss has
    been differentiated, also with respect to `leaves`, `generator_gradient` is available.
    """

    def __init__(
        self, discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
    ) -> None:
        real, _ = require_gradients(real, fake, context.gammas)
        loss, values, outputs = compare_clips(discriminator, real, fake, batch, context)
        logits = outputs.fake_logits.detach().requires_grad_()
        generator = find_adversarial(context.params.adversarial).generator(outputs.real_logits.detach(), logits).mean()
        (self._generator_gradient,) = torch.autograd.grad(generator, logits)
        self._logit_gradient: Tensor | None = None
        self.leaves: list[Tensor] = []
        if needs_gradient(context.gammas, "r2", "r2_fd") or context.params.adversarial not in RISING:
            self._logit_gradient = gradient_at(outputs.fake_logits, fake)
            outputs = replace(outputs, fake_gradient=self._logit_gradient)
        else:
            (self._discriminator_gradient,) = torch.autograd.grad(loss, outputs.fake_logits, retain_graph=True)
            self.leaves = [fake]
        self.loss, self.values = add_penalties(loss, values | {"loss/generator": generator}, outputs, context)

    def generator_gradient(self) -> Tensor:
        """The gradient of the generator's loss at the generated clips [B,C,T,H,W]."""
        if self._logit_gradient is not None:
            return self._logit_gradient.detach() * per_clip(self._generator_gradient)
        (fake,) = self.leaves
        assert fake.grad is not None
        return fake.grad * per_clip(self._generator_gradient / self._discriminator_gradient.clamp(min=MIN_DERIVATIVE))


def _update_in_turn(
    nets: Networks, batches: Sequence[Batch], context: StepContext, average_gradients: Averager
) -> Values:
    params = context.params
    *earlier, last = batches[-params.discriminator_steps :]
    for batch in earlier:
        with torch.no_grad():
            fake = _draw(nets, batch, context)
        _update_discriminator(nets, context.real(batch), fake, batch, context, average_gradients)
    real, fake = context.real(last), _draw(nets, last, context)
    values = _update_discriminator(nets, real, fake, last, context, average_gradients)
    # The same fakes serve the generator: only the discriminator has changed since they were generated.
    values |= _update_generator(nets, real, fake, last, context, average_gradients)
    for batch in batches[-params.generator_steps : -1]:
        real, fake = context.real(batch), _draw(nets, batch, context)
        values |= _update_generator(nets, real, fake, batch, context, average_gradients)
    return values


UPDATES = {"flow": _update_flow, "in_turn": _update_in_turn, "together": _update_together}


def _draw(nets: Networks, batch: Batch, context: StepContext) -> Tensor:
    with context.autocast():
        fake: Tensor = nets.generator(batch.z, batch.token_ids, context.schedule.condition, context.shown)
    return fake


def _update_discriminator(
    nets: Networks, real: Tensor, fake: Tensor, batch: Batch, context: StepContext, average_gradients: Averager
) -> Values:
    assert nets.discriminator is not None and nets.discriminator_adam is not None
    real, fake = context.augment(real), context.augment(fake.detach())
    with cached():  # spectrally normalised weights are computed once per loss
        loss, values = _objective(context).discriminator(nets.discriminator, real, fake, batch, context)
    norm = _update(loss, nets.discriminator, nets.discriminator_adam, context, average_gradients)
    return values | {"gradient/discriminator": norm}


def _update_generator(
    nets: Networks, real: Tensor, fake: Tensor, batch: Batch, context: StepContext, average_gradients: Averager
) -> Values:
    assert nets.discriminator is not None
    real, fake = context.augment(real), context.augment(fake)
    with cached():
        loss = _objective(context).generator(nets.discriminator, real, fake, batch, context)
    whole, values = _regularise(loss, nets, context)
    norm = _update(whole, nets.generator, nets.generator_adam, context, average_gradients)
    return values | {"loss/generator": loss, "gradient/generator": norm}


def _regularise(loss: Tensor, nets: Networks, context: StepContext) -> tuple[Tensor, Values]:
    """Add to the loss what the generator set in its last forward pass; and that, by the name it is logged under."""
    regulariser = nets.generator.generator.regulariser
    if regulariser is None:
        return loss, {}
    return loss + context.schedule.regulariser * regulariser, {"loss/regulariser": regulariser}


def _objective(context: StepContext) -> Objective:
    return PAIRED if context.params.mixed.loss == "none" else MIXED


def _adam(model: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=lr, betas=(0.0, 0.9), eps=1e-8, fused=True)


def _update(
    loss: Tensor,
    model: nn.Module,
    adam: torch.optim.Adam,
    context: StepContext,
    average_gradients: Averager,
    also: Sequence[Tensor] = (),
) -> Tensor:
    """One update along the gradient of `loss` -> the norm of the gradient in all weights, before any clipping.

    The tensors in `also` get a gradient besides the weights. Nothing else does: penalised clips require one for their
    penalties only.
    """
    if not loss.requires_grad:
        way = "compute the clips by torch alone, without detach, numpy or no_grad"
        raise UserError(f"train: the loss does not depend on the weights of {type(model).__name__}: {way}")
    adam.zero_grad(set_to_none=True)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.autograd.backward(loss, inputs=[*weights, *also])
    if average_gradients is not None:
        average_gradients(model.parameters())
    norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if context.params.max_gradient_norm is not None:
        clip_grads_with_norm_(weights, context.params.max_gradient_norm, norm)
    adam.step()
    return norm
