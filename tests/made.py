"""Clips and captions made by hand: a test says what it needs, the rest is filled in."""

from typing import Any

from pipeline.directions import DirectionRules, name_direction
from pipeline.records import Caption, Clip, Split, slugify


def make_clip(
    clip_id: str = "1",
    caption: str = "",
    split: Split = "train",
    template: str = "Up",
    objects: tuple[str, ...] = (),
    **values: Any,
) -> Clip:
    """A chosen clip; `values` are of its other fields."""
    way = name_direction(DirectionRules().find_motion(caption))
    row = {
        "id": clip_id,
        "caption": caption,
        "original": caption,
        "category": slugify(template),
        "template": template,
        "objects": objects,
        "split": split,
        "video": f"{clip_id}.webm",
        "digest": "0" * 64,
        "mirrored": False,
        "moves": way,
    }
    return Clip(**{**row, **values})


def make_caption(
    text: str, token_ids: tuple[int, ...] = (), slots: tuple[int, ...] | None = None, clip_id: str = "1"
) -> Caption:
    """A tokenized caption whose tokens are the words of the text; without `slots` it names no object."""
    tokens = tuple(text.split())
    return Caption(clip_id, text, tokens, token_ids, (0,) * len(tokens) if slots is None else slots)
