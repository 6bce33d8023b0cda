"""Figures by networks that others have trained: FVD and its kin, and how well clips fit their captions by CLIP.

The same sets of clips at the same numbers as everywhere here; docs/how-to/pretrained-metrics.md has the protocols.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.distributed.devices import parse_devices
from pipeline.evaluation.distances import LEAST, frechet
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.metrics import Yardstick, distance_figure, share
from pipeline.evaluation.views import Floats, Views, ranks_of
from pipeline.judges.classes import Prompt
from pipeline.measures import Features, mmd
from pipeline.pretrained import PLACES, NetworkName, Networks, holds, load_networks
from pipeline.pretrained.network import Network
from pipeline.pretrained.transformers_networks import CLIP


def population_frechet(real: Features, fake: Features) -> float:
    """The Frechet distance as FVDs have it: covariances are divided by n, where `frechet` has n - 1."""
    return frechet(*(_drawn_in(features) for features in (real, fake)))


def _drawn_in(features: Features) -> Features:
    centre = features.mean(axis=0)
    drawn: Features = centre + (features - centre) * math.sqrt(1 - 1 / len(features))
    return drawn


class Distance(NamedTuple):
    """A distance between sets as one network sees them."""

    network: NetworkName
    between: Callable[[Features, Features], float]


DISTANCES = {
    "fvd": Distance("i3d", population_frechet),
    "kvd": Distance("i3d", mmd),
    "videomae_frechet": Distance("videomae", population_frechet),
    "videomae_mmd": Distance("videomae", mmd),
    "vjepa2_frechet": Distance("vjepa2", population_frechet),
    "vjepa2_mmd": Distance("vjepa2", mmd),
    "clip_frechet": Distance("clip", population_frechet),
    "clip_mmd": Distance("clip", mmd),
}


MATCHES = ("clip_r_precision_at_1", "clip_similarity")


OUTSIDE = (*MATCHES, *DISTANCES)


ORDERED = ("i3d", "videomae", "vjepa2")  # networks that see in which order frames come


def open_networks(folder: Path, devices: str) -> Networks:
    """The networks that lie in a folder, on the first device of a run. Raises UserError where one is not right."""
    return load_networks(folder, parse_devices(devices)[0]) if any(holds(folder)) else {}


class Outsiders:
    """What pretrained networks see in sets of clips, of each in no more than so many clips."""

    def __init__(self, networks: Networks, clips: int, bank: Sequence[Prompt], distractors: int) -> None:
        """`bank` holds one prompt per meaning, to draw wrong captions from."""
        self._networks, self._clips, self._bank, self._distractors = networks, clips, bank, distractors
        self._seen = cache(self._look)  # asked by every distance, of the real clips by every set

    @property
    def absent(self) -> set[str]:
        """The figures whose network is not there."""
        names = {name for name, distance in DISTANCES.items() if distance.network not in self._networks}
        return names if "clip" in self._networks else {*names, *MATCHES}

    def measure(self, views: Views, yardstick: Yardstick) -> dict[str, Figure]:
        """All figures of a set of clips, in the order of OUTSIDE."""
        found = self._matches(views, yardstick)
        return found | {name: self._distance(distance, views, yardstick) for name, distance in DISTANCES.items()}

    def _look(self, network: Network, views: Views) -> Features:
        return network.extract_all(views.frames[: self._clips])

    def _missing(self, name: NetworkName, views: Views) -> str:
        """Why a network says nothing about clips; empty where it does."""
        network = self._networks.get(name)
        if network is None:
            return f"no {PLACES[name]} in evaluate.pretrained.weights; see docs/how-to/pretrained-metrics.md"
        return network.find_obstacle(views.frames.shape[1])

    def _distance(self, distance: Distance, views: Views, yardstick: Yardstick) -> Figure:
        if reason := self._missing(distance.network, views):
            return Figure(None, reason=reason)
        if views is yardstick.real:
            return Figure(None, reason="what the others are compared with")
        count = min(len(views), yardstick.equal, self._clips)  # the same for all sets that have so many
        if count < LEAST:
            return Figure(None, clips=count, reason=f"{count} clips on either side, {LEAST} are needed")
        network = self._networks[distance.network]
        real, fake = (self._seen(network, side)[:count] for side in (yardstick.real, views))
        width = real.shape[1]
        if distance.between is population_frechet and count <= width:
            # Of fewer clips than features a covariance knows nothing in most directions, and the distance is bias.
            return Figure(None, clips=count, reason=f"{count} clips on either side, {width + 1} are needed")
        return distance_figure(distance.between, real, fake, yardstick)

    def _matches(self, views: Views, yardstick: Yardstick) -> dict[str, Figure]:
        if reason := self._missing("clip", views):
            return dict.fromkeys(MATCHES, Figure(None, reason=reason))
        own, ranks = self._fit(views)
        right = np.where(np.isnan(ranks), np.nan, ranks < 1)
        return dict(zip(MATCHES, (share(right, yardstick), share(own, yardstick)), strict=True))

    def _fit(self, views: Views) -> tuple[Floats, Floats]:
        """The mean cosine of each clip's frames with its caption, and how many wrong captions have a larger one."""
        network = self._networks["clip"]
        assert isinstance(network, CLIP)
        clips = torch.from_numpy(self._seen(network, views))
        prompts = views.prompts[: len(clips)]
        said = [prompt.caption.text for prompt in prompts]
        texts = sorted({*said, *(prompt.caption.text for prompt in self._bank)})
        cosines = clips @ network.embed_captions(texts).T  # [N,K]
        rows = {text: row for row, text in enumerate(texts)}
        own = cosines[range(len(said)), [rows[text] for text in said]]
        others = cosines[:, [rows[prompt.caption.text] for prompt in self._bank]]
        return own.numpy(), ranks_of(own, others, prompts, self._bank, self._distractors).numpy()
