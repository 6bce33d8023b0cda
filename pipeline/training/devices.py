"""Which devices a run uses, one process for each, and how they agree. The only place that knows process groups."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.errors import INTERRUPTED, Interrupted, UserError, guard

VARIABLE = "T2V_DEVICES"  # wins over params, so that parallel sweeps can each have their own devices


@dataclass(frozen=True)
class Rank:
    """One process of a run."""

    rank: int
    world: int
    device: torch.device

    def share(self, batch: int, group: int = 1) -> slice:
        """This rank's rows of a batch. Raises UserError if the ranks cannot share it evenly, in whole groups."""
        if batch % self.world:
            raise UserError(f"train.batch_clips {batch} does not divide over {self.world} devices; change either")
        part = batch // self.world
        if part % group:
            raise UserError(
                f"train.mixed.group {group} does not divide {part}, the part of train.batch_clips {batch} on one of "
                f"{self.world} devices; change either"
            )
        return slice(self.rank * part, (self.rank + 1) * part)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, in place; all ranks give the same number and shapes."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over the ranks, through which gradients pass; all ranks give the same shape."""
        averaged: Tensor = _Mean.apply(tensor, self.world)  # type: ignore[no-untyped-call]
        return averaged

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the ranks.

        By hand, since the penalties' second derivative passes by the hooks of DistributedDataParallel.
        """
        self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank: all ranks get the same answer, and none goes on before all have asked."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag))  # on the CPU, so that no GPU has to be waited for
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())


class _Mean(torch.autograd.Function):
    """The mean over the ranks. Its gradient is the mean too: gradients are averaged over the ranks in the end."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, world: int) -> Tensor:
        ctx.world = world
        total = tensor.clone()
        dist.all_reduce(total)
        return total / world

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Mean.forward(ctx, gradient, ctx.world), None


def parse_devices(text: str) -> list[torch.device]:
    """`auto`, `cpu`, `cpu:2` (processes), `3-5` or `0,2` (GPUs) -> one device per process; T2V_DEVICES wins.

    Raises UserError for another word, or a GPU that is not there.
    """
    source = VARIABLE if VARIABLE in os.environ else "devices"
    text = os.environ.get(VARIABLE, text).strip()
    present = torch.cuda.device_count()
    if text == "auto":
        return [torch.device("cuda", number) for number in range(present)] or [torch.device("cpu")]
    if match := re.fullmatch(r"cpu(?::([1-9]\d*))?", text, re.ASCII):
        return [torch.device("cpu")] * int(match[1] or 1)
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", text, re.ASCII):
        raise UserError(f"{source}: {text!r} is none of auto, cpu, cpu:2 (processes), 3-5 or 0,2 (GPUs)")
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    if missing := sorted({number for number in numbers if number >= present}):
        raise UserError(f"{source}: {text!r} names GPU {missing[0]}, but this machine shows {present}; try auto or cpu")
    if not numbers or len(set(numbers)) != len(numbers):
        raise UserError(f"{source}: {text!r} is an empty range or names a GPU twice")
    return [torch.device("cuda", number) for number in numbers]


def run_on(devices: list[torch.device], function: Callable[..., None], *arguments: Any) -> None:
    """Call `function(rank, *arguments)` in one process per device; with a single device, in this one.

    Under torchrun, this process is one of the ranks already. Raises Interrupted or UserError where a rank did.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _join(devices, function, arguments)
    elif len(devices) == 1:
        _use(devices[0])
        function(Rank(0, 1, devices[0]), *arguments)
    else:
        _launch(devices, function, arguments)


def _launch(devices: list[torch.device], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(devices),
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )
    logging.disable(logging.ERROR)  # the launcher would add tracebacks to what is said below
    try:
        elastic_launch(config, _guarded)(devices, function, arguments)
    except SignalException:  # it was handed on to the ranks, and all of them have ended
        raise Interrupted("training was asked to stop and has saved its state, unless it had just begun") from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == INTERRUPTED:
            raise Interrupted(f"training on {len(devices)} devices is saved") from None
        if Path(failure.error_file).exists():  # a fault of the program: its traceback is in there
            raise
        raise UserError(f"rank {rank} of {len(devices)} ended with {failure.exitcode}; see above") from None
    finally:
        logging.disable(logging.NOTSET)


@record
def _guarded(devices: list[torch.device], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """A launched rank: errors that a user can act on end it with a message and an exit code, as they end a stage."""
    guard(lambda: _join(devices, function, arguments))


def _join(devices: list[torch.device], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    device = devices[local % len(devices)]
    _use(device, sharers=len(devices))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        function(Rank(rank, world, device), *arguments)
    finally:
        dist.destroy_process_group()


def _use(device: torch.device, *, sharers: int = 1) -> None:
    """Make `device` this process's own: the current GPU, or its share of the CPU's cores."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
        torch.cuda.set_device(device)
    elif sharers > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // sharers))
