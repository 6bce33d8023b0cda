"""Training steps on made-up clips, one at a time, so that ways of training can be timed in turn."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.losses.draws import Draws
from pipeline.params import ClipParams, TrainParams
from pipeline.training.batches import Batch
from pipeline.training.devices import Rank
from pipeline.training.run import Run, build_networks
from pipeline.training.schedules import moment
from pipeline.training.seeds import reseed
from pipeline.training.states import States
from pipeline.training.step import train_step

WORDS, CAPTION_WORDS = 27, 8  # as the demo has them


class Steps:
    """A training that stands in the middle of its budget: `take` is one step of one rank."""

    def __init__(self, rank: Rank, shape: ClipParams, params: TrainParams) -> None:
        self.rank, self.params = rank, params
        self.share = rank.share(params.batch_clips, params.group_clips)
        named = torch.arange(WORDS) % 2 == 0
        run = Run(0, shape, params, WORDS, States("none"), Path("none"), names_object=named)
        self.nets = build_networks(run, rank.device)
        self.now = moment(params, params.total_clips // 2)
        self.batches = [self._made_up(shape) for _ in range(params.step_clips // params.batch_clips)]

    def take(self, penalise: bool, batches: Sequence[Batch] = ()) -> None:
        """One step on these batches, or on those made up before; ends when the device has done it."""
        reseed(0, 0, 0)
        train_step(
            self.nets,
            batches or self.batches,
            self.params,
            self.now,
            Draws(self.params.batch_clips, self.share, self.rank.device),
            penalise=penalise,
            average_gradients=self.rank.average_gradients,
        )
        if self.rank.device.type == "cuda":
            torch.cuda.synchronize(self.rank.device)

    def cycle(self) -> None:
        """As many steps as lie from one penalised step to the next."""
        for number in range(self.params.penalty_every):
            self.take(penalise=number == 0)

    def _made_up(self, shape: ClipParams) -> Batch:
        clips = self.params.batch_clips
        frames = torch.randint(0, 256, (clips, shape.frames, shape.height, shape.width, 3), dtype=torch.uint8)
        ids, others = torch.randint(2, WORDS, (2, clips, CAPTION_WORDS))
        z = torch.randn(clips, self.nets.generator.z_width)
        return Batch(*(whole[self.share].to(self.rank.device) for whole in (frames, ids, others, z)))
