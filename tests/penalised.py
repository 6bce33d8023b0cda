"""What training hands to penalties, of any function that gives logits."""

import torch

from pipeline.losses.penalties import DiscriminatorOutputs, move_clips, slope_at


def collect_outputs(discriminator, cond, real, fake, rng, sigma):
    """Slopes and logits of moved clips as well; whatever draws noise draws the same."""
    clips = [each.detach().requires_grad_() for each in (real, fake)]
    logits = [discriminator(each, cond) for each in clips]
    slopes = [slope_at(*each) for each in zip(logits, clips, strict=True)]
    moved = []
    for each in clips:
        with torch.random.fork_rng():
            moved.append(discriminator(move_clips(each, rng, sigma), cond))
    return DiscriminatorOutputs(discriminator, cond, *clips, *logits, rng, sigma, *slopes, *moved)
