"""What each network is asked to minimise where real and generated clips are mixed in groups (BGAN and M-BGAN).

Each group of rows is used twice: once with some of its clips real and the others generated, and once the other way
round, so that every clip of either kind is judged. The groups of a rank lie within its own share of the batch.
"""

import torch
from torch import Tensor

from pipeline.losses.mixed_batches import MIXED_BATCHES, first_rows, realised_shares, spread_shares
from pipeline.losses.penalties import Judged
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.training.batches import Batch
from pipeline.training.objectives import Terms, Values, add_penalties, frozen, sensitive


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
