"""The training loop: from nothing, or from the state of an equal run that was stopped, to the end of the budget."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import Interrupted, UserError
from pipeline.losses.draws import Draws
from pipeline.models.layers import channels_last
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.models.norms import synchronise
from pipeline.params import ClipParams, TrainParams
from pipeline.training.batches import ClipSet, to_frames
from pipeline.training.devices import Rank
from pipeline.training.log import Log, Row
from pipeline.training.schedules import moment
from pipeline.training.seeds import noise, reseed, shuffled_rows
from pipeline.training.states import States
from pipeline.training.step import Networks, train_step
from pipeline.training.stopping import StopRequests

SHOWN = 8  # clips in a sample video


@dataclass(frozen=True)
class Run:
    """What one training run is, apart from its data and devices."""

    seed: int
    shape: ClipParams
    params: TrainParams
    words: int  # of the vocabulary that are learned
    states: States
    board: Path  # folder for TensorBoard
    given: Tensor | None = None  # vectors [V,D] of the vocabulary, where they come from elsewhere
    names_object: Tensor | None = None  # bool [words]: which words name objects; all, where nothing is known


class Trainer:
    """A run on one rank. `nets` and `history` (one row per report) are its result once `train` returns."""

    def __init__(self, rank: Rank, run: Run, clips: ClipSet) -> None:
        self.rank, self.run, self.clips = rank, run, clips
        self.share = rank.share(run.params.batch_clips, run.params.group_clips)
        self.steps = math.ceil(run.params.total_clips / run.params.step_clips)
        self.nets = build_networks(run, rank.device)
        if rank.world > 1:
            synchronise(self.nets.generator, rank.mean)
        self.states = run.states
        self.step = 0
        self.history: list[Row] = []
        self.recent: list[dict[str, Tensor]] = []  # values of the steps since the last row
        self.averaged = 0  # how many of them are means over all ranks already
        self._restore()

    @property
    def clips_seen(self) -> int:
        return self.step * self.run.params.step_clips

    def train(self) -> None:
        """Train to the end of the budget.

        Raises Interrupted after saving the state when asked to stop, and UserError where a loss is not finite; the
        last good state stays in both cases, and an equal run goes on from it.
        """
        total = self.steps * self.run.params.step_clips
        # With several ranks, Ctrl-C reaches each of them from the terminal and once more from their launcher.
        stops = StopRequests(patient=self.rank.world > 1)
        with Log(self.run.board, total, self.clips_seen, quiet=self.rank.rank > 0) as log, stops as stop:
            if self.step:
                log.warn(f"train: going on from step {self.step} of {self.steps}, saved by an equal run")
            while self.step < self.steps:
                self.recent.append(self._take_step())
                self.step += 1
                log.advance(self.clips_seen)
                stopping = self.rank.any(bool(stop))
                self._report(log, stopping)
                if stopping and self.step < self.steps:
                    self.rank.any(True)  # the first rank has saved: an earlier end of another would cut it short
                    raise Interrupted(f"training is saved at step {self.step} of {self.steps}")

    def _take_step(self) -> dict[str, Tensor]:
        params = self.run.params
        reseed(self.run.seed, 0, self.step)  # the same on all ranks: each draws for the whole batch and takes its share
        rows = shuffled_rows(self.run.seed, self.clips_seen, params.step_clips, len(self.clips))
        batches = [
            self.clips.batch(part, self.nets.generator.z_width, self.share, params.opposites)
            for part in rows.reshape(-1, params.batch_clips)
        ]
        return train_step(
            self.nets,
            batches,
            params,
            moment(params, self.clips_seen),
            Draws(params.batch_clips, self.share, self.rank.device),
            penalise=self.step % params.penalty_every == 0,
            average_gradients=self.rank.average_gradients,
        )

    def _report(self, log: Log, stopping: bool) -> None:
        params = self.run.params
        report, sample = self._due(params.report_clips), self._due(params.sample_clips)
        save = stopping or self._due(params.state_clips)
        if report or save:
            self._average_recent()
            self._require_finite()
        if save and not self.nets.finite():
            raise UserError(f"weights are not finite after step {self.step} of {self.steps}; {self._way_out()}")
        if report:
            self.history.append({"clips": float(self.clips_seen), **_means(self.recent)})
            self.recent, self.averaged = [], 0
            log.report(self.clips_seen, self.history[-1])
        if self.rank.rank == 0 and save:
            self.states.save(self._state())
        if self.rank.rank == 0 and sample:
            log.show(self.clips_seen, self._samples())

    def _due(self, every: int) -> bool:
        """Whether the last step passed a multiple of `every` clips, or was the last of all."""
        before = self.clips_seen - self.run.params.step_clips
        return self.step == self.steps or before // every < self.clips_seen // every

    def _average_recent(self) -> None:
        new = self.recent[self.averaged :]
        self.rank.average([value for values in new for value in values.values()])
        self.averaged = len(self.recent)

    def _require_finite(self) -> None:
        for number, values in enumerate(self.recent, self.step - len(self.recent) + 1):
            if wrong := [name for name, value in values.items() if not torch.isfinite(value)]:
                value = float(values[wrong[0]])
                raise UserError(f"{wrong[0]} was {value} at step {number} of {self.steps}; {self._way_out()}")

    def _way_out(self) -> str:
        return (
            f"the last good state is kept in {self.states.folder}. "
            "Lower the learning rates or raise the gammas under `train`"
        )

    def _samples(self) -> Any:
        count = min(SHOWN, len(self.clips))
        z = noise(self.run.seed, count, self.nets.average.z_width).to(self.rank.device)
        with torch.no_grad():
            return to_frames(self.nets.average(z, self.clips.token_ids[:count]))

    def _state(self) -> dict[str, Any]:
        # Values that are in no row yet are kept, so that a resumed history has the same rows.
        recent = [{name: float(value) for name, value in values.items()} for values in self.recent]
        return {"step": self.step, "history": self.history, "recent": recent, "networks": self.nets.state()}

    def _restore(self) -> None:
        state = self.states.load(self.rank.device)
        if state is not None:
            self.nets.load(state["networks"])
            self.step, self.history = state["step"], state["history"]
            device = self.rank.device
            self.recent = [{n: torch.tensor(v, device=device) for n, v in values.items()} for values in state["recent"]]
            self.averaged = len(self.recent)
        self.rank.any(False)  # no rank goes on, and perhaps removes the state, before all have read it


def build_networks(run: Run, device: torch.device) -> Networks:
    """Freshly initialised networks, the same on every rank."""
    reseed(run.seed, 0, -1)
    generator = TextToVideo(run.shape, run.params, run.words, run.given, run.names_object)
    discriminator = CaptionedDiscriminator(run.shape, run.params, run.words, run.given)
    for model in (generator, discriminator):
        channels_last(model.to(device))
    return Networks(generator, discriminator, copy.deepcopy(generator), run.params)


def _means(values: list[dict[str, Tensor]]) -> Row:
    """The mean of each value over the steps that have it, by name in order."""
    names = sorted({name for step in values for name in step})
    return {name: float(torch.stack([step[name] for step in values if name in step]).mean()) for name in names}
