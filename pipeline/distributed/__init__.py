"""Devices, process groups and launching: only this package uses torch.distributed.

This module selects devices, sets up processes, and has the collective operations of the ranks.
"""

import ctypes
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.errors import UserError, first_line
from pipeline.params.base import DEVICES, DEVICES_VARIABLE, NO_DEVICES, VISIBLE_GPUS

T = TypeVar("T")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST = 1 << 30  # bytes

# In messages of errors that are no torch.OutOfMemoryError: of the CPU's allocator, CUDA and NCCL, cuBLAS and cuDNN.
OUT_OF_MEMORY = "can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED"


class PeerLost(Exception):
    """Another process of the run has ended, or did not reach a collective operation in time."""


@dataclass(frozen=True)
class Rank:
    """One process of a run. Its collective operations raise PeerLost if another process is gone."""

    rank: int
    world: int
    device: torch.device

    def share(self, batch: int, group: int = 1, key: str = "") -> slice:
        """This rank's rows of a batch. Raises UserError if it does not divide evenly among the ranks, in whole groups.

        `group` is `TrainParams.shared_clips`; `key`, for the message, is `TrainParams.sharing_key`.
        """
        if batch % self.world:
            raise UserError(f"train.batch_clips {batch} does not divide over {self.world} devices; change either")
        part = batch // self.world
        if part % group:
            raise UserError(
                f"{key} {group} does not divide {part}, the part of train.batch_clips {batch} on one of "
                f"{self.world} devices; change either"
            )
        return slice(self.rank * part, (self.rank + 1) * part)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, in place; all ranks pass the same number and shapes."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _meeting():
            dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def mean(self, tensor: Tensor) -> Tensor:
        """The differentiable mean of a tensor over the ranks; all ranks pass the same shape."""
        averaged: Tensor = _Mean.apply(tensor, self.world)  # type: ignore[no-untyped-call]
        return averaged

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the ranks.

        Explicitly, since the second derivatives of penalties bypass the hooks of DistributedDataParallel.
        """
        self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; a barrier."""
        return any(self.all_gather(flag))

    def all_gather(self, number: float) -> list[float]:
        """The numbers of all ranks, in order, on all ranks; a barrier."""
        numbers = torch.zeros(self.world, dtype=torch.float64)  # on the CPU, to avoid a GPU synchronisation
        numbers[self.rank] = number
        if self.world > 1:
            with _meeting():
                dist.all_reduce(numbers)
        answer: list[float] = numbers.tolist()
        return answer

    def broadcast_from_rank0(self, make: Callable[[], T]) -> T:
        """The value of `make`, which is called on rank 0 only, on all ranks.

        Values are plain or tensors, which are received on the CPU. So only the node of rank 0 needs saved states.
        """
        if self.world == 1:
            return make()
        file = io.BytesIO()
        if self.rank == 0:
            torch.save(make(), file)
        length = torch.tensor(file.tell())
        with _meeting():
            dist.broadcast(length, 0)
            written = bytearray(file.getbuffer() if self.rank == 0 else int(length))
            dist.broadcast(torch.frombuffer(written, dtype=torch.uint8), 0)
        value: T = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
        return value

    def assert_same(self, parts: Mapping[str, str]) -> None:
        """Raises UserError on all ranks if their runs differ; `parts` maps names to digests of parts of the run."""
        theirs = self.broadcast_from_rank0(lambda: dict(parts))
        differing = sorted(name for name in theirs.keys() | parts.keys() if theirs.get(name) != parts.get(name))
        others = [str(rank) for rank, differs in enumerate(self.all_gather(bool(differing))) if differs]
        if others:
            own = f" ({', '.join(differing)} differ here)" if differing else ""
            raise UserError(
                f"rank {', '.join(others)} of {self.world} would make another run than rank 0{own}; every node needs "
                "the same params, data, code and torch"
            )


@contextmanager
def _meeting() -> Iterator[None]:
    """The context of a collective operation."""
    try:
        yield
    except RuntimeError as error:  # gloo has no exception class for closed connections and timeouts
        raise PeerLost(first_line(error)) from error


class _Mean(torch.autograd.Function):
    """The mean over the ranks. Its gradient is the mean too, since gradients are averaged over the ranks afterwards."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, world: int) -> Tensor:
        ctx.world = world
        total = tensor.clone()
        with _meeting():
            dist.all_reduce(total)
        return total / world

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Mean.forward(ctx, gradient, ctx.world), None


def parse_devices(text: str, option: str = "") -> list[torch.device]:
    """`auto`, `cpu`, `cpu:2` (processes), `3-5` or `0,2` (GPUs) -> one device per process.

    `text` is the value in params; T2V_DEVICES overrides it, and `option`, of a command, overrides both. GPUs are
    numbered as by torch, among those in CUDA_VISIBLE_DEVICES. Raises UserError for any other text, or a missing GPU.
    """
    source = "--devices" if option else DEVICES_VARIABLE if DEVICES_VARIABLE in os.environ else "devices"
    text = (option or os.environ.get(DEVICES_VARIABLE, text)).strip()
    present = torch.cuda.device_count()
    found = DEVICES.fullmatch(text)
    if not found:
        raise UserError(f"{source}: {text!r} {NO_DEVICES}")
    if text == "auto":
        return [torch.device("cuda", number) for number in range(present)] or [torch.device("cpu")]
    if not found["gpus"]:
        return [torch.device("cpu")] * int(found["processes"] or 1)
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    if missing := sorted({number for number in numbers if number >= present}):
        raise UserError(f"{source}: {text!r} names GPU {missing[0]}, but {_describe_gpus(present)}")
    if not numbers or len(set(numbers)) != len(numbers):
        raise UserError(f"{source}: {text!r} is an empty range or names a GPU twice")
    return [torch.device("cuda", number) for number in numbers]


def _describe_gpus(present: int) -> str:
    """Which GPUs torch sees, why there may be none, and the alternatives."""
    shown = f" ({VISIBLE_GPUS}={os.environ[VISIBLE_GPUS]})" if VISIBLE_GPUS in os.environ else ""
    if present:
        there = "0 alone" if present == 1 else f"0 to {present - 1}"
        return f"torch sees {there}{shown}: GPUs are counted from 0; auto takes all of them, cpu none"
    if torch.version.cuda is None and torch.version.hip is None:
        why = f"torch {torch.__version__} is built for the CPU alone"
    else:
        why = f"torch sees no GPU here{shown}; nvidia-smi tells whether its driver does"
    return f"{why}; cpu and auto train on the processor, cpu:2 in two processes"


def use_device(device: torch.device, *, sharers: int = 1) -> None:
    """Assign `device` to this process: as the current GPU, or its share of the CPU cores.

    Raises UserError if the GPU cannot be used, for example because another process has all of its memory.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic cuBLAS
        try:
            torch.cuda.set_device(device)
            torch.empty(1, device=device)  # fails here if the GPU is in use
        except RuntimeError as error:
            raise UserError(
                f"GPU {device.index} cannot be used: {first_line(error)}. Another process may have it "
                f"(nvidia-smi names it): wait for that, or choose other GPUs by {DEVICES_VARIABLE}"
            ) from None
    elif sharers > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // sharers))


def keep_freed_memory() -> bool:
    """Make glibc keep large freed buffers -> whether that succeeded; False with another C library.

    Otherwise every step on a CPU maps new memory for its activations, which the kernel fills with zeros.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))


def set_up(device: torch.device, *, deterministic: bool = True) -> None:
    """Make computations deterministic as far as the device allows, and reuse freed memory.

    GPUs are made deterministic only if `deterministic`; otherwise cuDNN benchmarks kernels and uses the fastest.
    """
    keep_freed_memory()
    gpu = device.type == "cuda"
    # Some gradients have no deterministic implementation on GPUs; torch warns about them.
    torch.use_deterministic_algorithms(deterministic or not gpu, warn_only=gpu)
    torch.backends.cudnn.benchmark = gpu and not deterministic
    # No code reads uninitialised memory, and filling it took a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def explain_out_of_memory(rank: Rank, batch_clips: int) -> Iterator[None]:
    """Convert out-of-memory errors within the block into a UserError that says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(phrase in str(error) for phrase in OUT_OF_MEMORY):
            raise
        part = batch_clips // rank.world
        raise UserError(
            f"{rank.device}: out of memory with {part} of train.batch_clips {batch_clips} on this device "
            f"({first_line(error)}); the last saved state is kept. Lower train.batch_clips or the widths of the "
            "networks, use more devices, or end other processes on this one; `t2v plan` shows what fits"
        ) from None
