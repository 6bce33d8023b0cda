"""Measurements of clips without a network: optical flow, thumbnails, Laplacian energies, MMD."""

import itertools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

Flow = NDArray[np.float32]  # [T-1,H,W,2]: pixels to the right and down from one frame to the next
STILL = 0.01  # of the frame's height per frame; slower flow is estimation noise
MIN_MOVING = 0.01  # of the pixels; the estimate has a few moving ones even in a static clip
WITHIN = np.cos(np.pi / 4)  # cosine of the largest angle between a movement and the caption's direction

GRID = 8  # cells per side
PARTS = 4  # of a clip's duration

Volume = Frames | NDArray[np.float32]  # [T,H,W,C]: a clip, or its flow

LEVELS = 3  # of the pyramid, each with half the sides of the one before

Features = NDArray[np.float64]  # [N,F]
CONSTANT = 1e-6  # of the largest deviation; smaller ones are rounding errors


def measure_flow(frames: Frames) -> Flow:
    """Optical flow of one clip, uint8 [T,H,W,3] -> [T-1,H,W,2]; zeros [1,H,W,2] for a single frame."""
    height, width = frames.shape[1:3]
    # OpenCV finds spurious flow in static textures at the right and lower border, so the frames are padded.
    margin = max(height // 4, 4)
    grey = [_extend(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), margin) for frame in frames]
    window = max(height // 3, 5)
    flow = np.zeros((max(len(frames) - 1, 1), height, width, 2), np.float32)
    for index, (a, b) in enumerate(itertools.pairwise(grey)):
        # OpenCV's type stubs require an initial flow; with these flags it is not read.
        found = cv2.calcOpticalFlowFarneback(a, b, np.empty(0), 0.5, 3, window, 3, 5, 1.1, 0)
        flow[index] = found[margin : margin + height, margin : margin + width]
    return flow


def _extend(picture: NDArray[Any], margin: int) -> NDArray[Any]:
    """The image padded with its border pixels."""
    return cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REPLICATE)


def measure_movement(flow: Flow) -> NDArray[np.float64]:
    """The mean flow of the moving pixels: (right, down); zero if hardly any pixel moves."""
    speed = np.linalg.norm(flow, axis=-1)
    moving = speed > STILL * flow.shape[1]
    if moving.mean() < MIN_MOVING:
        return np.zeros(2)
    movement: NDArray[np.float64] = flow[moving].sum(axis=0, dtype=np.float64) / moving.sum()
    return movement


def is_along(movement: NDArray[np.float64], direction: tuple[float, float]) -> bool:
    """Whether a movement is within 45 degrees of a direction; False without movement."""
    length = float(np.linalg.norm(movement) * np.hypot(*direction))
    return length > 0 and float(movement @ np.array(direction)) >= WITHIN * length


def measure_energy(frames: Frames) -> float:
    """Mean absolute change from frame to frame, in grey levels 0..255."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean()) if len(frames) > 1 else 0.0


def measure_jerk(frames: Frames) -> float:
    """Mean absolute second difference over time, in grey levels; large if a clip flickers."""
    return float(np.abs(np.diff(frames.astype(np.float32), n=2, axis=0)).mean()) if len(frames) > 2 else 0.0


def measure_sharpness(frames: Frames) -> float:
    """Mean magnitude of the luminance gradient, in grey levels per pixel."""
    grey = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # [T,H,W]
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return float(np.hypot(down, right).mean())


def average_parts(volume: Volume) -> NDArray[np.float32]:
    """Means over consecutive parts of a clip: [T,H,W,C] -> at most [PARTS,H,W,C]."""
    return np.stack([part.mean(axis=0, dtype=np.float32) for part in np.array_split(volume, PARTS) if len(part)])


def make_thumbnails(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each part downsampled to GRID x GRID, all flattened: [P,H,W,C] -> [P*GRID*GRID*C]."""
    cells = [cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA) for part in parts]
    return np.concatenate([cell.ravel() for cell in cells]).astype(np.float64)


def measure_laplacian_energies(frames: Frames) -> NDArray[np.float64]:
    """Of uint8 [T,H,W,3], for each level: log of the mean absolute detail per channel, and of the change over time.

    The detail of a level is what downsampling by 2 loses: a Laplacian pyramid. Burt & Adelson 1983.
    """
    values: list[float] = []
    pictures = [frame.astype(np.float32) for frame in frames]
    for _ in range(LEVELS):
        height, width = pictures[0].shape[:2]
        halves = [
            cv2.resize(p, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA) for p in pictures
        ]
        lost = [p - cv2.resize(half, (width, height)) for p, half in zip(pictures, halves, strict=True)]
        values += np.log1p(np.abs(lost).mean(axis=(0, 1, 2))).tolist()
        values.append(float(np.log1p(np.abs(np.diff(pictures, axis=0)).mean())) if len(pictures) > 1 else 0.0)
        pictures = halves
    return np.array(values)


def mmd(real: Features, fake: Features) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y/F + 1)^3; may be below 0 for equal sets.

    Unbiased for features that depend on neither set. Binkowski et al. 2018 (KID), arXiv:1801.01401.
    """
    n, m = len(real), len(fake)
    xx, yy, xy = (_kernel(a, b) for a, b in ((real, real), (fake, fake), (real, fake)))
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def _kernel(a: Features, b: Features) -> Features:
    kernel: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def standardise(real: Features, fake: Features, by: Features | None = None) -> tuple[Features, Features]:
    """Both sets with each feature standardised by other clips `by`, so that no feature outweighs the others.

    Without other clips, `real` is used. Then a distance of few clips is not unbiased: features in which the real ones
    happen to vary little count for more, and the others vary more in them.
    """
    by = real if by is None else by
    centre, scale = by.mean(axis=0), by.std(axis=0)
    scale = np.where(scale > CONSTANT * scale.max(), scale, scale.max() or 1.0)
    return (real - centre) / scale, (fake - centre) / scale
