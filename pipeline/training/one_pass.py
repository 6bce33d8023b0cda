"""Both networks of a GAN updated from one pass of the discriminator: Shen et al. 2021, arXiv:2103.00430.

Each logit depends on its own clip alone. So the slopes of both losses at a generated clip are the slope of its logit,
times a number that each loss gives.
"""

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.data.batches import Batch
from pipeline.losses.adversarial import RISING, find_adversarial
from pipeline.losses.penalties import differentiates, slope_at
from pipeline.models.layers import per_clip
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.training.objectives import StepContext, add_penalties, compare_clips, sensitive

SMALLEST = 1e-30  # of what is divided by: a clip that the discriminator has no doubts about


class OnePass:
    """The discriminator's `loss` on one batch and the `values` of both networks; `fake` is the start of a graph.

    Once the loss is differentiated, also by the tensors of `leaves`, `generator_slope` is at hand.
    """

    def __init__(
        self, discriminator: CaptionedDiscriminator, real: Tensor, fake: Tensor, batch: Batch, context: StepContext
    ) -> None:
        real, _ = sensitive(real, fake, context.gammas)
        loss, values, outputs = compare_clips(discriminator, real, fake, batch, context)
        logits = outputs.fake_logits.detach().requires_grad_()
        generator = find_adversarial(context.params.adversarial).generator(outputs.real_logits.detach(), logits).mean()
        (self._wanted,) = torch.autograd.grad(generator, logits)
        self._slope: Tensor | None = None
        self.leaves: list[Tensor] = []
        if differentiates(context.gammas, "r2", "r2_fd") or context.params.adversarial not in RISING:
            self._slope = slope_at(outputs.fake_logits, fake)
            outputs = replace(outputs, fake_slope=self._slope)
        else:
            (self._had,) = torch.autograd.grad(loss, outputs.fake_logits, retain_graph=True)
            self.leaves = [fake]
        self.loss, self.values = add_penalties(loss, values | {"loss/generator": generator}, outputs, context.gammas)

    def generator_slope(self) -> Tensor:
        """The slope of the generator's loss at the generated clips [B,C,T,H,W]."""
        if self._slope is not None:
            return self._slope.detach() * per_clip(self._wanted)
        (fake,) = self.leaves
        assert fake.grad is not None
        return fake.grad * per_clip(self._wanted / self._had.clamp(min=SMALLEST))
