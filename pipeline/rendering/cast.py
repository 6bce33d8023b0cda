"""Who plays in the grid: for each category one caption per object, and a real clip that has it."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.records import Clip

HELD_OUT = ("test_pairs", "test_words")  # splits of what the generator has never been shown
STAR = "*"


@dataclass(frozen=True, slots=True)
class Role:
    """One window of every block of its category."""

    template: str
    label: str  # the object, with a star where its clips of this category were held out
    caption: str
    clip: str  # id of a real clip with this caption


def choose_roles(clips: Sequence[Clip], available: Collection[str], most: int) -> list[list[Role]]:
    """The roles of each category by name: the `most` objects with most clips, each in its commonest words.

    Only clips whose id is `available` count.
    """
    by_category: dict[str, dict[tuple[str, ...], list[Clip]]] = {}
    for clip in clips:
        if clip.id in available:
            by_category.setdefault(clip.category, {}).setdefault(clip.objects, []).append(clip)
    return [_roles(by_category[category], most) for category in sorted(by_category)]


def row_title(roles: Sequence[Role]) -> str:
    """The template of a row, and what a star means where there is one."""
    note = f"   ({STAR} held out of training)" if any(role.label.endswith(STAR) for role in roles) else ""
    return roles[0].template + note


def _roles(by_objects: dict[tuple[str, ...], list[Clip]], most: int) -> list[Role]:
    chosen = sorted(by_objects, key=lambda objects: (-len(by_objects[objects]), objects))[:most]
    return [_role(by_objects[objects]) for objects in sorted(chosen)]


def _role(clips: Sequence[Clip]) -> Role:
    counts = Counter(clip.caption for clip in clips)
    caption = min(counts, key=lambda text: (-counts[text], text))
    star = STAR if any(clip.split in HELD_OUT for clip in clips) else ""
    clip = min((clip for clip in clips if clip.caption == caption), key=lambda clip: clip.id)
    return Role(clip.template, " + ".join(clip.objects) + star, caption, clip.id)
