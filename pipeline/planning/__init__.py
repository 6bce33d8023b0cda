"""Predicts the memory, FLOPs and hours of a training before it starts, and the largest batch that fits."""

import math
import re
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.loading import RESIDENT_SHARE, measure_free_memory
from pipeline.distributed import set_up
from pipeline.errors import UserError
from pipeline.monitoring.throughput import measure_matmul_rate
from pipeline.params import Params
from pipeline.planning.dry_run import (
    DryRun,
    StepCosts,
    TrainingTask,
    build_task_networks,
    count_forward_flops,
    dry_run_steps,
    take_step,
)
from pipeline.records import select_condition_ids
from pipeline.training.step import Networks

WORDS, TOKENS, WIDTH = 2000, 12, 300  # assumed sizes: vocabulary, longest caption, vectors from a file

SPARE = 0.1  # of the free memory, left to other processes
# Memory of a process for a step, relative to its tensors: kernels need workspace, and the C library keeps freed memory.
# Measured on CPUs (docs/experiments/memory.md); for GPUs a generous guess.
SCRATCH = {"cpu": 2.1, "cuda": 1.3}

ROUNDS = 3  # of a plain and a penalised step, at most, after the warm-up


@dataclass(frozen=True)
class Assumptions:
    """What a plan needs to know about the data."""

    words: int  # that are learned
    tokens: int  # of the longest caption
    vectors: Tensor | None  # vectors of words
    clips: int  # of the split train; 0 if there is no data yet
    source: str  # where this comes from, in words


def read_assumptions(params: Params, folders: DataFolders) -> Assumptions:
    """Counted in the data if it exists and has the right shape, otherwise assumed."""
    try:
        dataset = Dataset(folders)
        dataset.require_shape(params.clip)
        words = len(dataset.vocabulary) - dataset.vocabulary.unlearned
    except UserError as reason:
        source = f"{WORDS:,} words and captions of up to {TOKENS} are assumed: {reason}"
        return Assumptions(WORDS, TOKENS, _assumed_vectors(params), 0, source)
    captions = [dataset.captions[clip.id] for clip in dataset.clips(dataset.rows("train"))]
    lengths = [len(select_condition_ids(caption, params.train.captions.conditioning)) for caption in captions]
    source = f"{len(lengths):,} training clips, {words:,} words, captions of up to {max(lengths, default=1)}"
    return Assumptions(words, max(lengths, default=1), dataset.read_vectors(), len(lengths), source)


def resident_bytes(params: Params, clips: int, available: int) -> int:
    """The bytes of the training clips on each device; 0 if they are read from their shards during training."""
    shape, loading = params.clip, params.compute.loading
    whole = clips * shape.frames * shape.height * shape.width * 3
    return whole if loading == "resident" or (loading == "auto" and whole <= available * RESIDENT_SHARE) else 0


def _assumed_vectors(params: Params) -> Tensor | None:
    embeddings = params.tokenize.embeddings
    if embeddings.source == "learned":
        return None
    width = embeddings.width if embeddings.source == "subword" else WIDTH
    spare = embeddings.spare_words if embeddings.source in ("file", "spacy") else 0
    return torch.ones(WORDS + spare, width)


@dataclass(frozen=True)
class MemoryFit:
    """Memory of one device, in bytes; batches are over all devices."""

    weights: int  # of generator, averaged generator and discriminator
    optimiser: int
    step: int  # activations, gradients and clips of the largest step
    scratch: int  # overhead of kernels and the allocator
    data: int  # the training clips, if they are kept on the device
    available: int
    batch: int  # clips
    largest_batch: int  # that fits, 0 if none does

    @property
    def needed(self) -> int:
        return self.weights + self.optimiser + self.step + self.scratch + self.data

    @property
    def fits(self) -> bool:
        return self.needed <= self.available


def estimate_fit(task: TrainingTask, dry_run: DryRun, available: int, data: int = 0) -> MemoryFit:
    """How the largest step of a task fits into memory, by a dry run, with `data` bytes of training clips."""
    needs = dry_run.needs(task.share)
    kept = needs.weights + needs.optimiser
    room = kept + round((available - data - kept) / SCRATCH[task.device.type])  # for tensors
    return MemoryFit(
        weights=needs.weights,
        optimiser=needs.optimiser,
        step=needs.peak - kept,
        scratch=_estimate_memory(task, needs) - needs.peak,
        data=data,
        available=available,
        batch=task.params.batch_clips,
        largest_batch=dry_run.most_clips(room) * task.world,
    )


def _estimate_memory(task: TrainingTask, needs: StepCosts) -> int:
    """The bytes of a process for a step with these tensors."""
    kept = needs.weights + needs.optimiser
    return kept + round((needs.peak - kept) * SCRATCH[task.device.type])


def available_memory(task: TrainingTask) -> int:
    """The bytes available to each process: of its own GPU, or its share of the machine's memory."""
    free = measure_free_memory(task.device) // (1 if task.device.type == "cuda" else task.world)
    return int(free * (1 - SPARE))


def require_fit(task: TrainingTask) -> None:
    """Raise UserError, with the batch that would fit, if training would run out of memory.

    Extrapolated from the smallest steps: the kernel may kill a process whose step does not fit, without a message.
    """
    available = available_memory(task)
    fit = estimate_fit(task, dry_run_steps(task, penalise=True), available)
    if fit.fits:
        return
    batch, most = fit.batch, fit.largest_batch
    way_out = f"{most} would fit" if most else "not even the smallest batch fits: make the networks narrower"
    raise UserError(
        f"train.batch_clips {batch}: training needs about {fit.needed / 1e9:.1f} GB on each of {task.world} device(s), "
        f"{task.device} has {available / 1e9:.1f} GB available; {way_out}, or use more devices; see `t2v plan`"
    )


@dataclass(frozen=True)
class Speed:
    """Seconds of steps with a device's share of the batch, measured with `clips`."""

    clips: int
    plain: float
    penalised: float


def _measure_speed(task: TrainingTask, most_clips: int, seconds: float) -> Speed:
    """Time real steps with up to `most_clips`, or as many as are possible in about `seconds`.

    For each number of clips, the first steps are a warm-up, then the fastest counts. If that number is less than a
    device's share, smaller steps are timed as well, to separate the constant part of a step from the part per clip.
    """
    set_up(task.device)
    if task.device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // task.world))
    nets = build_task_networks(task, compiled=True)
    end = time.perf_counter() + seconds

    def pair(clips: int) -> tuple[float, float]:
        return _time_step(task, nets, clips, penalise=False), _time_step(task, nets, clips, penalise=True)

    def fastest(clips: int) -> list[float]:
        pairs = [pair(clips)]
        while len(pairs) < ROUNDS and time.perf_counter() < end:
            pairs.append(pair(clips))
        return [min(times) for times in zip(*pairs, strict=True)]

    clips = group = task.params.shared_clips
    pair(clips)
    while clips < most_clips and sum(pair(clips)) * 2 * (ROUNDS + 1) < end - time.perf_counter():
        clips = min(2 * clips, most_clips)
        pair(clips)
    large = fastest(clips)
    few, small = (group, fastest(group)) if group < clips < task.share else (0, [0.0, 0.0])
    each = [max(a - b, 0) / (clips - few) for a, b in zip(large, small, strict=True)]  # seconds per clip
    plain, penalised = (a + more * (task.share - clips) for a, more in zip(large, each, strict=True))
    return Speed(clips, plain, penalised)


def _time_step(task: TrainingTask, nets: Networks, clips: int, *, penalise: bool) -> float:
    start = time.perf_counter()
    take_step(task, nets, clips, penalise=penalise)
    if task.device.type == "cuda":
        torch.cuda.synchronize(task.device)
    return time.perf_counter() - start


def _held_memory(device: torch.device) -> int:
    """The bytes of the device's memory that this process holds."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else int(psutil.Process().memory_info().rss)


def most_held_memory(device: torch.device) -> int:
    """The peak of `_held_memory`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    status = Path("/proc/self/status")
    if status.exists():  # on Linux `ru_maxrss` includes the peak before exec
        return int(re.findall(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclass(frozen=True)
class ClipFlops:
    """Floating-point operations per clip, in matrix products and convolutions."""

    generator: int  # generating it
    discriminator: int  # scoring it; 0 with method flow, which has no discriminator
    plain: int  # of a step without penalties: both networks, forward and backward
    penalised: int  # of a step with penalties
    average: float  # over a run


@dataclass(frozen=True)
class MeasuredSteps:
    """Measurements of real steps, extrapolated to the whole run."""

    clips: int  # of each step on the device
    memory: int  # bytes, measured
    estimated: int  # bytes, estimated for as many clips
    plain: float  # seconds of a step with the device's share of the batch
    penalised: float
    clips_per_second: float  # of the run, over all devices
    hours: float
    matmul_share: float  # FLOP/s relative to matrix products


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of one training."""

    data: str  # the source of the numbers of words and clips
    devices: list[str]
    parameters: dict[str, int]  # numbers of trained values, by network and submodule
    memory: MemoryFit
    arithmetic: ClipFlops
    measured: MeasuredSteps | None  # None if not even the smallest step fits


def plan_training(
    params: Params, devices: Sequence[torch.device], folders: DataFolders, seconds: float
) -> TrainingPlan:
    """Dry-run the smallest steps, then time larger ones on the first device for about `seconds`.

    In float32 if bf16 would be emulated, which takes many times as long and says nothing about devices with bf16.
    """
    known, note = read_assumptions(params, folders), ""
    if params.train.precision == "bf16" and not has_bf16(devices[0]):
        params = params.model_copy(update={"train": params.train.model_copy(update={"precision": "float32"})})
        note = "; in float32, since this processor has no bf16 of its own: elsewhere it takes less memory"
    task = TrainingTask(params.clip, params.train, devices[0], len(devices), known.words, known.tokens, known.vectors)
    parameters = count_parameters(task)
    held, available = _held_memory(task.device), available_memory(task)
    plain, penalised = (dry_run_steps(task, penalise=penalise) for penalise in (False, True))
    fit = estimate_fit(task, penalised, available, resident_bytes(params, known.clips, available))
    costs = [kind.needs(task.share).flops // task.step_share for kind in (plain, penalised)]
    drawing, judging = count_forward_flops(task)
    arithmetic = ClipFlops(drawing, judging, costs[0], costs[1], _average_steps(task, costs[0], costs[1]))
    measured = None
    if most := min(task.share, fit.largest_batch // task.world):
        speed = _measure_speed(task, most, seconds)
        took, estimated = most_held_memory(task.device) - held, _estimate_memory(task, penalised.needs(speed.clips))
        measured = MeasuredSteps(speed.clips, took, estimated, **_extrapolated(task, speed, arithmetic))
    return TrainingPlan(known.source + note, [str(device) for device in devices], parameters, fit, arithmetic, measured)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16 without emulation."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def count_parameters(task: TrainingTask) -> dict[str, int]:
    """Numbers of trained values, by network and submodule."""
    nets = build_task_networks(task)
    return {
        f"{network}.{name}": sum(p.numel() for p in part.parameters())
        for network, model in nets.trained.items()
        for name, part in model.named_children()
    }


def _extrapolated(task: TrainingTask, speed: Speed, arithmetic: ClipFlops) -> dict[str, float]:
    """The fields of MeasuredSteps that follow from the times of steps."""
    params, step = task.params, _average_steps(task, speed.plain, speed.penalised)
    dtype = torch.bfloat16 if params.precision == "bf16" else torch.float32
    return {
        "plain": speed.plain,
        "penalised": speed.penalised,
        "clips_per_second": params.step_clips / step,
        "hours": math.ceil(params.total_clips / params.step_clips) * step / 3600,
        "matmul_share": arithmetic.average * task.step_share / step / measure_matmul_rate(task.device, dtype),
    }


def _average_steps(task: TrainingTask, plain: float, penalised: float) -> float:
    """The average over the steps of a run, of which one in `penalty_every` is penalised."""
    return plain + (penalised - plain) / task.params.penalty_every
