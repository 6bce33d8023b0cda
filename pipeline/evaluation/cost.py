"""What a sample costs on any machine: weights, and arithmetic for one clip. Seconds and bytes are no output."""

import torch

from pipeline.training.export import Model
from pipeline.training.meter import step_flops


def cost_of(model: Model) -> dict[str, float]:
    """The generator's weights, and the billions of floating-point operations that one clip takes."""
    generator = model.generator
    z, ids = torch.zeros(1, generator.z_width), torch.ones(1, model.max_tokens, dtype=torch.int64)
    with torch.no_grad():
        operations = step_flops(lambda: generator(z, ids))
    return {
        "generator_weights": sum(weight.numel() for weight in generator.parameters()),
        "gflop_per_clip": round(operations / 1e9, 4),
    }
