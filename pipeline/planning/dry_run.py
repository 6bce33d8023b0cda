"""The memory and FLOPs of a training step, counted on small steps with random clips and captions."""

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from pipeline.data.dataset import Batch
from pipeline.distributed import Rank
from pipeline.losses import SharedRng
from pipeline.models.flops import Operations
from pipeline.params import ClipParams, TrainParams
from pipeline.records import FIRST_WORD_ID
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import compute_schedule
from pipeline.training.step import Averager, Networks, train_step

MAX_FOR_ONE = 8  # clips of the smallest step, at most


@dataclass(frozen=True)
class TrainingTask:
    """What is trained on one of `world` devices, and the size of the captions."""

    shape: ClipParams
    params: TrainParams
    device: torch.device
    world: int  # devices of the run
    words: int  # learned words of the vocabulary
    tokens: int  # L, of the longest caption
    vectors: Tensor | None = None  # pretrained vectors [V,D]; None: learned

    @property
    def share(self) -> int:
        """The clips of a batch on one device."""
        return self.params.batch_clips // self.world

    @property
    def step_share(self) -> int:
        """The real clips of a step on one device."""
        return self.params.step_clips // self.world


def describe_task(run: Run, rank: Rank, tokens: int) -> TrainingTask:
    """The task of one rank of a run."""
    return TrainingTask(run.shape, run.params, rank.device, rank.world, run.words, tokens, run.vectors)


def build_task_networks(task: TrainingTask, *, compiled: bool = False) -> Networks:
    """The networks and their optimizers at the start of training.

    Not compiled by default, since compiling takes minutes for each number of clips.
    """
    params = task.params if compiled else task.params.model_copy(update={"compile": False})
    run = Run(0, task.shape, params, task.words, task.vectors)
    return build_networks(run, task.device)


def take_step(task: TrainingTask, nets: Networks, clips: int, *, penalise: bool) -> None:
    """One step on this device, with random batches of `clips` clips."""
    step_on(task, nets, draw_batches(task, nets, clips), penalise=penalise)


def step_on(
    task: TrainingTask,
    nets: Networks,
    batches: Sequence[Batch],
    *,
    penalise: bool,
    average_gradients: Averager = None,
) -> None:
    """One step with these batches, with the schedule of the middle of the run."""
    clips = len(batches[0].z)
    train_step(
        nets,
        batches,
        task.params,
        compute_schedule(task.params, task.params.total_clips // 2),
        SharedRng(clips * task.world, slice(0, clips), task.device),
        penalise=penalise,
        average_gradients=average_gradients,
    )


def draw_batches(task: TrainingTask, nets: Networks, clips: int) -> list[Batch]:
    """The batches of a step, with `clips` clips each."""
    return [draw_batch(task, nets, clips) for _ in range(task.params.step_clips // task.params.batch_clips)]


def draw_batch(task: TrainingTask, nets: Networks, clips: int) -> Batch:
    """Random clips and random captions of the maximum length."""
    shape, device = task.shape, task.device
    frames = torch.randint(256, (clips, shape.frames, shape.height, shape.width, 3), dtype=torch.uint8, device=device)
    own, other = (
        torch.randint(FIRST_WORD_ID, max(task.words, FIRST_WORD_ID + 1), (clips, task.tokens), device=device)
        for _ in range(2)
    )
    return Batch(frames, own, other, torch.randn(clips, nets.generator.z_width, device=device))


class CostCounter(Operations):  # type: ignore[no-untyped-call]
    """Also tracks, within its block, the bytes of all living tensors (`live`) and their maximum (`peak`)."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def watch(self, tensors: Iterable[Tensor]) -> None:
        """Count these tensors until they are freed; views of one storage count once."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if id(storage) not in self._known:
                self._count(storage, storage.nbytes())
        self.peak = max(self.peak, self.live)

    def _count(self, storage: torch.UntypedStorage, nbytes: int) -> None:
        key = id(storage)

        def forget(_: object) -> None:
            self.live -= nbytes
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
        self.live += nbytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_dispatch__(func, types, args, kwargs)
        self.watch(leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor))
        return made


@dataclass(frozen=True)
class StepCosts:
    """The memory and operations of a step on one device."""

    weights: int  # bytes of generator, averaged generator and discriminator
    optimiser: int  # bytes
    peak: int  # bytes of all tensors, including weights, optimizer state and clips
    flops: int


@dataclass(frozen=True)
class DryRun:
    """The costs of steps of one and two groups of clips; each further group costs as much as the second."""

    group: int  # clips
    one: StepCosts
    two: StepCosts

    def needs(self, clips: int) -> StepCosts:
        """The costs of a step with `clips` clips on one device."""
        more = clips / self.group - 1
        peak = round(self.one.peak + (self.two.peak - self.one.peak) * more)
        flops = round(self.one.flops + (self.two.flops - self.one.flops) * more)
        return replace(self.one, peak=peak, flops=flops)

    def most_clips(self, room: int) -> int:
        """The largest number of clips, in whole groups, of a step that fits into `room` bytes."""
        groups = (room - self.one.peak) // (self.two.peak - self.one.peak) + 1
        return max(groups, 0) * self.group


def dry_run_steps(task: TrainingTask, *, penalise: bool) -> DryRun:
    """Count the costs of steps of one and of two groups of clips."""
    nets, group = build_task_networks(task), _smallest_step(task.params)
    take_step(task, nets, group, penalise=False)  # now the optimisers have their momenta
    one, two = (_watch(task, nets, clips, penalise=penalise) for clips in (group, 2 * group))
    return DryRun(group, one, two)


def _smallest_step(params: TrainParams) -> int:
    """The clips per group: those that the discriminator shares; with flow, so many that one has a long step."""
    if params.method == "flow" and params.flow.long_steps:
        return min(round(1 / params.flow.long_steps), MAX_FOR_ONE)
    return params.shared_clips


def count_forward_flops(task: TrainingTask) -> tuple[int, int]:
    """The forward operations of generating a clip, and of scoring one; the latter is 0 without a discriminator."""
    nets, group = build_task_networks(task), task.params.group_clips
    batch = draw_batch(task, nets, group)
    with torch.no_grad(), CostCounter() as drawing:
        frames = nets.generator(batch.z, batch.token_ids)
    with torch.no_grad(), CostCounter() as judging:
        if nets.discriminator is not None:
            nets.discriminator(frames, batch.token_ids)
    return drawing.counted // group, judging.counted // group


def _watch(task: TrainingTask, nets: Networks, clips: int, *, penalise: bool) -> StepCosts:
    models = (*nets.trained.values(), nets.average)
    weights = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    momenta = [value for adam in nets.adams for state in adam.state.values() for value in state.values()]
    with CostCounter() as costs:
        costs.watch([*weights, *gradients, *momenta])
        take_step(task, nets, clips, penalise=penalise)
    return StepCosts(_bytes(weights), _bytes(momenta), costs.peak, costs.counted)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
