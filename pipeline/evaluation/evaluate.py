"""All sets of clips through one judge: the same path for the generator, real clips and planted controls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.evaluation.clip_sets import Draw, Reals, different, generated, planted
from pipeline.evaluation.control_checks import REAL, SECOND, Check, check
from pipeline.evaluation.controls import Clips
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.memorisation import Copies
from pipeline.evaluation.metrics import Yardstick, measure, share
from pipeline.evaluation.pretrained_metrics import Outsiders
from pipeline.evaluation.views import Floats, Views, look
from pipeline.inference import Model
from pipeline.judges.classes import Prompt
from pipeline.judges.networks import Judge
from pipeline.models.flops import step_flops
from pipeline.params import EvaluateParams
from pipeline.pretrained import Networks

NO_PAIRS = Figure(None, reason="no pair is held out; see filter.test_pairs")


@dataclass(frozen=True)
class Assessment:
    """Figures by set and metric, what was seen of each set, and what became of the controls."""

    figures: dict[str, dict[str, Figure]]
    views: dict[str, Views]
    yardstick: Yardstick
    checks: list[Check]


def assess(
    judge: Judge,
    reals: Reals,
    draw: Draw,
    new: Sequence[Prompt],
    opposites: dict[str, Prompt],
    params: EvaluateParams,
    networks: Networks,
) -> Assessment:
    """Draw, plant and measure everything."""
    return weigh(judge, reals, generated(draw, reals, new, opposites, params), params, networks)


def weigh(
    judge: Judge, reals: Reals, given: dict[str, Clips], params: EvaluateParams, networks: Networks
) -> Assessment:
    """Measure the given sets of clips, whoever made them, beside real clips and planted controls.

    By the judge, and by pretrained networks where there are any.
    """
    known = (reals.test, reals.val, reals.train, reals.pairs)
    everyone = [prompt for clips in known for prompt in clips.prompts]
    bank = different(everyone, len(everyone))  # one caption of each meaning, to draw wrong ones from
    shown = {REAL: reals.test, SECOND: reals.val, "real pairs": reals.pairs, "real words": reals.words}
    sets = shown | given | planted(reals, params.seed)
    sets = {name: clips for name, clips in sets.items() if clips.prompts}
    views = {name: look(judge, frames, prompts, bank, params.distractors) for name, (frames, prompts) in sets.items()}
    train = look(judge, *reals.train, bank, params.distractors)
    pool = views[REAL].joined(views[SECOND]) if SECOND in views else views[REAL]
    equal = min(len(views[name]) for name in (REAL, SECOND) if name in views)
    copies = Copies(train, pool, params.search)
    yardstick = Yardstick(views[REAL], pool, copies, equal, params.resamples, params.seed, judge.unavailable_reason)
    outsiders = Outsiders(networks, min(equal, params.pretrained.clips), bank, params.distractors)
    figures = {name: measure(seen, yardstick) | outsiders.measure(seen, yardstick) for name, seen in views.items()}
    checks = check(figures, views[REAL].prompts, params.distractors)
    tried = [one for one in checks if one.metric not in outsiders.absent]
    return Assessment(figures, views, yardstick, tried)


def turned(found: Assessment) -> Figure:
    """How often the flow turns round with the caption, while the object stays and the noise is the same."""
    if "model, turned to" not in found.views:
        return Figure(None, reason="no caption of the split test has an opposite")
    if found.yardstick.excuse:
        return Figure(None, reason=found.yardstick.excuse)
    before, after = found.views["model, turned from"], found.views["model, turned to"]
    said = [prompt.moves for prompt in before.prompts]
    along = [_along(views.movements, said) for views in (before, after)]
    # From the way that is said to its opposite: of clips that move at random half change their sign.
    flips = (along[0] > 0) & (along[1] < 0) & (before.objects == after.objects)
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
    if found.yardstick.excuse:
        return Figure(None, reason=found.yardstick.excuse)
    views = found.views[name]
    return share(found.yardstick.copies.mimics(views), found.yardstick)


def cost_of(model: Model) -> dict[str, float]:
    """The generator's weights, and the billions of floating-point operations that one clip takes."""
    generator = model.generator
    z, ids = torch.zeros(1, generator.z_width), torch.ones(1, model.max_tokens, dtype=torch.int64)
    with torch.no_grad():
        operations = step_flops(lambda: generator(z, ids))
    return {
        "generator_weights": sum(weight.numel() for weight in generator.parameters()),
        "gflop_per_clip": round(operations / 1e9, 4),
    }
