"""Which devices a run uses, one process for each, and how they agree. The only place that knows process groups."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.errors import INTERRUPTED, Interrupted, UserError

VARIABLE = "T2V_DEVICES"  # wins over params, so that parallel sweeps can each have their own devices


@dataclass(frozen=True)
class Rank:
    """One process of a run."""

    rank: int
    world: int
    device: torch.device

    def share(self, batch: int) -> slice:
        """This rank's rows of a batch. Raises UserError if the ranks cannot share it evenly."""
        if batch % self.world:
            raise UserError(f"train.batch_clips {batch} does not divide over {self.world} devices; change either")
        part = batch // self.world
        return slice(self.rank * part, (self.rank + 1) * part)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the ranks.

        By hand, since the penalties' second derivative passes by the hooks of DistributedDataParallel.
        """
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank: all ranks get the same answer."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())


def parse_devices(text: str) -> list[torch.device]:
    """`auto`, `cpu`, `cpu:2` (processes), `3-5` or `0,2` (GPUs) -> one device per process; T2V_DEVICES wins.

    Raises UserError for another word, or a GPU that is not there.
    """
    text = os.environ.get(VARIABLE, text).strip()
    present = torch.cuda.device_count()
    if text == "auto":
        return [torch.device("cuda", number) for number in range(present)] or [torch.device("cpu")]
    if match := re.fullmatch(r"cpu(?::([1-9]\d*))?", text):
        return [torch.device("cpu")] * int(match[1] or 1)
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise UserError(f"devices: {text!r} is none of auto, cpu, cpu:2 (processes), 3-5 or 0,2 (GPUs)")
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    if missing := sorted({number for number in numbers if number >= present}):
        raise UserError(f"devices: {text!r} names GPU {missing[0]}, but this machine shows {present}; try auto or cpu")
    if not numbers or len(set(numbers)) != len(numbers):
        raise UserError(f"devices: {text!r} is an empty range or names a GPU twice")
    return [torch.device("cuda", number) for number in numbers]


def run_on(devices: list[torch.device], function: Callable[..., None], *arguments: Any) -> None:
    """Call `function(rank, *arguments)` in one process per device; with a single device, in this one.

    Under torchrun, this process is one of the ranks already. Raises Interrupted or UserError where a rank did.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _join(devices, function, arguments)
    elif len(devices) == 1:
        function(Rank(0, 1, devices[0]), *arguments)
    else:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=len(devices),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            start_method="spawn",
        )
        try:
            elastic_launch(config, _join)(devices, function, arguments)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode == INTERRUPTED:
                raise Interrupted("training stopped") from None
            raise UserError(f"rank {rank} of {len(devices)} failed; its message is above") from None


@record
def _join(devices: list[torch.device], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    device = devices[local % len(devices)]
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        function(Rank(rank, world, device), *arguments)
    finally:
        dist.destroy_process_group()
