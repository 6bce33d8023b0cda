"""What a generator of one's own does that no loss shows: values that no clip has, and random numbers of its own."""

import torch

from pipeline.models.networks import FlowGenerator, TextToVideo
from pipeline.records import UNKNOWN_ID

CLIPS = 2
FAR, SHARE = 1.5, 0.01  # absolute values, and the share of them, that rounding and overshooting do not explain


def find_oddities(network: TextToVideo, *, trained: bool) -> dict[str, str]:
    """Kind of oddity -> a message about the clips of a generator; draws no random numbers that training would miss.

    The values of a generator trained by flow matching are those of clips only after training.
    """
    device = next(network.parameters()).device
    z = torch.randn(CLIPS, network.z_width, generator=torch.Generator().manual_seed(0)).to(device)
    words = torch.full((CLIPS, 1), UNKNOWN_ID, device=device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        first, second = (network(z, words) for _ in range(2))
    found = {}
    if not torch.equal(first.nan_to_num(), second.nan_to_num()):
        way = "take all randomness from z, and let dropout rest in eval mode"
        found["noise"] = f"returns other clips for the same noise, so that no seed makes a sample again; {way}"
    far = (first.abs() > FAR).float().mean().item()
    if far > SHARE and (trained or not isinstance(network.generator, FlowGenerator)):
        span = f"values from {first.min().item():.3g} to {first.max().item():.3g}"
        way = "end it with a tanh, or divide by what the frames were multiplied by"
        found["range"] = f"returns {span}, where clips have -1 to 1: samples are cut off there, losses are not; {way}"
    return found
