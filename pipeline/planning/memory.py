"""How much memory a training needs on one device, how much is there, and which batch fits."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.planning.rehearsal import Needs, Rehearsal, rehearse
from pipeline.planning.steps import Task
from pipeline.training.memory import free_memory

SPARE = 0.1  # of what is free: for whatever else runs here
# What a process takes for a step, to the bytes of its tensors. Of CPUs measured (docs/recipes.md): kernels have scratch
# space, and the C library keeps what was freed in pieces. Of GPUs not measured: a guess upwards.
SCRATCH = {"cpu": 2.1, "cuda": 1.3}


@dataclass(frozen=True)
class Fit:
    """Memory of one device, in bytes; batches are of all devices together."""

    weights: int  # of generator, averaged generator and discriminator
    optimiser: int
    step: int  # activations, gradients and clips of the largest step
    scratch: int  # what kernels and the allocator take besides
    data: int  # the training clips, where they lie on the device
    available: int
    batch: int  # clips
    largest_batch: int  # that fits, 0 if none does

    @property
    def needed(self) -> int:
        return self.weights + self.optimiser + self.step + self.scratch + self.data

    @property
    def fits(self) -> bool:
        return self.needed <= self.available


def fit_of(task: Task, rehearsal: Rehearsal, available: int, data: int = 0) -> Fit:
    """How the largest step of a task, as rehearsed, fits beside `data` bytes of training clips."""
    needs = rehearsal.needs(task.share)
    kept = needs.weights + needs.optimiser
    room = kept + round((available - data - kept) / SCRATCH[task.device.type])  # for tensors alone
    return Fit(
        weights=needs.weights,
        optimiser=needs.optimiser,
        step=needs.peak - kept,
        scratch=memory_of(task, needs) - needs.peak,
        data=data,
        available=available,
        batch=task.params.batch_clips,
        largest_batch=rehearsal.most_clips(room) * task.world,
    )


def memory_of(task: Task, needs: Needs) -> int:
    """What a process takes for such a step."""
    kept = needs.weights + needs.optimiser
    return kept + round((needs.peak - kept) * SCRATCH[task.device.type])


def available_memory(task: Task) -> int:
    """Bytes that each process of a run may take: of its own GPU, or its part of what all of them share."""
    free = free_memory(task.device) // (1 if task.device.type == "cuda" else task.world)
    return int(free * (1 - SPARE))


def require_fit(task: Task) -> None:
    """Raise UserError, with the batch that would fit, where training would run out of memory.

    Told by the smallest steps there are: a real one that does not fit may be ended by the system, without a word.
    """
    available = available_memory(task)
    fit = fit_of(task, rehearse(task, penalise=True), available)
    if fit.fits:
        return
    batch, most = fit.batch, fit.largest_batch
    way_out = f"{most} would fit" if most else "not even the smallest batch fits: make the networks narrower"
    raise UserError(
        f"train.batch_clips {batch}: training needs about {fit.needed / 1e9:.1f} GB on each of {task.world} device(s), "
        f"{task.device} has {available / 1e9:.1f} GB to give; {way_out}, or take more devices; `t2v plan` says more"
    )
