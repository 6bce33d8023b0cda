"""A clip as its mirror image: the same video flipped left to right, with words that say so."""

from dataclasses import replace

from pipeline.corpus.categories import slug_of
from pipeline.directions import COUNTER, Fault, mirror_fault, mirrored
from pipeline.records import Clip

BEHIND_ID = "-mirrored"


def twin_fault(clip: Clip, counter: str = COUNTER) -> Fault | None:
    """Why the clip must not be flipped, None where it may; `counter` is how its dataset spells counter-clockwise."""
    return next(filter(None, (mirror_fault(text, counter) for text in texts_of(clip))), None)


def twin_of(clip: Clip, counter: str = COUNTER) -> Clip:
    """The mirror image of a clip that may be flipped."""
    caption, template, *objects = (mirrored(text, counter) or text for text in texts_of(clip))
    return replace(
        clip,
        id=f"{clip.id}{BEHIND_ID}",
        caption=caption,
        template=template,
        category=clip.category if template == clip.template else slug_of(template),
        objects=tuple(objects),
        mirrored=True,
    )


def texts_of(clip: Clip) -> tuple[str, ...]:
    """All words that may name a side."""
    return clip.caption, clip.template, *clip.objects
