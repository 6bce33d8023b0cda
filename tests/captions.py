"""Clips with captions for the tests of the package `text`."""

from locations import SHARED
from made import make_clip

from pipeline.corpus.captions import find_objects, normalise_text
from pipeline.records import Caption, Clip, Split

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"


def chosen(clip_id: str, label: str, template: str, *placeholders: str) -> Clip:
    """The clip that the stage `filter` makes of a row of labels."""
    caption = normalise_text(label)
    return make_clip(clip_id, caption, "train", normalise_text(template), find_objects(caption, template, placeholders))


def pushed(clip_id: str, thing: str, split: Split = "train") -> Clip:
    """A clip of a thing pushed to the right."""
    caption = f"pushing a {thing} from left to right"
    return make_clip(clip_id, caption, split, "Pushing [something] from left to right", (thing,))


def object_tokens(caption: Caption) -> tuple[str, ...]:
    """The words of all objects in order, without articles."""
    return tuple(token for token, slot in zip(caption.tokens, caption.slots, strict=True) if slot > 0)
