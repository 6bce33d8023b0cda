"""One step: the discriminator is updated once, then the generator."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pipeline.losses.adversarial import ADVERSARIAL
from pipeline.losses.matching import relativistic_matching
from pipeline.losses.penalties import PENALTIES
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import TrainParams
from pipeline.training.batches import Batch, to_training
from pipeline.training.ema import update_average
from pipeline.training.schedules import Moment

Averager = Callable[[Iterable[nn.Parameter]], None]  # averages gradients over the ranks


class Networks:
    """The networks of a run and their optimizers, on one device."""

    def __init__(
        self, generator: TextToVideo, discriminator: CaptionedDiscriminator, average: TextToVideo, params: TrainParams
    ) -> None:
        self.generator, self.discriminator, self.average = generator, discriminator, average.requires_grad_(False)
        self.generator_adam = _adam(generator, params.generator_lr)
        self.discriminator_adam = _adam(discriminator, params.discriminator_lr)

    def state(self) -> dict[str, dict[str, object]]:
        return {name: part.state_dict() for name, part in vars(self).items()}

    def load(self, state: dict[str, dict[str, object]]) -> None:
        for name, part in vars(self).items():
            part.load_state_dict(state[name])

    def finite(self) -> bool:
        """Whether all weights are finite numbers; waits for the device."""
        models: tuple[nn.Module, ...] = (self.generator, self.discriminator, self.average)
        return bool(torch.stack([p.isfinite().all() for model in models for p in model.parameters()]).all())

    def set_rates(self, params: TrainParams, now: Moment) -> None:
        for adam, lr in (
            (self.generator_adam, params.generator_lr),
            (self.discriminator_adam, params.discriminator_lr),
        ):
            for group in adam.param_groups:
                group["lr"], group["betas"] = lr * now.lr_share, (0.0, now.beta2)


def train_step(
    nets: Networks, batch: Batch, params: TrainParams, now: Moment, *, penalise: bool, average_gradients: Averager
) -> dict[str, Tensor]:
    """Update both networks and the average in place -> means over the batch by name, each a scalar without gradient."""
    nets.set_rates(params, now)
    real = to_training(batch.frames)
    fake = nets.generator(batch.z, batch.token_ids)
    share = now.gamma_share * params.penalty_every if penalise else 0.0
    weights: dict[str, float] = {name: gamma * share for name, gamma in params.penalties.items() if gamma * share > 0}
    loss, values = discriminator_loss(nets.discriminator, real, fake.detach(), batch, params, weights)
    _update(loss, nets.discriminator, nets.discriminator_adam, average_gradients)
    # The fakes are used again: only the discriminator has changed since they were made.
    values["loss/generator"] = generator_loss(nets.discriminator, real, fake, batch, params)
    _update(values["loss/generator"], nets.generator, nets.generator_adam, average_gradients)
    update_average(nets.average, nets.generator, now.ema_decay)
    return {name: value.detach() for name, value in values.items()}


def discriminator_loss(
    discriminator: CaptionedDiscriminator,
    real: Tensor,
    fake: Tensor,
    batch: Batch,
    params: TrainParams,
    weights: dict[str, float],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Adversarial + matching + penalties as one loss, so that one backward serves all of them."""
    cond = discriminator.captions(batch.token_ids)
    features = discriminator.clips.describe(real)
    on_real, on_fake = discriminator.clips.score(features, cond), discriminator.clips(fake, cond)
    values = {
        "loss/discriminator": ADVERSARIAL[params.adversarial].discriminator(on_real, on_fake).mean(),
        "logits/real": on_real.mean(),
        "logits/fake": on_fake.mean(),
    }
    loss = values["loss/discriminator"]
    if params.mismatched > 0:
        on_mismatched = discriminator.clips.score(features, discriminator.captions(batch.mismatched_ids))
        values["loss/matching"] = relativistic_matching(on_real, on_mismatched).mean()
        loss = loss + params.mismatched * values["loss/matching"]
    if weights:
        slopes = {name: PENALTIES[name](discriminator.clips, real, fake, cond).mean() for name in weights}
        values |= {f"penalty/{name}": slope for name, slope in slopes.items()}
        values["loss/penalties"] = torch.stack([weights[name] * slope for name, slope in slopes.items()]).sum()
        loss = loss + values["loss/penalties"]
    return loss, values


def generator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, params: TrainParams
) -> Tensor:
    """The generator's loss; gradients reach `fake` but not the discriminator."""
    discriminator.requires_grad_(False)
    cond = discriminator.captions(batch.token_ids)
    on_real, on_fake = discriminator.clips(real, cond), discriminator.clips(fake, cond)
    discriminator.requires_grad_(True)
    return ADVERSARIAL[params.adversarial].generator(on_real, on_fake).mean()


def _adam(model: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=lr, betas=(0.0, 0.9), eps=1e-8, fused=True)


def _update(loss: Tensor, model: nn.Module, adam: torch.optim.Adam, average_gradients: Averager) -> None:
    adam.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    average_gradients(model.parameters())
    adam.step()
