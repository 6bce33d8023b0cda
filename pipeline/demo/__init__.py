"""Renders the demo dataset: clips of a hand that moves an object, labelled like Something-Something-V2.

A plan -> frames uint8 [T,H,W,3]: trajectories, then room, shadows, objects and hand, from back to front. Lengths are in
sides (the frame's shorter side), relative to the middle of the frame, x to the right and y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.demo.objects import Colour, Pen, Point, Sprite, draw_object, lit
from pipeline.demo.plan import Category, ClipPlan, Motion
from pipeline.records import Frames

Points = NDArray[np.float64]  # [T,3]: x, y, scale

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

UNIT = 120.0  # pixels of the sprite per unit; a unit is the frame's shorter side
REACH = 1.5  # length of arm and hand, in sides
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

FPS = 12


@dataclass(frozen=True)
class Reach:
    """The extent of an object from its middle, in sides, at scale 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Trajectory:
    """The positions of object and hand in each of T frames."""

    mover: Points  # of its middle
    hand: Points  # of the finger tips
    angle: float  # of the hand: 0 = to the right, radians clockwise
    floor: NDArray[np.float64]  # [T]: y of the table below the moved object
    still: tuple[float, float, float] | None  # x, y, scale of the second object


def _plan_trajectory(
    category: Category, mover: Reach, other: Reach | None, horizon: float, rng: np.random.Generator
) -> Trajectory:
    """A motion of 20 to 60 frames: the hand comes, moves the object and leaves; it keeps holding a lifted object."""
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
    """Start and end (x, y, scale) of the moved object, and the position of the second object, if any."""
    base, zoom, drift = rng.uniform(0.22, 0.34), rng.uniform(0.92, 1.1), rng.uniform(-0.03, 0.03)
    if motion in ("right", "left"):
        # Nearer to the camera, since the demo trains on these at 32x32 pixels; half the square is left to cross.
        zoom = min(1.25 * zoom, 0.52 / (mover.right - mover.left))
        edge = 0.51  # of the square that a centre crop keeps; the shadow may cross it
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
    """The second object is at one side; the first moves towards it or away from it."""
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
    """The angle of the hand, and the point where it touches the moved object, relative to the object's middle."""
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


def draw_frames(plan: ClipPlan) -> Frames:
    """Render all frames of the clip, uint8 [T,H,W,3]."""
    scene = ClipScene(plan)
    return np.stack([scene.frame(number) for number in range(len(scene.trajectory.mover))])


@dataclass(frozen=True)
class Room:
    """The static part of a clip."""

    background: NDArray[np.uint8]  # [H,W,3]
    centre: Point  # middle of the action, in pixels
    horizon: float  # y of the table's far edge, in sides
    light: Point  # direction towards the light, in the image plane

    def pixel(self, at: Point) -> Point:
        """Sides from the middle -> pixels of the frame."""
        return self.centre[0] + at[0] * SIDE, self.centre[1] + at[1] * SIDE


def _build_room(rng: np.random.Generator) -> Room:
    """A random room: frame shape, camera offset, colours and light."""
    height, width = SHAPES[rng.choice(len(SHAPES), p=[share for _, share in SHAPES])][0]
    centre = (width / 2 + rng.uniform(-2.5, 2.5), height / 2 + rng.uniform(-2.5, 2.5))
    horizon = rng.uniform(-0.26, -0.12)
    light = (float(rng.choice([-1, 1]) * rng.uniform(0.35, 0.8)), -0.8)
    # In double precision: numpy's functions differ in the last bit between instruction sets, which in single precision
    # changes some pixels.
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = (x + 0.5 - centre[0]) / SIDE, (y + 0.5 - centre[1]) / SIDE
    table = _table(x, y - horizon, rng)
    wall = _wall(x, y, light, rng)
    edge = np.clip((y - horizon) * SIDE + 0.5, 0, 1)[..., None]
    picture = wall * (1 - edge) + table * edge
    lamp = 1.1 - 0.28 * np.hypot(x - light[0] * 0.7, (y - horizon) * 0.9 - 0.1) ** 1.3
    tint = rng.uniform(0.9, 1.06) * np.array([1 + (warm := rng.normal(0, 0.025)), 1, 1 - warm])
    picture = picture * lamp[..., None] * tint
    return Room(np.clip(picture + 0.5, 0, 255).astype(np.uint8), centre, horizon, light)


def _table(x: NDArray[np.float64], depth: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Colours of the table top, plain, grained or striped; `depth` is in sides below its far edge."""
    colour = np.array(TABLES[rng.integers(len(TABLES))]) * rng.normal(1, 0.03, 3)
    near = 0.35 + np.maximum(depth, 0)  # for perspective: lines on the table converge with distance
    pattern = rng.choice(["plain", "grain", "stripes"], p=[0.4, 0.4, 0.2])
    phase = rng.uniform(0, 6, 3)
    gain = 0.93 + 0.1 * np.minimum(np.maximum(depth, 0), 1)
    if pattern == "grain":
        bend = 0.6 * np.sin(1.7 * x / near + phase[0])
        gain = gain + 0.018 * np.sin(9 / near + bend + phase[1]) + 0.012 * np.sin(23 / near + 2 * bend + phase[2])
    elif pattern == "stripes":
        gain = gain + 0.035 * np.tanh(4 * np.sin(9 * x / near + phase[0]))
    rim = 0.1 * np.exp(-np.maximum(depth, 0) / 0.012)  # the far edge catches the light
    return np.asarray((gain + rim)[..., None] * colour, dtype=np.float64)


def _wall(
    x: NDArray[np.float64], y: NDArray[np.float64], light: Point, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Colours of the wall: a soft gradient, in some clips with a panel of another tone or the light of a window."""
    colour = np.array(WALLS[rng.integers(len(WALLS))]) * rng.normal(1, 0.02, 3)
    gain = 0.86 - 0.1 * y
    kind = rng.choice(["plain", "window", "panel"], p=[0.5, 0.3, 0.2])
    place = rng.uniform(-0.4, 0.4)
    if kind == "window":
        across = np.abs(x + 0.35 * y * np.sign(light[0]) - place)
        gain = gain + 0.05 * (1 - np.tanh((across - 0.2) / 0.06))
    elif kind == "panel":
        gain = gain - 0.03 * (1 - np.tanh((x - place) / 0.016))
    return np.asarray(gain[..., None] * colour, dtype=np.float64)


def _draw_hand(angle: float, grip: str, light: Point, rng: np.random.Generator) -> Sprite:
    """A hand in direction `angle` (0 = to the right, radians clockwise), flat to push or pinching to pull."""
    skin = SKIN[rng.integers(len(SKIN))]
    sleeve = SLEEVES[rng.integers(len(SLEEVES))]
    cos, sin = np.cos(angle), np.sin(angle)
    ends = [(a * cos - b * sin, a * sin + b * cos) for a in (-REACH, 0.16) for b in (-0.22, 0.22)]
    xs, ys = zip(*ends, strict=True)
    # A hand that points to the left is mirrored, so that its thumb stays on the same side.
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


class ClipScene:
    """The parts of a clip, drawn once; `frame(n)` composes them."""

    def __init__(self, plan: ClipPlan) -> None:
        rng = np.random.default_rng([plan.seed, 5, plan.number])
        self.room: Room = _build_room(rng)
        self.objects = [_PlacedObject(name, self.room, rng) for name in plan.objects]
        reaches = [one.reach for one in self.objects]
        other = reaches[1] if len(reaches) > 1 else None
        self.trajectory: Trajectory = _plan_trajectory(plan.category, reaches[0], other, self.room.horizon, rng)
        self.hand = _draw_hand(self.trajectory.angle, plan.category.grip, self.room.light, rng)
        self.background = Image.fromarray(self.room.background)
        self.hand_shadow = self.hand.shadow(blur=0.03, dark=0.22)

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Frame `number` as uint8 [H,W,3]."""
        picture = self.background.copy()
        x, y, scale = self.trajectory.mover[number]
        hand_x, hand_y, hand_scale = self.trajectory.hand[number]
        if self.trajectory.still:
            still_x, still_y, still_scale = self.trajectory.still
            self.objects[1].cast(picture, still_x, still_y + self.objects[1].reach.bottom * still_scale, still_scale, 0)
        floor = self.trajectory.floor[number]
        self.objects[0].cast(picture, x, floor, scale, floor - y - self.objects[0].reach.bottom * scale)
        fall = (hand_x - 0.05 * self.room.light[0], hand_y + 0.09)
        self.hand_shadow.place(picture, self.room.pixel(fall), hand_scale * SIDE)
        if self.trajectory.still:
            self.objects[1].show(picture, still_x, still_y, still_scale)
        self.objects[0].show(picture, x, y, scale)
        self.hand.place(picture, self.room.pixel((hand_x, hand_y)), hand_scale * SIDE)
        return np.asarray(picture)


class _PlacedObject:
    """An object with its shadow on the table."""

    def __init__(self, name: str, room: Room, rng: np.random.Generator) -> None:
        self.sprite, extent = draw_object(name, room.light, rng)
        self.half = extent / 2
        left, top, right, bottom = (edge * self.half for edge in self.sprite.bounds)
        self.reach = Reach(left, top, right, bottom)
        self.room = room
        self.shadow = _contact_shadow(self.sprite, room.light[0])

    def show(self, picture: Image.Image, x: float, y: float, scale: float) -> None:
        """Draw the object over the frame."""
        self.sprite.place(picture, self.room.pixel((x, y)), scale * self.half * SIDE)

    def cast(self, picture: Image.Image, x: float, floor: float, scale: float, height: float) -> None:
        """Draw the shadow at `floor`; the higher the object is above, the wider and lighter it is."""
        spread = scale * self.half * SIDE * (1 + 0.5 * height)
        self.shadow.place(picture, self.room.pixel((x, floor)), spread, 1 / (1 + 4 * height))


def _contact_shadow(sprite: Sprite, light: float) -> Sprite:
    """A dark core under the object and a soft tail away from the light; its origin is at the object's bottom."""
    left, _, right, _ = sprite.bounds
    unit, reach = 22.0, 2.2
    extent = round(2 * reach * unit), round(1.4 * unit)
    alpha = Image.new("L", extent)
    middle, half = (left + right) / 2, (right - left) / 2
    for shift, wide, high, dark, blur in ((-0.55 * light, 1.15, 0.2, 82, 0.16), (-0.08 * light, 0.92, 0.1, 142, 0.06)):
        layer = Image.new("L", extent)
        x, y = (middle + shift + reach) * unit, 0.62 * unit
        box = (x - half * wide * unit, y - high * unit, x + half * wide * unit, y + high * unit)
        ImageDraw.Draw(layer).ellipse(box, fill=dark)
        alpha = ImageChops.lighter(alpha, layer.filter(ImageFilter.GaussianBlur(blur * unit)))
    return Sprite(alpha, unit, (reach * unit, 0.66 * unit))
