"""Metrics by pretrained networks: FVD, similar distances, and how well clips fit their captions by CLIP.

Measured on the same sets of clips as all other metrics; docs/how-to/pretrained-metrics.md names the protocols.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.compute.sandbox import SandboxMode
from pipeline.distributed import parse_devices
from pipeline.evaluation.controls import (
    CHANCE,
    MEAN,
    SHUFFLED,
    AtChance,
    BeyondChance,
    Limit,
    Requirement,
    compute_ranking_chance,
)
from pipeline.evaluation.distances import MIN_DISTANCE_CLIPS, frechet
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import Floats, MeasuredClips
from pipeline.evaluation.metric import (
    ACCURACY_SCALE,
    DISTANCE_SCALE,
    Metric,
    Reference,
    average,
    compare_with_real,
    measure_distance,
)
from pipeline.measures import Features, mmd
from pipeline.pretrained import PretrainedNetworks, list_networks, load_networks
from pipeline.pretrained.networks import NETWORK_PATHS, CaptionNetwork, NetworkName


def open_networks(folder: Path, devices: str, sandbox: SandboxMode) -> PretrainedNetworks:
    """The networks in a folder, on the first of the devices. Raises UserError if one of them cannot be used."""
    return load_networks(folder, parse_devices(devices)[0], sandbox) if any(list_networks(folder)) else {}


def population_frechet(real: Features, fake: Features) -> float:
    """The Frechet distance as implemented for FVD: covariances are divided by n; `frechet` divides by n - 1."""
    return frechet(*(_shrink_deviations(features) for features in (real, fake)))


def _shrink_deviations(features: Features) -> Features:
    centre = features.mean(axis=0)
    shrunk: Features = centre + (features - centre) * math.sqrt(1 - 1 / len(features))
    return shrunk


@dataclass(frozen=True, kw_only=True)
class PretrainedMetric(Metric):
    """A figure that needs a pretrained network."""

    network: NetworkName
    figure: Callable[[MeasuredClips, Reference], Figure]

    def measure(self, clips: MeasuredClips, reference: Reference, name: str) -> Figure:  # noqa: ARG002
        network = reference.networks.get(self.network)
        if network is None:
            where = "evaluate.pretrained.weights; see docs/how-to/pretrained-metrics.md"
            return Figure(None, reason=f"no {NETWORK_PATHS[self.network]} in {where}")
        if reason := network.find_obstacle(clips.frames.shape[1]):
            return Figure(None, reason=reason)
        return self.figure(clips, reference)


def _build_distance(
    name: NetworkName, between: Callable[[Features, Features], float], *requirements: Requirement
) -> PretrainedMetric:
    """A distance between the features of one network."""

    def compare(clips: MeasuredClips, reference: Reference, count: int) -> Figure:
        network, most = reference.networks[name], reference.pretrained_clips
        real, fake = (side.extract(network, most)[:count] for side in (reference.real, clips))
        width = real.shape[1]
        if between is population_frechet and count <= width:
            # With fewer clips than features the covariance is singular, and the distance mostly bias.
            remedy = "raise evaluate.samples, real_clips and pretrained.clips, or the clips in test and val"
            reason = f"{count} clips on either side, {width + 1} are needed for {width} features: {remedy}"
            return Figure(None, clips=count, reason=reason)
        return measure_distance(between, real, fake, reference)

    figure = compare_with_real(
        compare, MIN_DISTANCE_CLIPS, lambda reference: min(reference.equal, reference.pretrained_clips)
    )
    return PretrainedMetric(figure=figure, requirements=requirements, network=name, scale=DISTANCE_SCALE)


def _measure_r_precision(clips: MeasuredClips, reference: Reference) -> Figure:
    ranks = _compare_captions(clips, reference)[:, 1]
    return average(np.where(np.isnan(ranks), np.nan, ranks < 1), reference)


def _measure_similarity(clips: MeasuredClips, reference: Reference) -> Figure:
    return average(_compare_captions(clips, reference)[:, 0], reference)


def _compare_captions(clips: MeasuredClips, reference: Reference) -> Floats:
    """The mean cosine of each clip's frames with its caption, and how many wrong captions have a larger one [N,2]."""
    network, most, bank = reference.networks["clip"], reference.pretrained_clips, reference.bank
    assert isinstance(network, CaptionNetwork)

    def compare(clips: MeasuredClips) -> Floats:
        features = torch.from_numpy(clips.extract(network, most))
        prompts = clips.prompts[: len(features)]
        own_texts = [prompt.caption.text for prompt in prompts]
        texts = sorted({*own_texts, *(prompt.caption.text for prompt in bank.prompts)})
        cosines = features @ network.embed_captions(texts).T  # [N,K]
        rows = {text: row for row, text in enumerate(texts)}
        own = cosines[range(len(own_texts)), [rows[text] for text in own_texts]]
        others = cosines[:, [rows[prompt.caption.text] for prompt in bank.prompts]]
        return torch.stack((own, bank.rank(own, others, prompts)), dim=1).numpy()

    return clips.keep((network, most, bank.distractors, len(bank.prompts)), compare)


FIRST_BY_CHANCE = partial(compute_ranking_chance, best=1)
BLUR = Limit(MEAN, "above", 1.0, of_real=True)
DISORDER = Limit(SHUFFLED, "above", 1.0, of_real=True)  # not for CLIP, which reads frames independently

PRETRAINED_METRICS: dict[str, PretrainedMetric] = {
    "clip_r_precision_at_1": PretrainedMetric(
        figure=_measure_r_precision,
        requirements=(AtChance(FIRST_BY_CHANCE), BeyondChance(FIRST_BY_CHANCE)),
        network="clip",
        scale=ACCURACY_SCALE,
    ),
    "clip_similarity": PretrainedMetric(
        figure=_measure_similarity,
        requirements=(Limit(CHANCE, "below", 0.98, of_real=True),),
        network="clip",
        scale=ACCURACY_SCALE,
    ),
    "fvd": _build_distance("i3d", population_frechet, BLUR, DISORDER),
    "kvd": _build_distance("i3d", mmd, BLUR, DISORDER),
    "videomae_frechet": _build_distance("videomae", population_frechet, BLUR, DISORDER),
    "videomae_mmd": _build_distance("videomae", mmd, BLUR, DISORDER),
    "vjepa2_frechet": _build_distance("vjepa2", population_frechet, BLUR, DISORDER),
    "vjepa2_mmd": _build_distance("vjepa2", mmd, BLUR, DISORDER),
    "clip_frechet": _build_distance("clip", population_frechet, BLUR),
    "clip_mmd": _build_distance("clip", mmd, BLUR),
}
