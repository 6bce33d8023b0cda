"""A few steps of a run under torch's profiler: a trace to look at, and which operations took longest."""

from dataclasses import dataclass
from pathlib import Path

from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from pipeline.files import replacing
from pipeline.training.loop import Trainer

WARM_STEPS = 3  # at least: memory is taken, kernels are chosen and compiled in the first ones


@dataclass(frozen=True)
class OperationCost:
    """One operation, without those that it calls."""

    name: str
    calls: float  # in a step
    seconds: float  # in a step: of the GPU where training is on one, else of the processor
    share: float  # of the time of all operations


def profile_steps(trainer: Trainer, steps: int, file: Path) -> list[OperationCost]:
    """Trace warm steps, the first of them a penalised one -> what they cost, the dearest first; `file` is the trace."""
    every, on_gpu = trainer.run.params.penalty_every, trainer.rank.device.type == "cuda"
    warm = every * -(-WARM_STEPS // every)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    costs: list[OperationCost] = []

    def keep(traced: profile) -> None:
        with replacing(file) as temporary:
            traced.export_chrome_trace(str(temporary))
        costs.extend(_costs(traced, steps, on_gpu=on_gpu))

    with profile(
        activities=activities, schedule=schedule(wait=warm - 1, warmup=1, active=steps), on_trace_ready=keep
    ) as p:
        for _ in trainer.take_steps(warm + steps):
            p.step()
    return costs


def _costs(traced: profile, steps: int, *, on_gpu: bool) -> list[OperationCost]:
    found = {
        event.key: (event.count, event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        for event in traced.key_averages()
        if event.device_type == DeviceType.CPU and not event.key.startswith("ProfilerStep")  # kernels count by callers
    }
    whole = max(sum(microseconds for _, microseconds in found.values()), 1e-9)
    costs = [OperationCost(name, n / steps, time / 1e6 / steps, time / whole) for name, (n, time) in found.items()]
    return sorted(costs, key=lambda cost: cost.seconds, reverse=True)
