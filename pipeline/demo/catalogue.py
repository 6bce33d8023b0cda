"""What the embedded dataset shows: categories with their real Something-Something-V2 numbers, and objects."""

from dataclasses import dataclass
from typing import Literal

Motion = Literal["right", "left", "up", "down", "away", "towards", "closer", "apart"]
Grip = Literal["push", "pull"]


@dataclass(frozen=True)
class Category:
    template: str
    number: str  # of the template among the 174 of Something-Something-V2
    motion: Motion
    grip: Grip
    turns: int  # clips of this category in a round of `ROUND` clips

    @property
    def slots(self) -> int:
        """How many objects the template names."""
        return self.template.count("[")


CATEGORIES = (
    Category("Pushing [something] from left to right", "93", "right", "push", 6),
    Category("Pushing [something] from right to left", "94", "left", "push", 6),
    Category("Moving [something] up", "45", "up", "pull", 1),
    Category("Moving [something] down", "43", "down", "pull", 1),
    Category("Pulling [something] from left to right", "86", "right", "pull", 1),
    Category("Pulling [something] from right to left", "87", "left", "pull", 1),
    Category("Moving [something] away from the camera", "41", "away", "push", 1),
    Category("Moving [something] towards the camera", "44", "towards", "pull", 1),
    Category("Moving [something] closer to [something]", "42", "closer", "push", 1),
    Category("Moving [something] away from [something]", "40", "apart", "pull", 1),
)
ROUND = sum(category.turns for category in CATEGORIES)

OBJECTS = (
    "book",
    "box",
    "mug",
    "marker",
    "rubber duck",
    "tennis ball",
    "toy car",
    "alarm clock",
    "apple",
    "bottle",
    "candle",
    "banana",
)
