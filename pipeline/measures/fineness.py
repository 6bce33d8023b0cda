"""How much detail a clip has at each size: what a judge, trained to overlook noise, overlooks too. No weights."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

SIZES = 3  # each half of the one before


def fineness_of(frames: Frames) -> NDArray[np.float64]:
    """Of uint8 [T,H,W,3], for each size: the log of the mean detail of each colour, and of the mean change over time.

    The details of a size are what is lost in half of it: a Laplacian pyramid. Burt & Adelson 1983.
    """
    values: list[float] = []
    pictures = [frame.astype(np.float32) for frame in frames]
    for _ in range(SIZES):
        height, width = pictures[0].shape[:2]
        halves = [
            cv2.resize(p, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA) for p in pictures
        ]
        lost = [p - cv2.resize(half, (width, height)) for p, half in zip(pictures, halves, strict=True)]
        values += np.log1p(np.abs(lost).mean(axis=(0, 1, 2))).tolist()
        values.append(float(np.log1p(np.abs(np.diff(pictures, axis=0)).mean())) if len(pictures) > 1 else 0.0)
        pictures = halves
    return np.array(values)
