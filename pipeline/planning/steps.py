"""Steps of a training as its params ask for, on clips and captions drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.losses.draws import Draws
from pipeline.params import ClipParams, TrainParams
from pipeline.training.batches import Batch
from pipeline.training.devices import Rank
from pipeline.training.run import Run, build_networks
from pipeline.training.schedules import moment
from pipeline.training.states import States
from pipeline.training.step import Averager, Networks, train_step


@dataclass(frozen=True)
class Task:
    """What is to be trained, on one of how many devices, and how large the captions are."""

    shape: ClipParams
    params: TrainParams
    device: torch.device
    world: int  # devices of the run
    words: int  # of the vocabulary that are learned
    tokens: int  # L, of the longest caption
    given: Tensor | None = None  # vectors [V,D] of the vocabulary, where they come from elsewhere

    @property
    def share(self) -> int:
        """Clips of a batch on one device."""
        return self.params.batch_clips // self.world

    @property
    def step_share(self) -> int:
        """Real clips that a device sees in one step."""
        return self.params.step_clips // self.world


def task_of(run: Run, rank: Rank, tokens: int) -> Task:
    """The task of one rank of a run."""
    return Task(run.shape, run.params, rank.device, rank.world, run.words, tokens, run.given)


def networks_of(task: Task, *, compiled: bool = False) -> Networks:
    """The networks and their optimizers as training begins with them.

    Uncompiled unless asked for: compiling takes minutes, anew for every number of clips.
    """
    params = task.params if compiled else task.params.model_copy(update={"compile": False})
    run = Run(0, task.shape, params, task.words, States("plan"), Path("plan"), task.given)
    return build_networks(run, task.device)


def take_step(task: Task, nets: Networks, clips: int, *, penalise: bool) -> None:
    """One step with batches of so many clips on this device, drawn for it."""
    step_on(task, nets, draw_batches(task, nets, clips), penalise=penalise)


def step_on(
    task: Task,
    nets: Networks,
    batches: Sequence[Batch],
    *,
    penalise: bool,
    average_gradients: Averager = lambda _: None,
) -> None:
    """One step with these batches, at the settings of the middle of the run."""
    clips = len(batches[0].z)
    train_step(
        nets,
        batches,
        task.params,
        moment(task.params, task.params.total_clips // 2),
        Draws(clips * task.world, slice(0, clips), task.device),
        penalise=penalise,
        average_gradients=average_gradients,
    )


def draw_batches(task: Task, nets: Networks, clips: int) -> list[Batch]:
    """As many batches as a step has, of so many clips each."""
    return [draw(task, nets, clips) for _ in range(task.params.step_clips // task.params.batch_clips)]


def draw(task: Task, nets: Networks, clips: int) -> Batch:
    """Clips of the task's shape under captions of its longest, all of them noise."""
    shape, device = task.shape, task.device
    frames = torch.randint(256, (clips, shape.frames, shape.height, shape.width, 3), dtype=torch.uint8, device=device)
    own, other = (torch.randint(2, max(task.words, 3), (clips, task.tokens), device=device) for _ in range(2))
    return Batch(frames, own, other, torch.randn(clips, nets.generator.z_width, device=device))
