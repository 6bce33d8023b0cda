"""All that can be told of a training before it starts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.params import Params
from pipeline.planning.known import known_of, resident_bytes
from pipeline.planning.memory import Fit, available_memory, fit_of, memory_of
from pipeline.planning.rehearsal import passes, rehearse
from pipeline.planning.speed import Speed, held_memory, measure, most_held_memory
from pipeline.planning.steps import Task, networks_of
from pipeline.training.inputs import Places
from pipeline.training.meter import matmul_rate


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations for one clip; those of matrix products and convolutions count."""

    generator: int  # drawing it
    discriminator: int  # judging it
    plain: int  # its part of a step without penalties: generator and discriminator, forwards and backwards
    penalised: int  # of one with them
    average: float  # over a run


@dataclass(frozen=True)
class Measured:
    """What real steps say of the whole run."""

    clips: int  # that each step had on the device
    memory: int  # bytes that the process took for it
    estimated: int  # what was estimated for as many
    plain: float  # seconds of a step with the device's whole share of the batch
    penalised: float
    clips_per_second: float  # of the run, over all devices
    hours: float
    matmul_share: float  # of the rate of matrix products alone


@dataclass(frozen=True)
class Plan:
    """Of one training."""

    data: str  # where counts of words and clips come from
    devices: list[str]
    parameters: dict[str, int]  # that are trained, by network and part of it
    memory: Fit
    arithmetic: Arithmetic
    measured: Measured | None  # None where not even the smallest step fits


def plan_training(params: Params, devices: Sequence[torch.device], places: Places, seconds: float) -> Plan:
    """Watch the smallest steps, then measure larger ones on the first device for about so many seconds.

    In float32 where bf16 would be imitated: that takes many times as long, and tells nothing of the devices it is for.
    """
    known, told = known_of(params, places), ""
    if params.train.precision == "bf16" and not has_bf16(devices[0]):
        params = params.model_copy(update={"train": params.train.model_copy(update={"precision": "float32"})})
        told = "; in float32, since this processor has no bf16 of its own: elsewhere it takes less memory"
    task = Task(params.clip, params.train, devices[0], len(devices), known.words, known.tokens, known.given)
    parameters = count_parameters(task)
    held, available = held_memory(task.device), available_memory(task)
    plain, penalised = (rehearse(task, penalise=penalise) for penalise in (False, True))
    fit = fit_of(task, penalised, available, resident_bytes(params, known.clips, available))
    costs = [kind.needs(task.share).flops // task.step_share for kind in (plain, penalised)]
    drawing, judging = passes(task)
    arithmetic = Arithmetic(drawing, judging, costs[0], costs[1], _on_average(task, costs[0], costs[1]))
    measured = None
    if most := min(task.share, fit.largest_batch // task.world):
        speed = measure(task, most, seconds)
        took, estimated = most_held_memory(task.device) - held, memory_of(task, penalised.needs(speed.clips))
        measured = Measured(speed.clips, took, estimated, **_extrapolated(task, speed, arithmetic))
    return Plan(known.told + told, [str(device) for device in devices], parameters, fit, arithmetic, measured)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16, and does not only imitate it."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def count_parameters(task: Task) -> dict[str, int]:
    """Values that are trained, by network and part of it."""
    nets = networks_of(task)
    parts = {"generator": nets.generator, "discriminator": nets.discriminator}
    return {
        f"{network}.{name}": sum(p.numel() for p in part.parameters())
        for network, model in parts.items()
        for name, part in model.named_children()
    }


def _extrapolated(task: Task, speed: Speed, arithmetic: Arithmetic) -> dict[str, float]:
    """What such steps come to over a run."""
    params, step = task.params, _on_average(task, speed.plain, speed.penalised)
    dtype = torch.bfloat16 if params.precision == "bf16" else torch.float32
    return {
        "plain": speed.plain,
        "penalised": speed.penalised,
        "clips_per_second": params.step_clips / step,
        "hours": math.ceil(params.total_clips / params.step_clips) * step / 3600,
        "matmul_share": arithmetic.average * task.step_share / step / matmul_rate(task.device, dtype),
    }


def _on_average(task: Task, plain: float, penalised: float) -> float:
    """Of all steps of a run: every so many is a penalised one."""
    return plain + (penalised - plain) / task.params.penalty_every
