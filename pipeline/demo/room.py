"""The room: a table before a wall, with its light; it stands still while the clip lasts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.pen import Colour
from pipeline.demo.sprites import Point

SIDE = 108  # pixels of the frame's shorter side, which a centre crop keeps
SHAPES: tuple[tuple[tuple[int, int], float], ...] = (  # (height, width), share of the clips
    ((SIDE, 192), 0.85),
    ((192, SIDE), 0.1),
    ((SIDE, 144), 0.05),
)
TABLES: tuple[Colour, ...] = (
    (222, 194, 152),
    (146, 102, 76),
    (110, 120, 132),
    (208, 206, 202),
    (150, 168, 150),
    (132, 154, 180),
    (192, 146, 146),
    (142, 124, 150),
)
WALLS: tuple[Colour, ...] = (
    (228, 222, 210),
    (196, 206, 212),
    (214, 200, 186),
    (176, 188, 178),
    (206, 192, 204),
    (158, 168, 184),
    (232, 228, 224),
)


@dataclass(frozen=True)
class Room:
    background: NDArray[np.uint8]  # [H,W,3]
    centre: Point  # pixels: where the middle of the action lies
    horizon: float  # of the table's far edge, in sides below the middle
    light: Point  # towards the light, in the picture's plane

    def pixel(self, at: Point) -> Point:
        """Sides from the middle -> pixels of the frame."""
        return self.centre[0] + at[0] * SIDE, self.centre[1] + at[1] * SIDE


def build_room(rng: np.random.Generator) -> Room:
    """A room with its own shape of frame, camera offset, colours and light."""
    height, width = SHAPES[rng.choice(len(SHAPES), p=[share for _, share in SHAPES])][0]
    centre = (width / 2 + rng.uniform(-2.5, 2.5), height / 2 + rng.uniform(-2.5, 2.5))
    horizon = rng.uniform(-0.26, -0.12)
    light = (float(rng.choice([-1, 1]) * rng.uniform(0.35, 0.8)), -0.8)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5 - centre[0]) / SIDE, (y + 0.5 - centre[1]) / SIDE
    table = _table(x, y - horizon, rng)
    wall = _wall(x, y, light, rng)
    edge = np.clip((y - horizon) * SIDE + 0.5, 0, 1)[..., None]
    picture = wall * (1 - edge) + table * edge
    lamp = 1.1 - 0.28 * np.hypot(x - light[0] * 0.7, (y - horizon) * 0.9 - 0.1) ** 1.3
    tint = rng.uniform(0.9, 1.06) * np.array([1 + (warm := rng.normal(0, 0.025)), 1, 1 - warm])
    picture = picture * lamp[..., None] * tint
    return Room(np.clip(picture + 0.5, 0, 255).astype(np.uint8), centre, horizon, light)


def _table(x: NDArray[np.float32], depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Colours of the table top, `depth` sides below its far edge: plain, grained or striped."""
    colour = np.array(TABLES[rng.integers(len(TABLES))]) * rng.normal(1, 0.03, 3)
    near = 0.35 + np.maximum(depth, 0)  # lines that lie on the table run together far away
    pattern = rng.choice(["plain", "grain", "stripes"], p=[0.4, 0.4, 0.2])
    phase = rng.uniform(0, 6, 3)
    gain = 0.93 + 0.1 * np.minimum(np.maximum(depth, 0), 1)
    if pattern == "grain":
        bend = 0.6 * np.sin(1.7 * x / near + phase[0])
        gain = gain + 0.018 * np.sin(9 / near + bend + phase[1]) + 0.012 * np.sin(23 / near + 2 * bend + phase[2])
    elif pattern == "stripes":
        gain = gain + 0.035 * np.tanh(4 * np.sin(9 * x / near + phase[0]))
    rim = 0.1 * np.exp(-np.maximum(depth, 0) / 0.012)  # the far edge catches the light
    return np.asarray((gain + rim)[..., None] * colour, dtype=np.float32)


def _wall(
    x: NDArray[np.float32], y: NDArray[np.float32], light: Point, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Colours of the wall: a soft gradient, on some a skirt of another tone or the light of a window."""
    colour = np.array(WALLS[rng.integers(len(WALLS))]) * rng.normal(1, 0.02, 3)
    gain = 0.86 - 0.1 * y
    kind = rng.choice(["plain", "window", "panel"], p=[0.5, 0.3, 0.2])
    place = rng.uniform(-0.4, 0.4)
    if kind == "window":
        across = np.abs(x + 0.35 * y * np.sign(light[0]) - place)
        gain = gain + 0.05 * (1 - np.tanh((across - 0.2) / 0.06))
    elif kind == "panel":
        gain = gain - 0.03 * (1 - np.tanh((x - place) / 0.016))
    return np.asarray(gain[..., None] * colour, dtype=np.float32)
