"""Where everything is in every frame: a category -> trajectories of object and hand.

Lengths are in sides (the frame's shorter side), from the middle of the picture, x to the right and y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.plan import Category, Motion

Points = NDArray[np.float64]  # [T,3]: x, y, scale


@dataclass(frozen=True)
class Reach:
    """How far an object reaches from its middle, in sides, at scale 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Trajectory:
    """Where object and hand are in each of T frames."""

    mover: Points  # of its middle
    hand: Points  # of the finger tips
    angle: float  # that the hand points along: 0 = to the right, radians clockwise
    floor: NDArray[np.float64]  # [T]: y of the table below the mover
    still: tuple[float, float, float] | None  # x, y, scale of the second object


def plan_trajectory(
    category: Category, mover: Reach, other: Reach | None, horizon: float, rng: np.random.Generator
) -> Trajectory:
    """A motion of 20 to 60 frames: the hand comes, takes the object along and leaves; a lifted object stays in it."""
    frames = round(rng.triangular(20, 27, 60))
    time = np.linspace(0, 1, frames)
    touch, release = rng.uniform(0.06, 0.13), rng.uniform(0.86, 0.93)
    share = np.clip((time - touch) / (release - touch), 0, 1)
    share = 0.6 * share + 0.4 * share**2 * (3 - 2 * share)
    start, end, still = _ends(category.motion, mover, other, horizon, rng)
    path = start + (end - start) * share[:, None]
    angle, contact = _contact(category, mover, still, rng)
    tips = path[:, :2] + path[:, 2:] * contact
    coming, going = np.clip(1 - time / touch, 0, 1), np.clip((time - release) / (1 - release), 0, 1)
    if category.motion == "up":
        going = np.zeros(frames)
    if category.motion == "down":
        coming = np.zeros(frames)
    apart = 0.5 * coming**1.5 + 0.62 * going**1.5
    tips -= apart[:, None] * np.array([np.cos(angle), np.sin(angle)])
    floor = path[:, 1] + path[:, 2] * mover.bottom
    if category.motion in ("up", "down"):
        floor = np.full(frames, floor.max())
    return Trajectory(path, np.column_stack([tips, path[:, 2] ** 0.9]), angle, floor, still)


def _ends(
    motion: Motion, mover: Reach, other: Reach | None, horizon: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float, float] | None]:
    """Start and end (x, y, scale) of the mover, and where the second object stands."""
    base, zoom, drift = rng.uniform(0.22, 0.34), rng.uniform(0.92, 1.1), rng.uniform(-0.03, 0.03)
    if motion in ("right", "left"):
        # Nearer to the camera, since the demo trains on these at 32x32 pixels; half the square is left to cross.
        zoom = min(1.25 * zoom, 0.52 / (mover.right - mover.left))
        edge = 0.51  # of the square that a centre crop keeps; the shadow may reach over it
        low, high = -edge - mover.left * zoom + rng.uniform(0, 0.04), edge - mover.right * zoom - rng.uniform(0, 0.04)
        xs = (low, high) if motion == "right" else (high, low)
        ends = [(x, base - mover.bottom * zoom, zoom) for x in xs]
    elif motion in ("up", "down"):
        x = rng.uniform(-0.1, 0.1)
        low = 0.46 - rng.uniform(0, 0.05) - mover.bottom * zoom
        high = -0.46 + rng.uniform(0, 0.05) - mover.top * zoom
        ends = [(x, low, zoom), (x + drift, high, zoom)]
    elif motion in ("away", "towards"):
        x, near, far = rng.uniform(-0.1, 0.1), 1.22 * zoom, 0.55 * zoom
        ends = [(x, 0.45 - mover.bottom * near, near), (x / 2, horizon + 0.07 - mover.bottom * far, far)]
    else:
        return _pair(motion, mover, other or mover, base, rng)
    if motion in ("down", "towards"):
        ends.reverse()
    return np.array(ends[0]), np.array(ends[1]), None


def _pair(
    motion: Motion, mover: Reach, other: Reach, base: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float, float]]:
    """The second object stands at one side; the mover moves to it or away from it."""
    side = int(rng.choice([-1, 1]))
    zoom = rng.uniform(0.74, 0.84)
    reach = other.right if side > 0 else -other.left
    inner = -other.left if side > 0 else other.right
    still = side * (0.5 - 0.9 * reach * zoom)
    facing, back = (mover.right, -mover.left) if side > 0 else (-mover.left, mover.right)
    beside = still - side * (inner + facing + 0.02) * zoom
    far = -side * (0.5 - 0.9 * back * zoom)
    ends = [(x, base - mover.bottom * zoom, zoom) for x in (far, beside)]
    if motion == "apart":
        ends.reverse()
    return np.array(ends[0]), np.array(ends[1]), (still, base - other.bottom * zoom, zoom)


def _contact(
    category: Category, mover: Reach, still: tuple[float, float, float] | None, rng: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The hand's angle, and where its tips touch the mover, from the mover's middle."""
    overlap = 0.0 if category.grip == "push" else 0.045
    lean = rng.uniform(-0.12, 0.12)
    if category.motion in ("away", "towards"):
        return -np.pi / 2 + lean, np.array([0.0, mover.bottom - 0.02])
    if category.motion in ("up", "down"):
        from_right, tilt = bool(rng.random() < 0.7), rng.uniform(0.15, 0.45)
    else:
        goes_right = category.motion == "right"
        if still is not None:  # towards the second object, or away from it
            goes_right = (still[0] > 0) == (category.motion == "closer")
        from_right, tilt = goes_right == (category.grip == "pull"), 0.08
    if from_right:
        return np.pi + tilt + lean / 2, np.array([mover.right - overlap, 0.02])
    return -tilt + lean / 2, np.array([mover.left + overlap, 0.02])
