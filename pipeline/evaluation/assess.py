"""All sets of clips through one judge: the same path for the generator, real clips and planted controls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.controls import Clips
from pipeline.evaluation.copies import Copies
from pipeline.evaluation.judges import Judge, JudgeName
from pipeline.evaluation.metrics import Figure, Yardstick, measure, share
from pipeline.evaluation.subjects import Draw, Reals, different, generated, planted
from pipeline.evaluation.verdict import SECOND, Check, check
from pipeline.evaluation.views import Floats, Prompt, Views, look
from pipeline.params import EvaluateParams

REAL = "real test"
REPORTED_BY: JudgeName = "b"  # the judge of the figures; the other one is for choosing a model, which nothing does yet
NO_PAIRS = Figure(None, reason="no pair is held out; see filter.test_pairs")


@dataclass(frozen=True)
class Assessment:
    """Figures by set and metric, what was seen of each set, and what became of the controls."""

    figures: dict[str, dict[str, Figure]]
    views: dict[str, Views]
    yardstick: Yardstick
    checks: list[Check]


def assess(judge: Judge, reals: Reals, draw: Draw, opposites: dict[str, Prompt], params: EvaluateParams) -> Assessment:
    """Draw, plant and measure everything."""
    return weigh(judge, reals, generated(draw, reals, opposites, params), params)


def weigh(judge: Judge, reals: Reals, given: dict[str, Clips], params: EvaluateParams) -> Assessment:
    """Measure the given sets of clips, whoever made them, beside real clips and planted controls."""
    known = (reals.test, reals.val, reals.train, reals.pairs)
    everyone = [prompt for clips in known for prompt in clips.prompts]
    bank = different(everyone, len(everyone))  # one caption of each meaning, to draw wrong ones from
    sets = {REAL: reals.test, SECOND: reals.val, "real pairs": reals.pairs} | given | planted(reals, params.seed)
    sets = {name: clips for name, clips in sets.items() if clips.prompts}
    views = {name: look(judge, frames, prompts, bank, params.distractors) for name, (frames, prompts) in sets.items()}
    train = look(judge, *reals.train, bank, params.distractors)
    pool = views[REAL].joined(views[SECOND]) if SECOND in views else views[REAL]
    equal = min(len(views[name]) for name in (REAL, SECOND) if name in views)
    yardstick = Yardstick(views[REAL], pool, Copies(train, pool), equal, params.resamples, params.seed)
    figures = {name: measure(seen, yardstick) for name, seen in views.items()}
    return Assessment(figures, views, yardstick, check(figures, views[REAL].prompts, params.distractors))


def turned(found: Assessment) -> Figure:
    """How often the flow turns round with the caption, while the object stays and the noise is the same."""
    if "model, turned to" not in found.views:
        return Figure(None, reason="no caption of the split test has an opposite")
    before, after = found.views["model, turned from"], found.views["model, turned to"]
    said = [prompt.moves for prompt in before.prompts]
    along = [_along(views.movements, said) for views in (before, after)]
    flips = (along[0] * along[1] < 0) & (before.objects == after.objects)
    return share(np.where(np.isnan(along[0]), np.nan, flips), found.yardstick)


def _along(movements: Floats, said: Sequence[tuple[float, float] | None]) -> Floats:
    """How far each clip moves the way that its first caption says; nan where it says none."""
    ways = np.array([(np.nan, np.nan) if way is None else way for way in said], float)
    along: Floats = (movements * ways).sum(axis=1)
    return along


def mimicked(found: Assessment, name: str) -> Figure:
    """How often a clip of a held-out pair is nearest to a training clip of another object."""
    if name not in found.views:
        return NO_PAIRS
    views = found.views[name]
    return share(found.yardstick.copies.mimics(views), found.yardstick)
