"""Sets of clips with measurements made up by hand, for the tests of metrics and controls."""

from typing import Any

import numpy as np
from made import make_caption

from pipeline.evaluation.measured_clips import ClipSet, MeasuredClips
from pipeline.evaluation.memorisation import CopySearch
from pipeline.evaluation.metric import Reference
from pipeline.judges import Prompt

MEANINGS = 4


def prompt(thing: int, category: int = 0, moves: tuple[float, float] | None = (1.0, 0.0)) -> Prompt:
    """What a clip should show; its meaning follows from the two numbers."""
    caption = make_caption(f"pushing {thing} as {category}", (2 + thing,))
    return Prompt(caption, thing, category, 10 * category + thing, moves)


def measured(count: int, seed: int = 0, **values: Any) -> MeasuredClips:
    """Clips that show what they should, with random measurements; `values` replace any of it."""
    rng = np.random.default_rng(seed)
    prompts = values.pop("prompts", [prompt(row % MEANINGS) for row in range(count)])
    made = {
        "frames": rng.integers(0, 256, (count, 2, 8, 8, 3), dtype=np.uint8),
        "features": rng.normal(size=(count, 6)),
        "statistics": rng.normal(size=(count, 4)),
        "laplacian_energies": rng.normal(size=(count, 3)),
        "objects": np.array([one.object for one in prompts]),
        "categories": np.array([one.category for one in prompts]),
        "ranks": np.zeros(count),
        "movements": np.tile([1.0, 0.0], (count, 1)),
        "energies": rng.uniform(1, 2, count),
        "jerks": rng.uniform(1, 2, count),
        "pixels": rng.normal(size=(count, 384)),
        "flows": 1 + rng.normal(size=(count, 4 * 8 * 8 * 2)),
        "velocities": rng.normal(size=(count, 2, 3)),
    }
    made |= values
    clips = MeasuredClips(ClipSet(made.pop("frames"), prompts))
    clips._known.update(made)
    return clips


def change(clips: MeasuredClips, **values: Any) -> MeasuredClips:
    """The same clips with other measurements, frames or prompts."""
    known = {name: value for name, value in clips._known.items() if isinstance(name, str)}
    kept = {"frames": clips.frames, "prompts": clips.prompts, **known, **values}
    return measured(len(clips), **kept)


def reference(real: MeasuredClips | None = None, equal: int = 60, unseen: int = 60, **values: Any) -> Reference:
    """Sixty real clips to measure against, and as many training clips."""
    real = measured(60, seed=1) if real is None else real
    copies = CopySearch(measured(60, seed=2), measured(unseen, seed=3), "numpy")
    return Reference(real, real, copies, equal, 100, 5, **values)
