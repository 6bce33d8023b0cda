"""Training steps on made-up clips, one at a time, so that ways of training can be timed in turn."""

from collections.abc import Sequence

import torch

from pipeline.data.batches import Batch
from pipeline.data.sampler import reseed
from pipeline.distributed.devices import Rank
from pipeline.params import ClipParams, TrainParams
from pipeline.planning.dry_run import TrainingTask, build_task_networks, draw_batches, step_on

WORDS, CAPTION_WORDS = 27, 8  # as the demo has them


class Steps:
    """A training that stands in the middle of its budget: `take` is one step of one rank."""

    def __init__(self, rank: Rank, shape: ClipParams, params: TrainParams) -> None:
        rank.share(params.batch_clips, params.group_clips)  # or say that it cannot be shared
        self.rank, self.params = rank, params
        self.task = TrainingTask(shape, params, rank.device, rank.world, WORDS, CAPTION_WORDS)
        self.nets = build_task_networks(self.task, compiled=True)
        self.batches = draw_batches(self.task, self.nets, self.task.share)

    def take(self, penalise: bool, batches: Sequence[Batch] = ()) -> None:
        """One step on these batches, or on those made up before; ends when the device has done it."""
        reseed(0, 0, 0)
        average = self.rank.average_gradients
        step_on(self.task, self.nets, batches or self.batches, penalise=penalise, average_gradients=average)
        if self.rank.device.type == "cuda":
            torch.cuda.synchronize(self.rank.device)

    def cycle(self) -> None:
        """As many steps as lie from one penalised step to the next."""
        for number in range(self.params.penalty_every):
            self.take(penalise=number == 0)
