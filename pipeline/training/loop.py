"""The training loop: from nothing, or from a checkpoint of an equal run that was stopped, to the end of the budget."""

import copy
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from pipeline.data.batches import object_words
from pipeline.data.dataset import Dataset, TrainingSplit
from pipeline.data.sampler import Order, reseed
from pipeline.distributed.devices import Rank
from pipeline.errors import Interrupted, UserError
from pipeline.losses.penalties import SharedRng
from pipeline.models.layers import channels_last, synchronise
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.monitoring.loggers import Log, Sampled, open_boards
from pipeline.monitoring.throughput import Meter
from pipeline.params import ClipParams, LoggingParams, StatesParams, TrainParams
from pipeline.training.checkpoints import States, fingerprint
from pipeline.training.history import Recent, Row
from pipeline.training.schedules import moment
from pipeline.training.step import Networks, train_step
from pipeline.training.stop_requests import StopRequests
from pipeline.training.validation import Validation, Watch


@dataclass(frozen=True)
class Run:
    """What one training run is, apart from its data and devices."""

    seed: int
    shape: ClipParams
    params: TrainParams
    words: int  # of the vocabulary that are learned
    states: States
    folder: Path  # for TensorBoard and pictures
    given: Tensor | None = None  # vectors [V,D] of the vocabulary, where they come from elsewhere
    names_object: Tensor | None = None  # bool [words]: which words name objects; all, where nothing is known
    state_clips: int | None = None  # clips between two saved states; None: saved when asked to stop, and at the end
    logging: LoggingParams | None = None  # None: to the terminal alone

    def describe(self) -> dict[str, Any]:
        """The settings that its result depends on, as plain values."""
        return describe_run(self.seed, self.shape, self.params)


def describe_run(seed: int, shape: ClipParams, params: TrainParams) -> dict[str, Any]:
    """The settings that the result of a run depends on, as plain values."""
    return {"seed": seed, "clip": shape.model_dump(), "train": params.model_dump()}


def build_run(
    dataset: Dataset,
    split: TrainingSplit,
    seed: int,
    shape: ClipParams,
    params: TrainParams,
    states: StatesParams,
    logging: LoggingParams,
) -> Run:
    """The training on a split of these data; its states and logs are named by all that its result depends on."""
    name = fingerprint(describe_run(seed, shape, params), dataset.folders.list_files())
    folder = Path(os.environ.get("DVC_ROOT", ".")) / "runs" / "training" / name[:12]
    words = len(dataset.vocabulary) - dataset.vocabulary.unlearned
    named = object_words([dataset.captions[name] for name in {clip.id for clip in split.clips}], words)
    kept = States(name, keep=states.keep)
    return Run(seed, shape, params, words, kept, folder, dataset.read_vectors(), named, states.every_clips, logging)


def build_networks(run: Run, device: torch.device) -> Networks:
    """Freshly initialised networks, the same on every rank."""
    reseed(run.seed, 0, -1)
    generator = TextToVideo(run.shape, run.params, run.words, run.given, run.names_object)
    discriminator = CaptionedDiscriminator(run.shape, run.params, run.words, run.given)
    for model in (generator, discriminator):
        channels_last(model.to(device))
    return Networks(generator, discriminator, copy.deepcopy(generator), run.params)


class Trainer:
    """A run on one rank. `nets` and `history` (one row per report) are its result once `train` returns."""

    def __init__(self, rank: Rank, run: Run, clips: TrainingSplit, validation: Validation | None = None) -> None:
        self.rank, self.run, self.clips = rank, run, clips
        self.share = rank.share(run.params.batch_clips, run.params.group_clips)
        self.steps = math.ceil(run.params.total_clips / run.params.step_clips)
        self.nets = build_networks(run, rank.device)
        if rank.world > 1:
            synchronise(self.nets.generator, rank.mean)
        self.states = run.states
        self.step = 0
        self.history: list[Row] = []
        self._recent = Recent(rank)
        self._watch = Watch(run.params, validation)  # the first rank's alone has a validation to look at
        self._ended = False  # before its budget was used up
        self._order = Order(run.seed, len(clips), run.params)
        self._meter: Meter | None = None  # of the first rank, while it trains
        self._sampled = Sampled(run.seed, clips)
        self._restore()

    @property
    def clips_seen(self) -> int:
        return self.step * self.run.params.step_clips

    @property
    def finished(self) -> bool:
        return self.step == self.steps or self._ended

    def train(self) -> None:
        """Train to the end of the budget, or until validation brings nothing better for too long.

        Raises Interrupted after saving the state when asked to stop, and UserError where a loss is not finite; the
        last good state stays in both cases, and an equal run goes on from it.
        """
        total = self.steps * self.run.params.step_clips
        # With several ranks, Ctrl-C reaches each of them from the terminal and once more from their launcher.
        stops = StopRequests(patient=self.rank.world > 1)
        quiet = self.rank.rank > 0
        boards = [] if quiet else open_boards(self.run.logging, self.run.folder, self.clips_seen, self.history)
        self._meter = None if quiet else Meter(self.rank.device, self.run.params, self.clips_seen)
        coming = self._order.coming(range(self.step, self.steps), self.share)
        with Log(boards, total, self.clips_seen, quiet=quiet) as log, stops as stop, self.clips.read_ahead(coming):
            log.warn(f"train: {len(self.clips)} clips, {self.clips.source}")
            if self.step:
                log.warn(f"train: going on from step {self.step} of {self.steps}, saved by an equal run")
            while not self.finished:
                self._recent.add(self._take_step())
                self.step += 1
                log.advance(self.clips_seen)
                stopping = self.rank.any(bool(stop))
                self._report(log, stopping)
                if stopping and not self.finished:
                    self.rank.any(True)  # the first rank has saved: an earlier end of another would cut it short
                    raise Interrupted(f"training is saved at step {self.step} of {self.steps}")

    def _take_step(self) -> dict[str, Tensor]:
        params = self.run.params
        reseed(self.run.seed, 0, self.step)  # the same on all ranks: each draws for the whole batch and takes its share
        z_width, penalise = self.nets.generator.z_width, self.step % params.penalty_every == 0
        step = partial(
            train_step,
            self.nets,
            [self.clips.batch(rows, z_width, self.share, params.opposites) for rows in self._order.batches(self.step)],
            params,
            moment(params, self.clips_seen),
            SharedRng(params.batch_clips, self.share, self.rank.device),
            penalise=penalise,
            average_gradients=self.rank.average_gradients,
        )
        return self._meter.take(step, penalised=penalise) if self._meter else step()

    def _report(self, log: Log, stopping: bool) -> None:
        validate = self._due(self.run.params.validation.every_clips)
        report, save = validate or self._due(self.run.params.report_clips), stopping or self._due(self.run.state_clips)
        if report or save:
            self._require_finite()
        if report:
            row = {"clips": float(self.clips_seen), **self._recent.row()}
            self.history.append(row | self._validate(log) if validate else row)
            if self._meter:
                rates = self._meter.rates(self.clips_seen, self.clips.source.waited)
                log.report(self.clips_seen, self.history[-1], rates)
        if self.rank.rank > 0:
            return
        if save or self._ended:
            self.states.save(self._state())
        if self.run.logging and self._due(self.run.logging.sample_clips):
            log.show(self.clips_seen, self._sampled.draw(self.nets), self._sampled.captions)

    def _due(self, every: int | None) -> bool:
        """Whether the last step passed a multiple of `every` clips, or was the last of all."""
        before = self.clips_seen - self.run.params.step_clips
        return self.finished or (every is not None and before // every < self.clips_seen // every)

    def _validate(self, log: Log) -> Row:
        """Figures of the first rank, which decides for all whether the run goes on."""
        row = self._watch.look(self.clips_seen, self.nets) if self.rank.rank == 0 else {}
        self._ended = self.rank.any(self._watch.exhausted)
        if self._ended:
            log.warn(f"train: ends after {self.clips_seen} clips: {self._watch}, see train.validation.patience")
        return row

    def choose(self) -> int:
        """Give the first rank's networks the weights to export -> the clips that they had been shown."""
        return self._watch.choose(self.clips_seen, self.nets)

    def _require_finite(self) -> None:
        if wrong := self._recent.average(self.step):
            where = f" on rank {wrong.rank} of {self.rank.world}" if self.rank.world > 1 else ""
            self._diverged(f"{wrong.name} was {wrong.value} at step {wrong.step} of {self.steps}{where}")
        if not self.nets.finite():
            self._diverged(f"weights are not finite after step {self.step} of {self.steps}")

    def _diverged(self, what: str) -> NoReturn:
        raise UserError(
            f"{what}; the last good state is kept in {self.states.folder}. "
            "Lower the learning rates or raise the gammas under `train`"
        )

    def _state(self) -> dict[str, Any]:
        # Values that are in no row yet are kept, so that a resumed history has the same rows.
        return {
            "step": self.step,
            "ended": self._ended,
            "history": self.history,
            "recent": self._recent.state(),
            "watch": self._watch.state(),
            "networks": self.nets.state(),
        }

    def _restore(self) -> None:
        # All begin with what the first rank has, down to the last bit: processors of other kinds may round otherwise.
        state = self.rank.first(lambda: self.states.load(torch.device("cpu")) or self._state())
        self.step, self._ended, self.history = state["step"], state["ended"], state["history"]
        self._recent.load(state["recent"])
        self._watch.load(state["watch"])
        self.nets.load(state["networks"])
