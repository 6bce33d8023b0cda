"""Clips and captions for the tests of the room `text`."""

from locations import SHARED

from pipeline.corpus.captions import clean_text, find_objects
from pipeline.records import Clip, Split, slug_of

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"


def clip(
    clip_id: str, caption: str, split: Split = "train", template: str = "Up", objects: tuple[str, ...] = ()
) -> Clip:
    """A clip of one category with this caption."""
    return Clip(
        id=clip_id,
        caption=caption,
        original=caption,
        category=slug_of(template),
        template=template,
        objects=objects,
        split=split,
        video=f"{clip_id}.webm",
        digest="0" * 64,
        mirrored=False,
    )


def chosen(clip_id: str, label: str, template: str, *placeholders: str) -> Clip:
    """The clip that the stage `filter` makes of a row of labels."""
    caption = clean_text(label)
    return clip(clip_id, caption, "train", clean_text(template), find_objects(caption, template, placeholders))


def pushed(clip_id: str, thing: str, split: Split = "train") -> Clip:
    """A clip of a thing pushed to the right."""
    caption = f"pushing a {thing} from left to right"
    return clip(clip_id, caption, split, "Pushing [something] from left to right", (thing,))
