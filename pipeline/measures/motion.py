"""Which way things move in a clip, by dense optical flow; no weights, no training.

Farneback 2003, "Two-Frame Motion Estimation Based on Polynomial Expansion", as OpenCV has it.
"""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames

Flow = NDArray[np.float32]  # [T-1,H,W,2]: pixels to the right and down from one frame to the next
STILL = 0.01  # of the frame's height per frame: less movement than this is noise of the estimate
LEAST_MOVING = 0.01  # of the pixels: the estimate finds a few even in a still picture
WITHIN = np.cos(np.pi / 4)  # of the angle between what moves and what the caption says


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
