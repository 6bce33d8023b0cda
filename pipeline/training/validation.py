"""Validation on the split val during training, the best checkpoint, and early stopping."""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.dataset import Dataset, pad, select_evenly, to_frames, to_training
from pipeline.data.sampler import derive_seed, draw_noise, match_contents
from pipeline.directions import DIRECTIONS
from pipeline.measures import (
    Features,
    average_parts,
    is_along,
    make_thumbnails,
    measure_flow,
    measure_laplacian_energies,
    measure_movement,
    mmd,
    standardise,
)
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.params import TrainParams, ValidationName
from pipeline.records import Clip, Frames, select_condition_ids
from pipeline.training.history import MetricRow
from pipeline.training.objectives import uncompiled
from pipeline.training.step import Networks

MIN_CLIPS = 20  # clips; metrics of fewer would be chance

SIGNS: dict[ValidationName, float] = {"discrepancy": -1.0, "motion_direction": 1.0}  # 1: the larger the better
Weights = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class ValidationClips:
    """Real clips and what their labels say about them."""

    moves: Sequence[str]  # direction of motion of each, a name of DIRECTIONS; any other string if unknown
    frames: Frames  # uint8 [N,T,H,W,3]
    token_ids: Tensor  # int64 [N,L]


class ValidationSet:
    """Validates the networks of a run, each time on the same clips of val with the same captions and noise.

    `train` has as many training clips. At most `at_once` clips go through a network together.
    """

    def __init__(self, seed: int, train: ValidationClips, val: ValidationClips, at_once: int) -> None:
        self._seed, self._train, self._val, self._at_once = derive_seed(seed, "val"), train, val, at_once
        self._motions = {row: DIRECTIONS[name] for row, name in enumerate(val.moves) if name in DIRECTIONS}
        self._features = compute_features(val.frames)

    def measure(self, nets: Networks) -> MetricRow:
        """Metrics by name; without `val/motion_direction` if too few captions state a direction.

        The discriminator gap is its mean logit on train minus that on val, which grows as it memorises its training
        clips: Thanh-Tung et al. 2019, arXiv:1902.03984. A second one is that on val minus samples. Method flow has
        neither.
        """
        row: MetricRow = {}
        with torch.no_grad(), uncompiled():  # networks would be compiled once more for inference
            z = draw_noise(self._seed, len(self._val.moves), nets.average.z_width).to(self._val.token_ids.device)
            samples = [nets.average(z[part], self._val.token_ids[part]) for part in self._parts()]
            if nets.discriminator is not None:
                row = self._measure_gaps(nets.discriminator, samples)
        frames = np.concatenate([to_frames(part) for part in samples])
        row["val/discrepancy"] = measure_discrepancy(self._features, compute_features(frames))
        if len(self._motions) >= MIN_CLIPS:
            motions = self._motions.items()
            right = [is_along(measure_movement(measure_flow(frames[row])), motion) for row, motion in motions]
            row["val/motion_direction"] = float(np.mean(right))
        return row

    def _measure_gaps(self, discriminator: CaptionedDiscriminator, samples: Sequence[Tensor]) -> MetricRow:
        with eval_mode(discriminator):
            made = _mean(
                [discriminator(x, self._val.token_ids[p]) for x, p in zip(samples, self._parts(), strict=True)]
            )
            trained, unseen = (self._on_real(discriminator, few) for few in (self._train, self._val))
        return {"val/discriminator_gap": trained - unseen, "val/discriminator_gap_generated": unseen - made}

    def _on_real(self, discriminator: CaptionedDiscriminator, few: ValidationClips) -> float:
        device = few.token_ids.device
        frames = torch.from_numpy(few.frames)
        return _mean([discriminator(to_training(frames[p].to(device)), few.token_ids[p]) for p in self._parts()])

    def _parts(self) -> list[slice]:
        return [slice(at, at + self._at_once) for at in range(0, len(self._val.moves), self._at_once)]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Within the block, `model` is in eval mode: its spectral norms are not updated."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def compute_features(clips: Frames) -> list[Features]:
    """Two kinds of features: Laplacian energies by scale [N,12], and thumbnails [N,768]."""
    return [
        np.array([measure_laplacian_energies(clip) for clip in clips]),
        np.array([make_thumbnails(average_parts(clip)) for clip in clips]),
    ]


def measure_discrepancy(real: Sequence[Features], fake: Sequence[Features]) -> float:
    """MMD between two sets of clips, with equal weights for both kinds of features.

    Features are standardised by the real clips themselves. For few clips that makes the value somewhat too large: see
    `standardise`; the evaluation, whose figures are read on their own, uses training clips instead. Here only
    differences between validations matter, and these compare with the same real clips: the kernel is the same for all.
    """
    kinds = [(*standardise(a, b), a.shape[1]) for a, b in zip(real, fake, strict=True)]
    width = sum(features for *_, features in kinds)
    weights = [np.sqrt(width / (len(kinds) * features)) for *_, features in kinds]
    sets = zip(*((a * weight, b * weight) for (a, b, _), weight in zip(kinds, weights, strict=True)), strict=True)
    return mmd(*(np.concatenate(blocks, axis=1) for blocks in sets))


def _mean(logits: list[Tensor]) -> float:
    return float(torch.cat(logits).double().mean())


def open_validation_set(
    seed: int,
    params: TrainParams,
    dataset: Dataset,
    device: torch.device,
    at_once: int,
) -> ValidationSet | None:
    """The validation set of a run; None, with a notice, if the split val has too few clips."""
    val, train = dataset.rows("val"), dataset.rows("train")
    # The discriminator of mixed batches judges whole groups.
    count = min(params.validation.clips, len(val), len(train)) // params.group_clips * params.group_clips
    if count < MIN_CLIPS:
        message = f"{len(val)} clips of the val split and {len(train)} of train, of at most {params.validation.clips}"
        print(f"train: no validation: {message}; it takes {MIN_CLIPS} of each", file=sys.stderr)
        return None
    val = select_evenly(val, count)
    directed = sum(clip.moves in DIRECTIONS for clip in dataset.clips(val))
    if params.validation.metric == "motion_direction" and directed < MIN_CLIPS:
        message = f"{directed} of {count} captions of val name a direction of motion"
        print(f"train: no best checkpoint: {message}, and motion_direction needs {MIN_CLIPS}", file=sys.stderr)
    matches = match_clips(dataset.clips(val), dataset.clips(train))

    def read_clips(rows: Sequence[int]) -> ValidationClips:
        clips = dataset.clips(rows)
        ids = [select_condition_ids(dataset.captions[clip.id], params.captions.conditioning) for clip in clips]
        return ValidationClips([clip.moves for clip in clips], dataset.frames(rows), pad(ids).to(device))

    return ValidationSet(seed, read_clips([train[row] for row in matches]), read_clips(val), at_once)


def match_clips(wanted: Sequence[Clip], clips: Sequence[Clip]) -> list[int]:
    """For each wanted clip the index of a similar one, none twice: same category and objects, else category, else any.

    Logits depend on the content of a clip; only between sets of equal contents does a gap show memorisation.
    """
    return match_contents(*([((c.category, c.objects), c.category, None) for c in some] for some in (wanted, clips)))


class BestCheckpoint:
    """Tracks the best validation by `train.validation.metric`, and its weights if `train.export` is `best`."""

    def __init__(self, params: TrainParams, validation: ValidationSet | None) -> None:
        self._metric, self._patience = params.validation.metric, params.validation.patience
        self._keeps = params.export == "best"
        self._validation = validation
        self._best, self._clips, self._since = math.nan, 0, 0  # since: validations after the best one
        self._weights: Weights = {}

    @property
    def out_of_patience(self) -> bool:
        """Whether `train.validation.patience` validations in a row brought no improvement."""
        return self._patience is not None and self._since >= self._patience

    def __str__(self) -> str:
        return f"best {self._metric} {self._best:.4g} after {self._clips} clips"

    def validate(self, clips_seen: int, nets: Networks) -> MetricRow:
        """Metrics for a row of the history; empty without a validation set."""
        row = {} if self._validation is None else self._validation.measure(nets)
        value = row.get(f"val/{self._metric}")
        if value is None:
            return row
        if math.isnan(self._best) or (value - self._best) * SIGNS[self._metric] > 0:
            self._best, self._clips, self._since = value, clips_seen, 0
            if self._keeps:
                self._weights = {name: _copied(model.state_dict()) for name, model in _list_exported(nets).items()}
        else:
            self._since += 1
        return row

    def load_exported_weights(self, clips_seen: int, nets: Networks) -> int:
        """Load the weights that `train.export` names into the networks -> the clips that they had been trained on."""
        for name, weights in self._weights.items():
            _list_exported(nets)[name].load_state_dict(weights)
        return self._clips if self._weights else clips_seen

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "clips": self._clips, "since": self._since, "weights": self._weights}

    def load(self, state: dict[str, Any]) -> None:
        self._best, self._clips, self._since = state["best"], state["clips"], state["since"]
        self._weights = state["weights"]


def _list_exported(nets: Networks) -> dict[str, nn.Module]:
    """The networks that are exported, by name."""
    if nets.discriminator is None:
        return {"average": nets.average}
    return {"average": nets.average, "discriminator": nets.discriminator}


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}
