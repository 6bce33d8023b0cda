"""Is a clip made up, or taken from the training clips? The nearest one of them, in three spaces."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.search import nearest_rows
from pipeline.evaluation.views import EDGE, Floats, Views, Whole, small_pictures
from pipeline.measures.coarse import in_parts
from pipeline.params import SearchName
from pipeline.records import Frames

SPACES = ("pixels", "features", "flows")
# A clip counts as a copy where it is nearer than this share of the unseen real clips: 1 % over all spaces together.
QUANTILE = 0.01 / len(SPACES)
LEAST_UNSEEN = 50  # real clips: of fewer the nearest is no measure of how near is too near


@dataclass(frozen=True)
class Nearest:
    """For each clip its nearest training clip in one space."""

    rows: Whole  # [N] of the training clips
    distances: NDArray[np.float64]  # [N]


class Copies:
    """Compares clips with the training clips, exactly, and knows how near unseen real clips come to those."""

    def __init__(self, train: Views, unseen: Views, by: SearchName) -> None:
        self.train = train
        self.by: SearchName = by
        self.nearest = cache(self._search)  # asked by rates, pictures and mimics alike
        self.unseen = len(unseen)
        # The lower neighbour of the quantile: no more unseen clips than the quantile says are nearer.
        self.limits = {
            space: float(np.quantile(self.nearest(unseen, space).distances, QUANTILE, method="lower"))
            for space in SPACES
        }

    def _search(self, views: Views, space: str) -> Nearest:
        """The nearest training clip of each clip in one of SPACES; of pixels, wherever the clip is shifted to."""
        versions = _shifted(views.frames) if space == "pixels" else [getattr(views, space)]
        found = [nearest_rows(version, getattr(self.train, space), self.by) for version in versions]
        rows, distances = (np.stack(parts) for parts in zip(*found, strict=True))  # [versions,N]
        best = distances.argmin(axis=0), np.arange(rows.shape[1])
        return Nearest(rows[best], distances[best])

    def closeness(self, views: Views) -> dict[str, Floats]:
        """For each space, the distance to the nearest training clip by its limit: below 1 a clip counts as a copy."""
        near = {space: self.nearest(views, space).distances for space in SPACES}
        return {space: near[space] / limit if (limit := self.limits[space]) else near[space] + 1 for space in SPACES}

    def nearer(self, views: Views) -> dict[str, NDArray[np.bool_]]:
        """For each space, which clips are nearer to a training clip than all but the nearest unseen real ones."""
        return {space: self.nearest(views, space).distances < self.limits[space] for space in SPACES}

    def mimics(self, views: Views) -> Floats:
        """1 where the nearest training clip, by features, shows another object than the clip should, nan if unknown."""
        rows = self.nearest(views, "features").rows
        meant = np.array([prompt.object for prompt in views.prompts])
        found = np.array([self.train.prompts[row].object for row in rows])
        return np.where(meant >= 0, meant != found, np.nan)


def _shifted(frames: Frames) -> list[Floats]:
    """Small pictures of the clips moved by up to EDGE pixels: a copy is one wherever it lies."""
    steps = range(-EDGE, EDGE + 1)
    clips = [in_parts(clip) for clip in frames]
    return [small_pictures(clips, down, right) for down in steps for right in steps]
