"""Who plays in the grid: for each category one caption per object, and a real clip that has it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
    new: tuple[str, ...]  # its objects that no training clip shows


def choose_roles(clips: Sequence[Clip], available: Collection[str], most: int) -> list[list[Role]]:
    """The roles of each category by name: the `most` objects with most clips, each in its commonest words.

    Only clips whose id is `available` count.
    """
    seen = {name for clip in clips if clip.split == "train" for name in clip.objects}
    by_category: dict[str, dict[tuple[str, ...], list[Clip]]] = {}
    for clip in clips:
        if clip.id in available:
            by_category.setdefault(clip.category, {}).setdefault(clip.objects, []).append(clip)
    return [_roles(by_category[category], most, seen) for category in sorted(by_category)]


def choose_hosts(clips: Sequence[Clip], name: str) -> list[Clip]:
    """One clip of each category by name: with `name` as its first object, and of the train split, where there is one.

    Of these it is one with the commonest caption.
    """
    hosts = []
    for category in sorted({clip.category for clip in clips}):
        own = [clip for clip in clips if clip.category == category]
        counts = Counter(clip.caption for clip in own)
        hosts.append(
            min(own, key=lambda it: (it.objects[:1] != (name,), it.split != "train", -counts[it.caption], it.id))
        )
    return hosts


def row_title(roles: Sequence[Role], likeness: Mapping[str, str]) -> str:
    """The template of a row, what a star means where there is one, and what its new objects are like, where known."""
    notes = [f"{STAR} held out of training"] if any(role.label.endswith(STAR) for role in roles) else []
    notes += [likeness[name] for role in roles for name in role.new if name in likeness]
    return roles[0].template + (f"   ({'; '.join(dict.fromkeys(notes))})" if notes else "")


def _roles(by_objects: dict[tuple[str, ...], list[Clip]], most: int, seen: Collection[str]) -> list[Role]:
    chosen = sorted(by_objects, key=lambda objects: (-len(by_objects[objects]), objects))[:most]
    return [_role(by_objects[objects], seen) for objects in sorted(chosen)]


def _role(clips: Sequence[Clip], seen: Collection[str]) -> Role:
    counts = Counter(clip.caption for clip in clips)
    caption = min(counts, key=lambda text: (-counts[text], text))
    star = STAR if any(clip.split in HELD_OUT for clip in clips) else ""
    clip = min((clip for clip in clips if clip.caption == caption), key=lambda clip: clip.id)
    new = tuple(name for name in clip.objects if name not in seen)
    return Role(clip.template, " + ".join(clip.objects) + star, caption, clip.id, new)
