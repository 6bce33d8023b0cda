"""Which samples to show: the nearest training clips beside some, and the captions that came out worst."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.assess import REAL, Assessment
from pipeline.evaluation.copies import SPACES
from pipeline.records import Frames


class Shown(NamedTuple):
    """A line of a picture: a caption, and clips [T,H,W,3] under their headings."""

    caption: str
    clips: dict[str, Frames]


def nearest(found: Assessment, count: int) -> list[Shown]:
    """The samples nearest to a training clip, the most suspicious first, beside the nearest ones in every space."""
    views, copies = found.views["model"], found.yardstick.copies
    near = {space: copies.nearest(views, space) for space in SPACES}
    rows = _of_different_meanings(found, np.argsort(near["pixels"].distances, kind="stable").tolist(), count)
    return [
        Shown(
            views.prompts[row].caption.text,
            {"generated": views.frames[row]}
            | {f"nearest by {space}": copies.train.frames[near[space].rows[row]] for space in SPACES},
        )
        for row in rows
    ]


def worst(found: Assessment, count: int, samples: int) -> list[Shown]:
    """The captions whose samples show the right object and category least often, with some of them and a real clip."""
    lines: list[tuple[float, int, Shown]] = []
    for name, real in (("model", REAL), ("model, pairs", "real pairs")):
        if name not in found.views:
            continue
        views, reals = found.views[name], found.views[real]
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, prompt in enumerate(views.prompts):
            rows_of[prompt.meaning].append(row)
        for meaning, rows in sorted(rows_of.items()):
            if min(views.prompts[rows[0]].object, views.prompts[rows[0]].category) < 0:
                continue  # the judge knows no such thing, so it cannot say what is wrong
            right = [
                views.objects[row] == views.prompts[row].object and views.categories[row] == views.prompts[row].category
                for row in rows
            ]
            example = next(row for row, prompt in enumerate(reals.prompts) if prompt.meaning == meaning)
            clips = {f"generated {place + 1}": views.frames[row] for place, row in enumerate(rows[:samples])}
            caption = f"{views.prompts[rows[0]].caption.text}: {sum(right)} of {len(rows)} right"
            lines.append((float(np.mean(right)), len(lines), Shown(caption, clips | {"real": reals.frames[example]})))
    return [shown for _, _, shown in sorted(lines, key=lambda line: line[:2])[:count]]


def _of_different_meanings(found: Assessment, rows: Sequence[int], count: int) -> list[int]:
    prompts = found.views["model"].prompts
    first = {prompts[row].meaning: row for row in reversed(rows)}
    return sorted(first.values(), key=rows.index)[:count]
