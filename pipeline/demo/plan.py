"""The content of the demo dataset: seed and clip number -> category, objects, id, caption."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.demo.objects import OBJECTS

Motion = Literal["right", "left", "up", "down", "away", "towards", "closer", "apart"]
Grip = Literal["push", "pull"]

OBJECT_NAMES = tuple(OBJECTS)
LAST_ID = 220_847  # Something-Something-V2 has this many clips, numbered from 1


@dataclass(frozen=True)
class Category:
    """A kind of motion, named as a template of Something-Something-V2."""

    template: str
    number: str  # of the template among the 174 of Something-Something-V2
    motion: Motion
    grip: Grip
    turns: int  # clips of this category per `ROUND` clips

    @property
    def slots(self) -> int:
        """The number of objects in the template."""
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


@dataclass(frozen=True)
class ClipPlan:
    """A clip to render. It depends on the seed and its number only, not on the number of clips."""

    seed: int
    number: int
    id: str
    category: Category
    objects: tuple[str, ...]  # one per slot; the first one moves
    placeholders: tuple[str, ...]  # the objects as in the caption: "a book"
    validation: bool

    @property
    def label(self) -> str:
        """The caption: the template with its slots filled, in lower case."""
        text = self.category.template
        for placeholder in self.placeholders:
            text = text.replace("[something]", placeholder, 1)
        return text.lower()

    def row(self) -> dict[str, object]:
        """The clip's entry in train.json or validation.json."""
        return {
            "id": self.id,
            "label": self.label,
            "template": self.category.template,
            "placeholders": list(self.placeholders),
        }


def plan_clips(seed: int, clips: int, validation_share: float) -> Iterator[ClipPlan]:
    """The first `clips` plans. Categories recur in rounds, and each category cycles through all objects."""
    ids = np.random.default_rng([seed, 0]).permutation(LAST_ID) + 1
    order = np.repeat(np.arange(len(CATEGORIES)), [category.turns for category in CATEGORIES])
    order = np.random.default_rng([seed, 1]).permutation(order)
    for number in range(clips):
        turn, place = divmod(number, ROUND)
        category = CATEGORIES[order[place]]
        nth = turn * category.turns + int(np.sum(order[:place] == order[place]))  # clip of this category
        lap, seat = divmod(nth, len(OBJECT_NAMES))
        objects_in_turn = np.random.default_rng([seed, 2, order[place], lap]).permutation(len(OBJECT_NAMES))
        mover = int(objects_in_turn[seat])
        rng = np.random.default_rng([seed, 3, number])
        other = (mover + int(rng.integers(1, len(OBJECT_NAMES)))) % len(OBJECT_NAMES)
        objects = tuple(OBJECT_NAMES[index] for index in (mover, other)[: category.slots])
        yield ClipPlan(
            seed=seed,
            number=number,
            id=str(ids[number]),
            category=category,
            objects=objects,
            placeholders=tuple(_add_article(name, rng) for name in objects),
            validation=_is_validation(seed, int(order[place]), mover, lap, validation_share),
        )


def _add_article(name: str, rng: np.random.Generator) -> str:
    article = "an" if name[0] in "aeiou" else "a"
    return str(rng.choice([name, f"{article} {name}", f"the {name}"]))


def _is_validation(seed: int, category: int, mover: int, lap: int, share: float) -> bool:
    """Whether the clip of this lap is a validation clip: they are evenly spread over laps per object and category."""
    phase = np.random.default_rng([seed, 4, category, mover]).random()
    return int((lap + 1) * share + phase) > int(lap * share + phase)
