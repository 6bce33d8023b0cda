"""What training hands to penalties, of any function that gives logits."""

import torch

from pipeline.losses import DiscriminatorOutputs, perturb_clips


def collect_outputs(discriminator, cond, real, fake, rng, sigma):
    """Logits of perturbed clips as well; whatever draws noise draws the same."""
    clips = [each.detach().requires_grad_() for each in (real, fake)]
    logits = [discriminator(each, cond) for each in clips]
    perturbed = []
    for each in clips:
        with torch.random.fork_rng():
            perturbed.append(discriminator(perturb_clips(each, rng, sigma), cond))
    return DiscriminatorOutputs(discriminator, cond, *clips, *logits, rng, sigma, None, *perturbed)
