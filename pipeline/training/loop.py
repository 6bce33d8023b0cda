"""The training loop: from the start, or from a checkpoint of an equal stopped run, to the end of the budget."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor

from pipeline.data.dataset import Dataset, TrainingSplit, select_object_words
from pipeline.data.sampler import Sampler, reseed
from pipeline.distributed import Rank
from pipeline.distributed.launch import StopRequests
from pipeline.errors import Interrupted, UserError
from pipeline.extensions import is_reference, list_references
from pipeline.losses import SharedRng
from pipeline.models.layers import channels_last, synchronise
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import ClipParams, TrainParams
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.history import MetricAccumulator, MetricRow, Values
from pipeline.training.objectives import compute_schedule, list_settings
from pipeline.training.probe import find_oddities
from pipeline.training.step import Networks, train_step
from pipeline.training.validation import BestCheckpoint, ValidationSet


class Monitor(Protocol):
    """Observes a run on rank 0 without changing its result. See `pipeline.monitoring`."""

    @property
    def sample_clips(self) -> int | None:
        """Training clips between two calls of `sample`; None: never."""

    def watch(self, total_clips: int, clips_seen: int, history: Sequence[MetricRow]) -> AbstractContextManager[object]:
        """A context around the training; `history` holds the rows so far."""

    def measure(self, step: Callable[[], Values], *, penalised: bool) -> Values:
        """Run `step` and return its values."""

    def advance(self, clips_seen: int) -> None:
        """A step has ended."""

    def report(self, clips_seen: int, row: MetricRow, waited: float) -> None:
        """A new row of the history; `waited`: seconds so far spent waiting for data."""

    def sample(self, clips_seen: int, generator: TextToVideo) -> None:
        """Samples of the averaged generator are due."""

    def warn(self, message: str) -> None:
        """A message about the run."""


class NoMonitor:
    """Does nothing."""

    sample_clips = None

    def watch(self, *_: object) -> AbstractContextManager[object]:
        return nullcontext()

    def measure(self, step: Callable[[], Values], *, penalised: bool) -> Values:  # noqa: ARG002
        return step()

    def advance(self, *_: object) -> None:
        pass

    report = sample = warn = advance


@dataclass(frozen=True)
class Run:
    """What one training run is, apart from its data and devices."""

    seed: int
    shape: ClipParams
    params: TrainParams
    words: int  # of the vocabulary that are learned
    vectors: Tensor | None = None  # pretrained ones of the vocabulary [V,D]
    names_object: Tensor | None = None  # bool [words]: which words name objects; all, where nothing is known


def describe_run(seed: int, shape: ClipParams, params: TrainParams) -> dict[str, Any]:
    """The settings that the result of a run depends on, as plain values."""
    return {"seed": seed, "clip": shape.model_dump(), "train": params.model_dump()}


def build_run(dataset: Dataset, split: TrainingSplit, seed: int, shape: ClipParams, params: TrainParams) -> Run:
    """The training on a split of a dataset."""
    words = len(dataset.vocabulary) - dataset.vocabulary.unlearned
    named = select_object_words([dataset.captions[name] for name in {clip.id for clip in split.clips}], words)
    return Run(seed, shape, params, words, dataset.read_vectors(), named)


def build_networks(run: Run, device: torch.device) -> Networks:
    """Freshly initialised networks, the same on every rank; method flow has no discriminator."""
    reseed(run.seed, 0, -1)
    generator = TextToVideo(run.shape, run.params, run.words, run.vectors, run.names_object)
    discriminator = None
    if run.params.method == "gan":
        discriminator = CaptionedDiscriminator(run.shape, run.params, run.words, run.vectors)
        channels_last(discriminator.to(device))
    channels_last(generator.to(device))
    return Networks(generator, discriminator, copy.deepcopy(generator), run.params)


class Trainer:
    """A run on one rank. `nets` and `history` (one row per report) are its result once `train` returns."""

    def __init__(
        self,
        rank: Rank,
        run: Run,
        clips: TrainingSplit,
        validation: ValidationSet | None = None,
        checkpoints: Checkpoints | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.rank, self.run, self.clips = rank, run, clips
        self.share = rank.share(run.params.batch_clips, run.params.shared_clips, run.params.sharing_key)
        self.steps = math.ceil(run.params.total_clips / run.params.step_clips)
        self.nets = build_networks(run, rank.device)
        if rank.world > 1:
            synchronise(self.nets.generator, rank.mean)
        self.step = 0
        self.history: list[MetricRow] = []
        self._metrics = MetricAccumulator(rank)
        self._best = BestCheckpoint(run.params, validation)  # only that of rank 0 has a validation set
        self._told: set[str] = set()  # of a generator of one's own
        self._ended = False  # before its budget was used up
        self._sampler = Sampler(run.seed, len(clips), run.params)
        self._checkpoints = checkpoints  # None: nothing is saved
        self._monitor: Monitor = monitor or NoMonitor()
        self._restore()

    @property
    def clips_seen(self) -> int:
        return self.step * self.run.params.step_clips

    @property
    def finished(self) -> bool:
        return self.step == self.steps or self._ended

    def train(self) -> None:
        """Train to the end of the budget, or until early stopping.

        Raises Interrupted after saving the state when asked to stop, and UserError where a loss is not finite; the
        last good state stays in both cases, and an equal run goes on from it.
        """
        total = self.steps * self.run.params.step_clips
        # With several ranks, Ctrl-C reaches each of them from the terminal and once more from their launcher.
        stops = StopRequests(patient=self.rank.world > 1)
        coming = self._sampler.upcoming(range(self.step, self.steps), self.share)
        watching = self._monitor.watch(total, self.clips_seen, self.history)
        with watching, stops as stop, self.clips.read_ahead(coming):
            self._monitor.warn(f"train: {len(self.clips)} clips, {self.clips.source}")
            if self.step:
                self._monitor.warn(f"train: resuming from step {self.step} of {self.steps}, saved by an identical run")
            self._warn_of_generator(trained=False)
            while not self.finished:
                self._metrics.add(self._take_step())
                self.step += 1
                self._monitor.advance(self.clips_seen)
                stopping = self.rank.any_rank(bool(stop))
                self._report(stopping)
                if stopping and not self.finished:
                    self.rank.any_rank(True)  # the first rank has saved: an earlier end of another would cut it short
                    raise Interrupted(f"training is saved at step {self.step} of {self.steps}")
            self._warn_of_generator(trained=True)

    def take_steps(self, steps: int) -> Iterator[None]:
        """Take the next steps, one per iteration, without reports, validation and checkpoints."""
        with self.clips.read_ahead(self._sampler.upcoming(range(self.step, self.step + steps), self.share)):
            for _ in range(steps):
                self._take_step()
                self.step += 1
                yield

    def _take_step(self) -> Values:
        params = self.run.params
        reseed(self.run.seed, 0, self.step)  # the same on all ranks: each draws for the whole batch and takes its share
        z_width, penalise = self.nets.generator.z_width, self.step % params.penalty_every == 0
        step = partial(
            train_step,
            self.nets,
            [
                self.clips.batch(rows, z_width, self.share, params.opposites)
                for rows in self._sampler.batches(self.step)
            ],
            params,
            compute_schedule(params, self.clips_seen),
            SharedRng(params.batch_clips, self.share, self.rank.device),
            penalise=penalise,
            average_gradients=self.rank.average_gradients if self.rank.world > 1 else None,
        )
        return self._monitor.measure(step, penalised=penalise)

    def _report(self, stopping: bool) -> None:
        validate = self._due(self.run.params.validation.every_clips)
        report = validate or self._due(self.run.params.report_clips)
        every = self._checkpoints.every_clips if self._checkpoints else None
        save = stopping or self._due(every)
        if report or save:
            self._require_finite()
        if report:
            last = compute_schedule(self.run.params, self.clips_seen - self.run.params.step_clips)
            row = {"clips": float(self.clips_seen), **self._metrics.take_row(), **list_settings(self.run.params, last)}
            self.history.append(row | self._validate() if validate else row)
            self._monitor.report(self.clips_seen, self.history[-1], self.clips.source.waited)
        if self.rank.rank > 0:
            return
        if self._checkpoints and (save or self._ended):
            self._checkpoints.save(self._state())
        if self._due(self._monitor.sample_clips):
            self._monitor.sample(self.clips_seen, self.nets.average)

    def _due(self, every: int | None) -> bool:
        """Whether the last step passed a multiple of `every` clips, or was the last of all."""
        before = self.clips_seen - self.run.params.step_clips
        return self.finished or (every is not None and before // every < self.clips_seen // every)

    def _validate(self) -> MetricRow:
        """Metrics on rank 0, which decides for all whether the run ends early."""
        row = self._best.validate(self.clips_seen, self.nets) if self.rank.rank == 0 else {}
        self._ended = self.rank.any_rank(self._best.out_of_patience)
        if self._ended:
            self._monitor.warn(
                f"train: ends after {self.clips_seen} clips: {self._best}, see train.validation.patience"
            )
        return row

    def load_exported_weights(self) -> int:
        """Load the weights to export into the networks of rank 0 -> the clips that they had been trained on."""
        return self._best.load_exported_weights(self.clips_seen, self.nets)

    def _require_finite(self) -> None:
        if wrong := self._metrics.average_over_ranks(self.step):
            where = f" on rank {wrong.rank} of {self.rank.world}" if self.rank.world > 1 else ""
            self._diverged(f"{wrong.name} was {wrong.value} at step {wrong.step} of {self.steps}{where}")
        if not self.nets.finite():
            self._diverged(f"weights are not finite after step {self.step} of {self.steps}")

    def _diverged(self, what: str) -> NoReturn:
        kept = f"; the last good state is kept in {self._checkpoints.folder}" if self._checkpoints else ""
        own = ", ".join(list_references(self.run.params.model_dump()))
        more = f", unless it is due to code of your own: {own}" if own else ""
        raise UserError(f"{what}{kept}. Lower the learning rates or raise the gammas under `train`{more}")

    def _warn_of_generator(self, *, trained: bool) -> None:
        """Warn of what a generator of one's own does; of each oddity once."""
        kind = self.run.params.generator.kind
        if self.rank.rank or not is_reference(kind):
            return
        found = find_oddities(self.nets.average, trained=trained)
        for oddity in found.keys() - self._told:
            self._monitor.warn(f"train.generator.kind: {kind!r} {found[oddity]}")
        self._told |= found.keys()

    def _state(self) -> dict[str, Any]:
        # With the values that are in no row yet, so that a resumed history has the same rows.
        return {
            "step": self.step,
            "ended": self._ended,
            "history": self.history,
            "metrics": self._metrics.state(),
            "best": self._best.state(),
            "networks": self.nets.state(),
        }

    def _restore(self) -> None:
        saved = self._checkpoints
        # All ranks start with the exact state of rank 0: processors of another kind may round differently.
        state = self.rank.broadcast_from_rank0(
            lambda: (saved.load(torch.device("cpu")) if saved else None) or self._state()
        )
        self.step, self._ended, self.history = state["step"], state["ended"], state["history"]
        self._metrics.load(state["metrics"])
        self._best.load(state["best"])
        self.nets.load(state["networks"])
