"""Is a clip made up, or copied from the training clips? The nearest one of them, in three spaces."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.views import EDGE, Floats, Views, Whole, small_pictures
from pipeline.measures import in_parts
from pipeline.params import SearchName
from pipeline.records import Frames

Table = NDArray[np.float64]  # one row per clip
AT_ONCE = 4_000_000  # distances in memory
CANDIDATES = 4  # that faiss finds in float32; the nearest of them in float64 is the nearest of all

SPACES = ("pixels", "features", "flows")
# A clip counts as a copy where it is nearer than this share of the unseen real clips: 1 % over all spaces together.
QUANTILE = 0.01 / len(SPACES)
LEAST_UNSEEN = 50  # real clips: of fewer the nearest is no measure of how near is too near


def nearest_rows(asked: Table, base: Table, by: SearchName) -> tuple[Whole, Table]:
    """The nearest row of `base` for each row of `asked` [N], and how far it is [N]."""
    rows = _by_faiss(asked, base) if by == "faiss" else _by_numpy(asked, base)
    distances: Table = np.linalg.norm(asked - base[rows], axis=1)
    return rows, distances


def _by_numpy(asked: Table, base: Table) -> Whole:
    """By products of matrices, |a - b|^2 being |a|^2 - 2 ab + |b|^2: several times as fast as pair by pair."""
    centre = base.mean(axis=0)  # near 0 the differences keep the digits that tell near rows apart
    asked, base = asked - centre, base - centre
    lengths = (base**2).sum(axis=1)
    step = max(AT_ONCE // len(base), 1)
    parts = [(lengths - 2 * (asked[at : at + step] @ base.T)).argmin(axis=1) for at in range(0, len(asked), step)]
    return np.concatenate(parts)


def _by_faiss(asked: Table, base: Table) -> Whole:
    """By a flat index in float32: at times faster still where there are many rows."""
    try:
        import faiss
    except ModuleNotFoundError:
        raise UserError("evaluate.search: faiss is not installed; pip install 't2v[faiss]', or say numpy") from None
    centre = base.mean(axis=0)  # float32 then keeps the digits that tell near rows apart
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(np.ascontiguousarray(base - centre, np.float32))
    _, found = index.search(np.ascontiguousarray(asked - centre, np.float32), min(CANDIDATES, len(base)))
    distances = np.linalg.norm(asked[:, None] - base[found], axis=2)
    nearest: Whole = found[np.arange(len(found)), distances.argmin(axis=1)]
    return nearest


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
