"""Networks as compiled code, where this machine can make it."""

import sys

import torch
from torch import nn
from torch._dynamo.exc import BackendCompilerFailed

from pipeline.errors import first_line
from pipeline.models.convgru import ConvGruGenerator
from pipeline.models.discriminators import Trunk
from pipeline.models.generators import ResidualGenerator

COMPILED = (ConvGruGenerator, ResidualGenerator, Trunk)


def compile_networks(device: torch.device, *models: nn.Module) -> bool:
    """Let the parts of the models that make or read clips be compiled when they are first called; whether they will be.

    Says so and leaves them as they are where there is no working compiler. Gradients of what is compiled cannot be
    differentiated again: `torch.compiler.set_stance("force_eager")` goes around it.
    """
    if reason := _obstacle(device):
        print(f"train.compile: {reason}; training goes on without", file=sys.stderr)
        return False
    for model in models:
        for part in model.modules():
            if isinstance(part, COMPILED):
                part.compile(dynamic=False)
    return True


def _obstacle(device: torch.device) -> str:
    """Why nothing can be compiled for `device`; empty where it can. By trial, since much may be missing."""
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except BackendCompilerFailed as error:
        return first_line(error)
    return ""
