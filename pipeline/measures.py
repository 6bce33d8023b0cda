"""What can be measured of clips without any weights: optical flow, thumbnails, Laplacian energies, MMD."""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

Flow = NDArray[np.float32]  # [T-1,H,W,2]: pixels to the right and down from one frame to the next
STILL = 0.01  # of the frame's height per frame: less movement than this is noise of the estimate
LEAST_MOVING = 0.01  # of the pixels: the estimate finds a few even in a still picture
WITHIN = np.cos(np.pi / 4)  # of the angle between what moves and what the caption says

GRID = 8  # cells per side
MOMENTS = 4  # parts of the time

Volume = Frames | NDArray[np.float32]  # [T,H,W,C]: a clip, or its flow

SIZES = 3  # each half of the one before

Features = NDArray[np.float64]  # [N,F]
SILENT = 1e-6  # of the loudest feature: what varies less among real clips varies by rounding


def flow_of(frames: Frames) -> Flow:
    """Optical flow of one clip, uint8 [T,H,W,3] -> [T-1,H,W,2]; a single frame stands still."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    window = max(frames.shape[1] // 3, 5)
    flow = np.zeros((max(len(frames) - 1, 1), *frames.shape[1:3], 2), np.float32)
    for place, (a, b) in enumerate(itertools.pairwise(grey)):
        flow[place] = cv2.calcOpticalFlowFarneback(a, b, flow[place], 0.5, 3, window, 3, 5, 1.1, 0)
    return flow


def movement_of(flow: Flow) -> NDArray[np.float64]:
    """The mean movement of what moves, weighted by how fast it does: (right, down), zero where nothing moves."""
    speed = np.linalg.norm(flow, axis=-1)
    moving = speed > STILL * flow.shape[1]
    if moving.mean() < LEAST_MOVING:
        return np.zeros(2)
    movement: NDArray[np.float64] = flow[moving].sum(axis=0, dtype=np.float64) / moving.sum()
    return movement


def agrees(movement: NDArray[np.float64], said: tuple[float, float]) -> bool:
    """Whether a movement is within 45 degrees of the one said; no movement agrees with none."""
    length = float(np.linalg.norm(movement) * np.hypot(*said))
    return length > 0 and float(movement @ np.array(said)) >= WITHIN * length


def energy_of(frames: Frames) -> float:
    """Mean absolute change from frame to frame, in grey levels 0..255."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=0)).mean()) if len(frames) > 1 else 0.0


def jerk_of(frames: Frames) -> float:
    """Mean absolute second difference over time, in grey levels: what flickers comes and goes."""
    return float(np.abs(np.diff(frames.astype(np.float32), n=2, axis=0)).mean()) if len(frames) > 2 else 0.0


def in_parts(volume: Volume) -> NDArray[np.float32]:
    """Means over a few parts of the time: [T,H,W,C] -> at most [MOMENTS,H,W,C]."""
    return np.stack([part.mean(axis=0, dtype=np.float32) for part in np.array_split(volume, MOMENTS) if len(part)])


def shrink(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cells of a coarse grid over each part, flat."""
    cells = [cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA) for part in parts]
    return np.concatenate([cell.ravel() for cell in cells]).astype(np.float64)


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


def mmd(real: Features, fake: Features) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y/F + 1)^3; may be below 0 for equal sets.

    Binkowski et al. 2018 (KID), arXiv:1801.01401.
    """
    n, m = len(real), len(fake)
    xx, yy, xy = (_kernel(a, b) for a, b in ((real, real), (fake, fake), (real, fake)))
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def _kernel(a: Features, b: Features) -> Features:
    kernel: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def alike(real: Features, fake: Features) -> tuple[Features, Features]:
    """Both sets in units of what `real` varies by in each feature, so that loud features do not drown the others."""
    centre, scale = real.mean(axis=0), real.std(axis=0)
    scale = np.where(scale > SILENT * scale.max(), scale, scale.max() or 1.0)
    return (real - centre) / scale, (fake - centre) / scale
