"""What each network of a run is asked to minimise on one batch."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipeline.data.batches import Batch
from pipeline.losses.adversarial import ADVERSARIAL, MATCHING
from pipeline.losses.mixed_batches import MIXED_BATCHES, first_rows, realised_shares, spread_shares
from pipeline.losses.penalties import PENALTIES, Draws, Judged
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.params import PenaltyName, TrainParams
from pipeline.training.augmentation import augment
from pipeline.training.schedules import Moment

Values = dict[str, Tensor]  # scalars by name, for the report


@dataclass(frozen=True)
class Terms:
    """The settings of one step, and where its random numbers come from."""

    params: TrainParams
    now: Moment
    gammas: dict[str, float]  # of the penalties that are due; empty in the steps between
    draws: Draws

    @contextmanager
    def passes(self, *readers: PenaltyName) -> Iterator[None]:
        """Networks are run within as params say, but in float32 and uncompiled where one of these penalties is due.

        Their slopes are small differences, and compiled code cannot be differentiated twice.
        """
        exact = not self.gammas.keys().isdisjoint(readers)
        lowered = torch.autocast(self.draws.device.type, torch.bfloat16, self.params.precision == "bf16" and not exact)
        with lowered, uncompiled() if exact else nullcontext():
            yield

    def augmented(self, frames: Tensor) -> Tensor:
        """Clips as the discriminator gets to see them."""
        return augment(frames, self.now.augmentation, self.params.augmentation, self.draws)


class Objective(NamedTuple):
    """Both take (discriminator, real, fake, batch, terms): clips as the discriminator gets to see them."""

    discriminator: Callable[[CaptionedDiscriminator, Tensor, Tensor, Batch, Terms], tuple[Tensor, Values]]
    generator: Callable[[CaptionedDiscriminator, Tensor, Tensor, Batch, Terms], Tensor]


def discriminator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, terms: Terms
) -> tuple[Tensor, Values]:
    """Adversarial loss, matching and penalties as one loss, so that one backward serves all of them."""
    real, fake = sensitive(real, fake, terms.gammas)
    # Read together: a recurrent encoder takes hardly longer for twice the captions.
    both = discriminator.captions(torch.cat((batch.token_ids, batch.mismatched_ids))) * terms.now.condition
    cond, others = both.chunk(2)
    with terms.passes("r1", "r1_fd"):
        features = discriminator.clips.describe(real)
    with terms.passes("r2", "r2_fd"):
        on_fake = discriminator.clips(fake, cond)
    on_real = discriminator.clips.score(features, cond)
    adversarial = ADVERSARIAL[terms.params.adversarial].discriminator
    losses = adversarial(on_real, on_fake)
    values = {"loss/discriminator": losses.mean(), "logits/real": on_real.mean(), "logits/fake": on_fake.mean()}
    if terms.now.mismatched > 0:
        on_mismatched = discriminator.clips.score(features, others)
        weight = terms.now.mismatched * batch.mismatches()
        losses = MATCHING[terms.params.matching](adversarial, on_real, on_fake, on_mismatched, weight)
        values["loss/matching"] = softplus(on_mismatched - on_real).mean()  # of any kind: log 2 where none is heard
    judged = Judged(
        discriminator.clips, cond, real, fake, on_real, on_fake, terms.draws, sigma=terms.params.penalty_sigma
    )
    return add_penalties(losses.mean(), values, judged, terms.gammas)


def generator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, terms: Terms
) -> Tensor:
    """The generator's loss; gradients reach `fake` but not the discriminator."""
    with frozen(discriminator):
        cond = discriminator.captions(batch.token_ids) * terms.now.condition
        with terms.passes():
            on_real, on_fake = discriminator.clips(real, cond), discriminator.clips(fake, cond)
    return ADVERSARIAL[terms.params.adversarial].generator(on_real, on_fake).mean()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """What `model` computes within has no gradient in its weights, and keeps nothing in memory for one."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def uncompiled() -> AbstractContextManager[None]:
    """Within, what was compiled runs as it was before."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def sensitive(real: Tensor, fake: Tensor, names: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Both clips as starts of graphs, requiring their gradients where one of these penalties takes it."""
    return real.detach().requires_grad_("r1" in names), fake.detach().requires_grad_("r2" in names)


def add_penalties(loss: Tensor, values: Values, judged: Judged, gammas: dict[str, float]) -> tuple[Tensor, Values]:
    """The loss with every penalty that has a gamma, and the values with what they came to."""
    if not gammas:
        return loss, values
    with uncompiled():
        slopes = {name: PENALTIES[name](judged).mean() for name in gammas}
    whole = torch.stack([gammas[name] * slope for name, slope in slopes.items()]).sum()
    values = values | {f"penalty/{name}": slope for name, slope in slopes.items()} | {"loss/penalties": whole}
    return loss + whole, values


def mixed_discriminator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, terms: Terms
) -> tuple[Tensor, Values]:
    """How wrong the shares are that the discriminator tells of groups of clips, and of captions; and penalties.

    Of the penalties, `r1` is taken at the groups and `r2` at their counterparts.
    """
    loss_of, group = MIXED_BATCHES[terms.params.mixed.loss], terms.params.mixed.group
    is_real = _some_rows(terms)
    shares = realised_shares(is_real, group)
    mixed, rest = sensitive(*_mix(real, fake, is_real), terms.gammas)
    cond = discriminator.captions(batch.token_ids) * terms.now.condition
    with terms.passes("r1", "r1_fd"):
        on_mixed = discriminator.clips(mixed, cond)
    with terms.passes("r2", "r2_fd"):
        on_rest = discriminator.clips(rest, cond)
    values = {
        "loss/discriminator": (loss_of(on_mixed, shares) + loss_of(on_rest, 1 - shares)).mean() / 2,
        "logits/real": torch.where(is_real, on_mixed, on_rest).mean(),
        "logits/fake": torch.where(is_real, on_rest, on_mixed).mean(),
    }
    loss = values["loss/discriminator"]
    if terms.now.mismatched > 0:
        values["loss/matching"] = _caption_loss(discriminator, real, batch, terms)
        loss = loss + terms.now.mismatched * values["loss/matching"]
    judged = Judged(
        discriminator.clips, cond, mixed, rest, on_mixed, on_rest, terms.draws, sigma=terms.params.penalty_sigma
    )
    return add_penalties(loss, values, judged, terms.gammas)


def mixed_generator_loss(
    discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, terms: Terms
) -> Tensor:
    """How far the answers on the groups are from "all real"; gradients reach `fake` but not the discriminator."""
    loss_of, all_real = MIXED_BATCHES[terms.params.mixed.loss], real.new_ones(len(real) // terms.params.mixed.group)
    with frozen(discriminator):
        cond = discriminator.captions(batch.token_ids) * terms.now.condition
        with terms.passes():
            logits = [discriminator.clips(clips, cond) for clips in _mix(real, fake, _some_rows(terms))]
    return torch.stack([loss_of(each, all_real).mean() for each in logits]).mean()


def _caption_loss(discriminator: CaptionedDiscriminator, real: Tensor, batch: Batch, terms: Terms) -> Tensor:
    """The same with real clips alone, of which some have another clip's caption: those count as not real.

    A caption that reads the same as the clip's own counts as that.
    """
    own = _some_rows(terms) | (batch.mismatches() == 0)
    token_ids = torch.where(own[:, None], batch.token_ids, batch.mismatched_ids)
    cond = discriminator.captions(token_ids) * terms.now.condition
    with terms.passes():
        logits = discriminator.clips(real, cond)
    return MIXED_BATCHES[terms.params.mixed.loss](logits, realised_shares(own, terms.params.mixed.group)).mean()


def _some_rows(terms: Terms) -> Tensor:
    """Which rows of each group are real, by the law of the shares: bool [B]."""
    shares = spread_shares(terms.draws.uniform()[:: terms.params.mixed.group], terms.params.mixed.edge)
    return first_rows(shares, terms.params.mixed.group)


def _mix(real: Tensor, fake: Tensor, is_real: Tensor) -> tuple[Tensor, Tensor]:
    """Real clips in some rows and generated ones in the others, and the other way round."""
    chosen = is_real[:, None, None, None, None]
    return torch.where(chosen, real, fake), torch.where(chosen, fake, real)
