"""The objects, which differ in shape, colour and texture. A new one is a function here and a line in OBJECTS.

An object is drawn within [-1,1] in both directions, x to the right and y down. The order of OBJECTS decides which clip
shows which object, so a new one goes to the end; it changes all clips.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.demo.sprites import Colour, Pen, Sprite, lit

UNIT = 38.0  # pixels of the sprite per unit: about twice what a frame shows
DARK: Colour = (38, 34, 40)
WHITE: Colour = (246, 244, 238)
CREAM: Colour = (243, 232, 200)
GOLD: Colour = (232, 184, 62)


class DemoObject(NamedTuple):
    """How an object looks."""

    paint: Callable[[Pen, Colour], None]
    colour: Colour
    extent: float  # the larger side, as a share of the frame's shorter side


def draw_object(name: str, light: tuple[float, float], rng: np.random.Generator) -> tuple[Sprite, float]:
    """The object's sprite, its colour slightly varied, and its extent as a share of the frame's shorter side."""
    paint, colour, extent = OBJECTS[name]
    red, green, blue = np.clip(np.array(colour) * rng.normal(1, 0.03, 3) + rng.normal(0, 4), 0, 255)
    pen = Pen((-1.15, -1.15, 1.15, 1.15), UNIT, light)
    paint(pen, (red, green, blue))
    return pen.sprite(depth=0.16), extent


def _book(pen: Pen, colour: Colour) -> None:
    pages = [(0.48, -0.92), (0.74, -0.76), (0.74, 0.8), (0.48, 0.94)]
    pen.polygon(pages, CREAM)
    for x in (0.54, 0.61, 0.68):
        pen.stroke([(x, -0.82), (x, 0.84)], 0.012, lit(CREAM, 0.7))
    pen.polygon([(-0.7, -0.92), (0.5, -0.98), (0.5, 0.98), (-0.7, 0.92)], colour)
    pen.polygon([(-0.7, -0.92), (-0.48, -0.93), (-0.48, 0.93), (-0.7, 0.92)], lit(colour, 0.6))
    pen.polygon([(-0.34, -0.62), (0.36, -0.64), (0.36, -0.16), (-0.34, -0.16)], GOLD)
    for y, end in ((0.3, 0.36), (0.52, 0.16)):
        pen.stroke([(-0.28, y), (end, y)], 0.05, lit(colour, 1.55))


def _box(pen: Pen, colour: Colour) -> None:
    tape = (214, 190, 140)
    pen.polygon([(-0.95, -0.3), (0.42, -0.3), (0.42, 0.92), (-0.95, 0.92)], lit(colour, 0.96))
    pen.polygon([(-0.95, -0.3), (-0.5, -0.82), (0.92, -0.82), (0.42, -0.3)], lit(colour, 1.28))
    pen.polygon([(0.42, -0.3), (0.92, -0.82), (0.92, 0.34), (0.42, 0.92)], lit(colour, 0.68))
    pen.polygon([(-0.4, -0.3), (0.1, -0.82), (0.34, -0.82), (-0.13, -0.3)], lit(tape, 1.2))
    pen.polygon([(-0.4, -0.3), (-0.13, -0.3), (-0.13, 0.12), (-0.4, 0.12)], tape)
    pen.polygon([(-0.82, 0.5), (-0.5, 0.5), (-0.5, 0.76), (-0.82, 0.76)], lit(colour, 0.55))


def _mug(pen: Pen, colour: Colour) -> None:
    turns = np.radians(np.linspace(-80, 80, 17))
    pen.stroke([(0.42 + 0.46 * np.cos(turn), 0.1 + 0.46 * np.sin(turn)) for turn in turns], 0.12, lit(colour, 0.82))
    pen.column((-0.88, 0.52), -0.76, 0.76, colour)
    pen.column((-0.88, 0.52), -0.02, 0.36, WHITE)
    pen.ellipse((-0.18, -0.76), (0.7, 0.2), lit(colour, 1.35))
    pen.ellipse((-0.18, -0.74), (0.58, 0.145), (74, 44, 30))


def _marker(pen: Pen, colour: Colour) -> None:
    def along(share: float) -> tuple[float, float]:
        return -0.78 + 1.56 * share, 0.3 - 0.6 * share

    pen.stroke([along(0), along(0.1)], 0.2, colour)
    pen.stroke([along(0.06), along(0.6)], 0.23, WHITE)
    pen.stroke([along(0.2), along(0.42)], 0.1, lit(colour, 1.1))
    pen.stroke([along(0.58), along(1)], 0.25, colour, 0.21)
    pen.stroke([(along(0.62)[0], along(0.62)[1] - 0.1), (along(0.98)[0], along(0.98)[1] - 0.1)], 0.05, lit(colour, 1.5))


def _rubber_duck(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.98, -0.2), (-0.45, 0.0), (-0.5, 0.6), (-0.86, 0.4)], lit(colour, 0.9))
    pen.ball((-0.06, 0.4), (0.86, 0.56), colour)
    pen.polygon([(0.66, -0.5), (1.0, -0.34), (0.98, -0.2), (0.66, -0.14)], (238, 110, 24))
    pen.ball((0.36, -0.36), (0.5, 0.5), lit(colour, 1.05))
    pen.polygon([(0.74, -0.4), (1.02, -0.3), (0.98, -0.18), (0.72, -0.16)], (244, 124, 30))
    pen.ellipse((-0.2, 0.36), (0.42, 0.26), lit(colour, 0.8))
    pen.ellipse((-0.24, 0.3), (0.4, 0.22), lit(colour, 1.1))
    pen.ellipse((0.52, -0.5), (0.11, 0.13), DARK)
    pen.ellipse((0.55, -0.54), (0.04, 0.045), WHITE)


def _tennis_ball(pen: Pen, colour: Colour) -> None:
    pen.ball((0, 0), (0.96, 0.96), colour)
    for side in (-1, 1):
        turns = np.radians(np.linspace(-46, 46, 15))
        arc = [(side * (1.18 - 0.92 * np.cos(turn)), 1.05 * np.sin(turn)) for turn in turns]
        pen.stroke([(x * 0.94 - 0.1, y * 0.92) for x, y in arc if np.hypot(x, y) < 1], 0.085, WHITE)


def _toy_car(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.62, -0.5), (0.2, -0.5), (0.6, 0.02), (-0.82, 0.02)], lit(colour, 1.1))
    pen.polygon([(-0.56, -0.4), (-0.14, -0.4), (-0.14, -0.02), (-0.7, -0.02)], (176, 222, 240))
    pen.polygon([(-0.04, -0.4), (0.16, -0.4), (0.44, -0.02), (-0.04, -0.02)], (196, 232, 246))
    pen.stroke([(-0.84, 0.12), (0.6, 0.1), (0.86, 0.2)], 0.13, colour)
    pen.stroke([(-0.86, 0.32), (0.87, 0.32)], 0.13, lit(colour, 0.88))
    pen.stroke([(-0.9, 0.2), (0.7, 0.2)], 0.05, WHITE)
    pen.ellipse((0.9, 0.18), (0.08, 0.1), (255, 236, 130))
    for x in (-0.52, 0.52):
        pen.ellipse((x, 0.42), (0.29, 0.29), DARK)
        pen.ellipse((x, 0.42), (0.14, 0.14), (206, 208, 214))


def _alarm_clock(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.stroke([(side * 0.4, 0.6), (side * 0.6, 0.92)], 0.09, DARK)
        pen.ball((side * 0.5, -0.64), (0.32, 0.3), GOLD)
    pen.stroke([(0, -0.9), (0, -0.6)], 0.07, DARK)
    pen.ball((0, 0.1), (0.82, 0.82), colour)
    pen.ellipse((0, 0.1), (0.6, 0.6), WHITE)
    for turn in np.radians(range(0, 360, 30)):
        pen.ellipse((0.5 * np.cos(turn), 0.1 + 0.5 * np.sin(turn)), (0.035, 0.035), DARK)
    pen.stroke([(0, 0.1), (0, -0.28)], 0.05, DARK)
    pen.stroke([(0, 0.1), (0.27, 0.22)], 0.06, DARK)
    pen.ellipse((0, 0.1), (0.08, 0.08), colour)


def _apple(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse((side * 0.32, 0.18), (0.6, 0.74), lit(colour, 0.74))
    pen.ball((0, 0.18), (0.88, 0.74), colour)
    pen.ellipse((pen.light[0] * 0.42, -0.14), (0.15, 0.2), lit(colour, 1.6))
    pen.ellipse((0, -0.44), (0.26, 0.1), lit(colour, 0.55))
    pen.stroke([(0, -0.42), (0.04, -0.66), (0.14, -0.86)], 0.07, (92, 58, 34))
    leaf = [(0.1, -0.62), (0.3, -0.88), (0.62, -0.9), (0.76, -0.76), (0.5, -0.56)]
    pen.polygon(leaf, (92, 168, 58))


def _bottle(pen: Pen, colour: Colour) -> None:
    shoulder = [(-0.17, -0.5), (0.17, -0.5), (0.32, -0.28), (0.42, -0.02), (-0.42, -0.02), (-0.32, -0.28)]
    pen.polygon(shoulder, lit(colour, 1.05))
    pen.column((-0.17, 0.17), -0.9, -0.4, colour)
    pen.column((-0.42, 0.42), -0.14, 0.86, colour)
    pen.column((-0.42, 0.42), 0.12, 0.58, CREAM)
    pen.ellipse((0, 0.44), (0.16, 0.14), (196, 60, 48))
    pen.column((-0.2, 0.2), -0.96, -0.76, (188, 52, 44))
    pen.stroke([(pen.light[0] * 0.26, -0.04), (pen.light[0] * 0.26, 0.12)], 0.035, lit(colour, 1.6))


def _candle(pen: Pen, colour: Colour) -> None:
    brass = (176, 128, 52)
    pen.stroke([(0.5, 0.72), (0.86, 0.66)], 0.11, lit(brass, 0.8))
    pen.ellipse((0, 0.8), (0.8, 0.18), lit(brass, 0.72))
    pen.ellipse((0, 0.74), (0.76, 0.16), brass)
    pen.column((-0.34, 0.34), -0.24, 0.68, colour)
    for y in (0.02, 0.32):
        pen.stroke([(-0.3, y + 0.1), (0, y + 0.12), (0.3, y - 0.02)], 0.05, lit(colour, 0.78))
    pen.ellipse((0, -0.24), (0.34, 0.09), lit(colour, 1.3))
    pen.stroke([(0, -0.24), (0, -0.4)], 0.03, DARK)
    for grow, tint in ((1.0, (255, 140, 24)), (0.66, (255, 206, 64)), (0.34, (255, 246, 196))):
        wide, high = 0.24 * grow, 0.56 * grow
        pen.polygon(
            [
                (-wide, -0.48),
                (-wide * 0.5, -0.48 - high * 0.5),
                (0, -0.46 - high),
                (wide * 0.6, -0.48 - high * 0.45),
                (wide, -0.48),
            ],
            tint,
        )
        pen.ellipse((0, -0.48), (wide, 0.17 * grow), tint)


def _banana(pen: Pen, colour: Colour) -> None:
    turns = np.radians(np.linspace(152, 24, 25))
    centre = [(1.02 * np.cos(turn), -0.5 + 0.92 * np.sin(turn)) for turn in turns]
    for (x, y), turn in zip(centre, np.linspace(0, 1, 25), strict=True):
        thick = 0.08 + 0.25 * np.sin(np.pi * min(1.0, 0.06 + turn * 0.9)) ** 0.7
        pen.ellipse((x, y + 0.03), (thick, thick), lit(colour, 0.78))
    for (x, y), turn in zip(centre, np.linspace(0, 1, 25), strict=True):
        thick = 0.05 + 0.17 * np.sin(np.pi * min(1.0, 0.06 + turn * 0.9)) ** 0.7
        pen.ellipse((x * 0.97, y - 0.06), (thick, thick), lit(colour, 1.1))
    pen.stroke([centre[-1], (0.98, -0.42)], 0.1, (110, 76, 32), 0.07)
    pen.stroke([centre[0], (-0.95, -0.12)], 0.09, (110, 76, 32))


OBJECTS: dict[str, DemoObject] = {
    "book": DemoObject(_book, (36, 74, 176), 0.4),
    "box": DemoObject(_box, (190, 134, 76), 0.4),
    "mug": DemoObject(_mug, (20, 152, 150), 0.38),
    "marker": DemoObject(_marker, (134, 48, 190), 0.48),
    "rubber duck": DemoObject(_rubber_duck, (250, 208, 30), 0.42),
    "tennis ball": DemoObject(_tennis_ball, (190, 226, 48), 0.34),
    "toy car": DemoObject(_toy_car, (222, 44, 30), 0.5),
    "alarm clock": DemoObject(_alarm_clock, (236, 84, 148), 0.4),
    "apple": DemoObject(_apple, (186, 22, 40), 0.38),
    "bottle": DemoObject(_bottle, (26, 116, 62), 0.46),
    "candle": DemoObject(_candle, (244, 236, 214), 0.44),
    "banana": DemoObject(_banana, (250, 216, 58), 0.46),
}
