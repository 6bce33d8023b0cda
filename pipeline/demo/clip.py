"""One plan -> frames uint8 [T,H,W,3]: room, shadows, second object, object and hand, from back to front."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.demo.hand import draw_hand
from pipeline.demo.motion import Body, Story, tell
from pipeline.demo.objects import draw_object
from pipeline.demo.plan import Plan
from pipeline.demo.room import SIDE, Room, build_room
from pipeline.demo.sprites import Sprite
from pipeline.records import Frames

FPS = 12


class Scene:
    """Everything that one clip shows, drawn once; `frame(n)` puts it together."""

    def __init__(self, plan: Plan) -> None:
        rng = np.random.default_rng([plan.seed, 5, plan.number])
        self.room: Room = build_room(rng)
        self.actors = [_Actor(name, self.room, rng) for name in plan.objects]
        bodies = [actor.body for actor in self.actors]
        other = bodies[1] if len(bodies) > 1 else None
        self.story: Story = tell(plan.category, bodies[0], other, self.room.horizon, rng)
        self.hand = draw_hand(self.story.angle, plan.category.grip, self.room.light, rng)
        self.background = Image.fromarray(self.room.background)
        self.hand_shadow = self.hand.shadow(blur=0.03, dark=0.22)

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Frame `number` as uint8 [H,W,3]."""
        picture = self.background.copy()
        x, y, scale = self.story.mover[number]
        hand_x, hand_y, hand_scale = self.story.hand[number]
        if self.story.still:
            still_x, still_y, still_scale = self.story.still
            self.actors[1].cast(picture, still_x, still_y + self.actors[1].body.bottom * still_scale, still_scale, 0)
        floor = self.story.floor[number]
        self.actors[0].cast(picture, x, floor, scale, floor - y - self.actors[0].body.bottom * scale)
        fall = (hand_x - 0.05 * self.room.light[0], hand_y + 0.09)
        self.hand_shadow.place(picture, self.room.pixel(fall), hand_scale * SIDE)
        if self.story.still:
            self.actors[1].show(picture, still_x, still_y, still_scale)
        self.actors[0].show(picture, x, y, scale)
        self.hand.place(picture, self.room.pixel((hand_x, hand_y)), hand_scale * SIDE)
        return np.asarray(picture)


class _Actor:
    """An object with its shadow on the table."""

    def __init__(self, name: str, room: Room, rng: np.random.Generator) -> None:
        self.sprite, extent = draw_object(name, room.light, rng)
        self.half = extent / 2
        left, top, right, bottom = (edge * self.half for edge in self.sprite.bounds)
        self.body = Body(left, top, right, bottom)
        self.room = room
        self.shadow = _contact_shadow(self.sprite, room.light[0])

    def show(self, picture: Image.Image, x: float, y: float, scale: float) -> None:
        """Lay the object over the picture."""
        self.sprite.place(picture, self.room.pixel((x, y)), scale * self.half * SIDE)

    def cast(self, picture: Image.Image, x: float, floor: float, scale: float, height: float) -> None:
        """Darken the table at `floor`, less and wider the higher the object is above it."""
        spread = scale * self.half * SIDE * (1 + 0.5 * height)
        self.shadow.place(picture, self.room.pixel((x, floor)), spread, 1 / (1 + 4 * height))


def _contact_shadow(sprite: Sprite, light: float) -> Sprite:
    """A dark core under the object and a soft tail away from the light; its origin is the object's lowest line."""
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


def draw_frames(plan: Plan) -> Frames:
    """All frames of the clip, uint8 [T,H,W,3]."""
    scene = Scene(plan)
    return np.stack([scene.frame(number) for number in range(len(scene.story.mover))])
