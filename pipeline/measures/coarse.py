"""Clips and flows in small: means over parts of the time and over the cells of a coarse grid. Noise hardly shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

GRID = 8  # cells per side
MOMENTS = 4  # parts of the time

Volume = Frames | NDArray[np.float32]  # [T,H,W,C]: a clip, or its flow


def in_parts(volume: Volume) -> NDArray[np.float32]:
    """Means over a few parts of the time: [T,H,W,C] -> at most [MOMENTS,H,W,C]."""
    return np.stack([part.mean(axis=0, dtype=np.float32) for part in np.array_split(volume, MOMENTS) if len(part)])


def shrink(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cells of a coarse grid over each part, flat."""
    cells = [cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA) for part in parts]
    return np.concatenate([cell.ravel() for cell in cells]).astype(np.float64)
