"""Which clips a run shows in which step, known from the start."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.params import TrainParams
from pipeline.training.seeds import shuffled_rows


class Order:
    """The rows of each step's batches among `clips` of them, on all ranks together; each epoch is shuffled anew."""

    def __init__(self, seed: int, clips: int, params: TrainParams) -> None:
        self._seed, self._clips = seed, clips
        self._step_clips, self._batch_clips = params.step_clips, params.batch_clips

    def batches(self, step: int) -> NDArray[np.int64]:
        """A line for each batch of a step."""
        rows = shuffled_rows(self._seed, step * self._step_clips, self._step_clips, self._clips)
        return rows.reshape(-1, self._batch_clips)

    def coming(self, steps: range, share: slice) -> Iterator[NDArray[np.int64]]:
        """Of each batch of these steps, one after another, the part of one rank."""
        return (rows[share] for step in steps for rows in self.batches(step))
