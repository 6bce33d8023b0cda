"""Seeds, noise, the rows of each step, and rows paired by their contents.

Random numbers are a function of seed and step, so a resumed run repeats them. torch is imported lazily.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from pipeline.params import TrainParams


Kinds = Sequence[Hashable]  # of a clip, from the narrowest to the widest


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits for these parts; nearby parts give unrelated seeds."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def reseed(seed: int, rank: int, step: int) -> None:
    """Open a step, so that step 900 draws the same after a stop at 500."""
    import torch

    torch.manual_seed(derive_seed(seed, "step", rank, step))


def draw_noise(seed: int, count: int, width: int, first: int = 0) -> "torch.Tensor":
    """Fixed z for pictures, from row `first` on: [count,width] float32 on the CPU; a row depends on no other."""
    import torch

    rows = [
        torch.randn(width, generator=torch.Generator().manual_seed(derive_seed(seed, "z", row)))
        for row in range(first, first + count)
    ]
    return torch.stack(rows)


def shuffle_rows(seed: int, first: int, count: int, rows: int) -> NDArray[np.int64]:
    """Which rows are clips number `first` to `first + count`, each epoch in its own order -> int64 [count]"""
    positions = np.arange(first, first + count)
    return np.array(
        [_order(seed, position // rows, rows)[position % rows] for position in positions.tolist()], np.int64
    )


@lru_cache(2)  # a batch may lie across the end of an epoch
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(rows)


class Sampler:
    """The rows of each step's batches among `clips` of them, on all ranks together; each epoch is shuffled anew."""

    def __init__(self, seed: int, clips: int, params: "TrainParams") -> None:
        self._seed, self._clips = seed, clips
        self._step_clips, self._batch_clips = params.step_clips, params.batch_clips

    def batches(self, step: int) -> NDArray[np.int64]:
        """A line for each batch of a step."""
        rows = shuffle_rows(self._seed, step * self._step_clips, self._step_clips, self._clips)
        return rows.reshape(-1, self._batch_clips)

    def upcoming(self, steps: range, share: slice) -> Iterator[NDArray[np.int64]]:
        """Of each batch of these steps, one after another, the part of one rank."""
        return (rows[share] for step in steps for rows in self.batches(step))


def match_contents(wanted: Sequence[Kinds], available: Sequence[Kinds]) -> list[int]:
    """For each wanted clip the index of an available one, none twice, of the same narrowest kind that still has one.

    All have equally many kinds, the widest of which is the same for all; at least as many are available as wanted.
    """
    free = dict.fromkeys(range(len(available)))
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for index, kinds in enumerate(available):
        for level, kind in enumerate(kinds):
            alike[level, kind].append(index)
    found = [-1] * len(wanted)
    for level in range(len(wanted[0]) if wanted else 0):  # best matches first, so that no clip takes one from a better
        for row, kinds in enumerate(wanted):
            if found[row] < 0:
                found[row] = next((index for index in alike[level, kinds[level]] if index in free), -1)
                free.pop(found[row], None)
    return found
