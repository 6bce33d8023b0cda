"""The sensitivity of a generator's clips to its parameters."""

import copy

import numpy as np
import torch
from torch import Tensor

from pipeline.models.networks import TextToVideo


def measure_slopes(network: TextToVideo, z: Tensor, ids: Tensor) -> dict[str, float]:
    """Root mean square slopes of the clamped pixels with respect to each parameter, by name; z [B,Z], ids [B,L].

    Squares are summed over pixels and averaged over the parameter's values. They are estimated by the gradient of the
    sum of pixels with random signs (Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix").
    Clip by clip, since gradients keep the activations of all layers in memory.
    """
    network = copy.deepcopy(network).requires_grad_()
    rng = np.random.default_rng(0)
    for clip in range(len(z)):
        frames = network(z[clip : clip + 1], ids[clip : clip + 1]).clamp(-1, 1)
        signs = torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), frames.shape))
        torch.autograd.backward((frames * signs).sum())
    return {
        name: float(parameter.grad.square().mean().sqrt())
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
