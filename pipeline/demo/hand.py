"""The hand with its sleeve: the tip of its fingers is the sprite's origin, its arm lies behind."""

import numpy as np

from pipeline.demo.pen import Colour, Pen, lit
from pipeline.demo.sprites import Point, Sprite

UNIT = 120.0  # pixels of the sprite per unit; a unit is the frame's shorter side
REACH = 1.5  # length of arm and hand
SKIN: tuple[Colour, ...] = (
    (250, 214, 186),
    (236, 188, 154),
    (212, 160, 122),
    (178, 122, 84),
    (134, 88, 58),
    (96, 62, 44),
)
SLEEVES: tuple[Colour, ...] = (
    (64, 84, 120),
    (120, 60, 66),
    (74, 110, 88),
    (196, 196, 200),
    (70, 70, 78),
    (150, 120, 90),
    (92, 76, 120),
)


def draw_hand(angle: float, grip: str, light: Point, rng: np.random.Generator) -> Sprite:
    """A hand that points along `angle` (0 = to the right, radians clockwise), flat to push or pinching to pull."""
    skin = SKIN[rng.integers(len(SKIN))]
    sleeve = SLEEVES[rng.integers(len(SLEEVES))]
    cos, sin = np.cos(angle), np.sin(angle)
    ends = [(a * cos - b * sin, a * sin + b * cos) for a in (-REACH, 0.16) for b in (-0.22, 0.22)]
    xs, ys = zip(*ends, strict=True)
    # A hand that points to the left is the mirror image, so that its thumb stays on the same side.
    pen = Pen((min(xs), min(ys), max(xs), max(ys)), UNIT, light, angle, flip=-1 if cos < -0.1 else 1)
    pen.stroke([(-REACH, 0.0), (-0.24, 0.0)], 0.075, skin, 0.06)
    (_flat if grip == "push" else _pinch)(pen, skin)
    pen.stroke([(-REACH, 0.0), (-0.44, 0.0)], 0.115, sleeve, 0.1)
    pen.stroke([(-0.44, -0.085), (-0.44, 0.085)], 0.025, lit(sleeve, 1.2))
    return pen.sprite(depth=0.05)


def _flat(pen: Pen, skin: Colour) -> None:
    line = lit(skin, 0.72)
    pen.stroke([(-0.22, 0.0), (-0.16, 0.0)], 0.09, skin)
    pen.stroke([(-0.2, -0.06), (-0.12, -0.12), (-0.06, -0.13)], 0.03, skin, 0.024)
    for y, tip in ((0.072, -0.035), (0.026, -0.026), (-0.02, -0.028), (-0.064, -0.05)):
        pen.stroke([(-0.16, y * 1.05), (tip, y * 0.9)], 0.027, line)
        pen.stroke([(-0.16, y * 1.05), (tip, y * 0.9)], 0.023, skin, 0.021)


def _pinch(pen: Pen, skin: Colour) -> None:
    line = lit(skin, 0.72)
    pen.stroke([(-0.22, 0.0), (-0.17, 0.0)], 0.09, skin)
    for y, tip in ((-0.075, 0.02), (-0.04, 0.05), (-0.005, 0.045)):
        pen.stroke([(-0.18, y), (-0.08, y - 0.03), (tip, y - 0.01)], 0.028, line)
        pen.stroke([(-0.18, y), (-0.08, y - 0.03), (tip, y - 0.01)], 0.024, skin, 0.021)
    pen.stroke([(-0.2, 0.05), (-0.1, 0.1), (0.02, 0.075)], 0.034, line)
    pen.stroke([(-0.2, 0.05), (-0.1, 0.1), (0.02, 0.075)], 0.03, skin, 0.024)
