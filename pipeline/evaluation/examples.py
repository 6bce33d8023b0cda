"""Which samples to show: the nearest training clips beside some, and the captions that came out worst."""

from typing import NamedTuple

import numpy as np

from pipeline.evaluation.control_checks import REAL
from pipeline.evaluation.evaluate import Assessment
from pipeline.evaluation.memorisation import SPACES
from pipeline.evaluation.metrics import PER_CLIP
from pipeline.records import Frames


class Shown(NamedTuple):
    """A line of a picture: a caption, and clips [T,H,W,3] under their headings."""

    caption: str
    clips: dict[str, Frames]


def nearest(found: Assessment, count: int) -> list[Shown]:
    """The samples nearest to a training clip in any space, the most suspicious first, beside the nearest in each."""
    views, copies = found.views["model"], found.yardstick.copies
    near = {space: copies.nearest(views, space).rows for space in SPACES}
    close = copies.closeness(views)
    suspicion = np.min(list(close.values()), axis=0)
    rows: dict[int, int] = {}  # meaning -> its most suspicious sample
    for row in np.argsort(suspicion, kind="stable").tolist():
        rows.setdefault(views.prompts[row].meaning, row)
    return [
        Shown(
            views.prompts[row].caption.text,
            {"generated": views.frames[row]}
            | {
                f"{space}: {close[space][row]:.2f} of the limit": copies.train.frames[near[space][row]]
                for space in SPACES
            },
        )
        for row in list(rows.values())[:count]
    ]


def worst(found: Assessment, count: int, samples: int) -> list[Shown]:
    """The captions whose samples show the right object and category least often: wrong samples first, and a real clip.

    Captions whose samples are all right stand there only where there are no others.
    """
    lines: list[tuple[float, int, Shown]] = []
    for name, real in (("model", REAL), ("model, pairs", "real pairs")):
        if name not in found.views:
            continue
        views, reals = found.views[name], found.views[real]
        right = PER_CLIP["joint_accuracy"](views, found.yardstick)
        examples = reals.by_meaning()
        for meaning, rows in views.by_meaning().items():
            if np.isnan(right[rows[0]]):
                continue  # the judge knows no such thing, so it cannot say what is wrong
            first = sorted(rows, key=lambda row: float(right[row]))[:samples]
            clips = {
                f"generated {place}, {'right' if right[row] else 'wrong'}": views.frames[row]
                for place, row in enumerate(first, 1)
            }
            clips["real"] = reals.frames[examples[meaning][0]]
            caption = f"{views.prompts[rows[0]].caption.text}: {right[rows].sum():.0f} of {len(rows)} right"
            lines.append((float(right[rows].mean()), len(lines), Shown(caption, clips)))
    wrong = [line for line in lines if line[0] < 1] or lines
    return [shown for _, _, shown in sorted(wrong, key=lambda line: line[:2])[:count]]
