"""The mirror image of a clip: its frames flipped, its words and its way turned with them."""

from dataclasses import replace

from pipeline.directions.table import Directions, Fault, flip_way
from pipeline.records import Clip, slugify

BEHIND_ID = "-mirrored"


def find_twin_fault(clip: Clip, directions: Directions) -> Fault | None:
    """Why the clip must not be flipped, None where it may."""
    return next(filter(None, (directions.find_mirror_fault(text) for text in list_texts(clip))), None)


def make_twin(clip: Clip, directions: Directions) -> Clip:
    """The mirror image of a clip that may be flipped."""
    caption, template, *objects = (directions.mirror(text) or text for text in list_texts(clip))
    return replace(
        clip,
        id=f"{clip.id}{BEHIND_ID}",
        caption=caption,
        template=template,
        category=clip.category if template == clip.template else slugify(template),
        objects=tuple(objects),
        mirrored=True,
        moves=flip_way(clip.moves),
    )


def list_texts(clip: Clip) -> tuple[str, ...]:
    """All words that may name a side."""
    return clip.caption, clip.template, *clip.objects
