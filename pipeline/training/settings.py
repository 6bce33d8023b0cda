"""How a process is set up that trains."""

import torch

from pipeline.training.allocator import keep_freed_memory


def set_up(device: torch.device) -> None:
    """Equal steps give equal bytes, as far as the device can, and memory that they free is used again."""
    keep_freed_memory()
    # Some gradients have no deterministic form on a GPU; there, equal bytes are not promised.
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Nothing reads memory before it is written; filling it was a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
