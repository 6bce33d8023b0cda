"""Clips of an evaluation worth looking at: the most suspicious, the worst, reversed ones, and those of new words."""

from typing import NamedTuple

import numpy as np

from pipeline.evaluation.controls import REAL
from pipeline.evaluation.evaluate import Evaluation, GeneratorEvaluation
from pipeline.evaluation.memorisation import SPACES
from pipeline.evaluation.metrics import CLIP_METRICS
from pipeline.judges.classes import Prompt
from pipeline.records import Frames

NEW, REAL_NEW = "model, words", "real words"
WORST_SAMPLES = 3  # of a caption


class Strip(NamedTuple):
    """A line of a picture: a caption, and clips [T,H,W,3] under their headings."""

    caption: str
    clips: dict[str, Frames]


def select_pictures(found: GeneratorEvaluation) -> dict[str, list[Strip]]:
    """The lines of each picture by its name, which may be none."""
    count = found.options.pictures
    return {
        "nearest": select_nearest(found.evaluation, count),
        "worst": select_worst(found.evaluation, count, WORST_SAMPLES),
        "opposites": select_opposites(found.evaluation, count),
        "words": select_words(found.evaluation, count),
    }


def select_nearest(found: Evaluation, count: int) -> list[Strip]:
    """The samples nearest to a training clip in any space, the most suspicious first, with the nearest clip in each."""
    clips, copies = found.clips["model"], found.reference.copies
    near = {space: copies.find_nearest(clips, space).rows for space in SPACES}
    close = copies.measure_closeness(clips)
    suspicion = np.min(list(close.values()), axis=0)
    rows: dict[int, int] = {}  # meaning -> its most suspicious sample
    for row in np.argsort(suspicion, kind="stable").tolist():
        rows.setdefault(clips.prompts[row].meaning, row)
    return [
        Strip(
            clips.prompts[row].caption.text,
            {"generated": clips.frames[row]}
            | {
                f"{space}: {close[space][row]:.2f} of the limit": copies.train.frames[near[space][row]]
                for space in SPACES
            },
        )
        for row in list(rows.values())[:count]
    ]


def select_worst(found: Evaluation, count: int, samples: int) -> list[Strip]:
    """The captions whose samples show the right object and category least often: wrong samples first, and a real clip.

    Captions whose samples are all right are selected only where there are no others.
    """
    lines: list[tuple[float, int, Strip]] = []
    for name, real in (("model", REAL), ("model, pairs", "real pairs")):
        if name not in found.clips:
            continue
        clips, reals = found.clips[name], found.clips[real]
        right = CLIP_METRICS["joint_accuracy"].values(clips, found.reference)
        examples = reals.group_by_meaning()
        for meaning, rows in clips.group_by_meaning().items():
            if np.isnan(right[rows[0]]):
                continue  # the judge has no such class, so it cannot say what is wrong
            first = sorted(rows, key=lambda row: float(right[row]))[:samples]
            shown = {
                f"generated {place}, {'right' if right[row] else 'wrong'}": clips.frames[row]
                for place, row in enumerate(first, 1)
            }
            shown["real"] = reals.frames[examples[meaning][0]]
            caption = f"{clips.prompts[rows[0]].caption.text}: {right[rows].sum():.0f} of {len(rows)} right"
            lines.append((float(right[rows].mean()), len(lines), Strip(caption, shown)))
    wrong = [line for line in lines if line[0] < 1] or lines
    return [shown for _, _, shown in sorted(wrong, key=lambda line: line[:2])[:count]]


def select_opposites(found: Evaluation, count: int) -> list[Strip]:
    """A sample of each caption that has an opposite, with the sample of the same noise under that opposite."""
    if "model, turned from" not in found.clips:
        return []
    before, after = found.clips["model, turned from"], found.clips["model, turned to"]
    first = [int(rows[0]) for rows in before.group_by_meaning().values()]
    return [
        Strip(
            before.prompts[row].caption.text,
            {"generated": before.frames[row], after.prompts[row].caption.text: after.frames[row]},
        )
        for row in sorted(first)[:count]
    ]


def select_words(found: Evaluation, count: int) -> list[Strip]:
    """A sample of each new word, the nearest to a seen one first, with real clips of both where there are any."""
    if NEW not in found.clips:
        return []
    clips, train, reals = found.clips[NEW], found.reference.copies.train, found.clips.get(REAL_NEW)
    examples = {prompt.object: row for row, prompt in reversed([*enumerate(train.prompts)])}
    own = {} if reals is None else {prompt.caption.text: row for row, prompt in enumerate(reals.prompts)}
    first: dict[str, int] = {}
    for row, prompt in enumerate(clips.prompts):
        if prompt.new is not None:
            first.setdefault(prompt.new.name, row)
    strips = []
    for row in sorted(first.values(), key=lambda row: -_measure_nearness(clips.prompts[row]))[:count]:
        prompt = clips.prompts[row]
        shown = {"generated": clips.frames[row]}
        if reals is not None and prompt.caption.text in own:
            shown["real"] = reals.frames[own[prompt.caption.text]]
        if prompt.new is not None and prompt.object >= 0 and prompt.object in examples:
            shown[f"real {prompt.new.near}, the nearest seen"] = train.frames[examples[prompt.object]]
        strips.append(Strip(prompt.caption.text, shown))
    return strips


def _measure_nearness(prompt: Prompt) -> float:
    return prompt.new.cosine if prompt.new else -1.0
