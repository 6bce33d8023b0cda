"""Sets of clips as a judge might see them, made by hand, for the tests of metrics and verdicts."""

from typing import Any

import numpy as np
from made import make_caption

from pipeline.evaluation.memorisation import Copies
from pipeline.evaluation.metrics import Yardstick
from pipeline.evaluation.views import Views
from pipeline.judges.classes import Prompt

MEANINGS = 4


def prompt(thing: int, category: int = 0, moves: tuple[float, float] | None = (1.0, 0.0)) -> Prompt:
    """What a clip should show; its meaning follows from the two numbers."""
    caption = make_caption(f"pushing {thing} as {category}", (2 + thing,))
    return Prompt(caption, thing, category, 10 * category + thing, moves)


def views(count: int, seed: int = 0, **values: Any) -> Views:
    """Clips that show what they should and are strewn at random; `values` stand in place of any of it."""
    rng = np.random.default_rng(seed)
    prompts = values.pop("prompts", [prompt(row % MEANINGS) for row in range(count)])
    made = {
        "frames": rng.integers(0, 256, (count, 2, 8, 8, 3), dtype=np.uint8),
        "prompts": prompts,
        "features": rng.normal(size=(count, 6)),
        "looks": rng.normal(size=(count, 4)),
        "fineness": rng.normal(size=(count, 3)),
        "objects": np.array([one.object for one in prompts]),
        "categories": np.array([one.category for one in prompts]),
        "ranks": np.zeros(count),
        "movements": np.tile([1.0, 0.0], (count, 1)),
        "energies": rng.uniform(1, 2, count),
        "jerks": rng.uniform(1, 2, count),
        "pixels": rng.normal(size=(count, 384)),
        "flows": rng.normal(size=(count, 5)),
    }
    return Views(**{**made, **values})


def yardstick(real: Views | None = None, equal: int = 60, unseen: int = 60) -> Yardstick:
    """Sixty real clips to measure against, and as many training clips."""
    real = views(60, seed=1) if real is None else real
    return Yardstick(real, real, Copies(views(60, seed=2), views(unseen, seed=3), "numpy"), equal, 100, 5)
