"""The sets of clips that one evaluation looks at: generated, real, planted."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation import controls
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.controls import Clips
from pipeline.evaluation.material import Material
from pipeline.evaluation.views import Prompt
from pipeline.params import EvaluateParams
from pipeline.records import Frames, Split

Draw = Callable[[Sequence[Prompt], int], Frames]  # prompts and a seed -> one clip each; rows share noise by their place


class Reals(NamedTuple):
    """Real clips by split, uint8 [N,T,H,W,3], with what they show."""

    test: Clips
    val: Clips
    train: Clips
    pairs: Clips
    words: Clips


def reals_of(material: Material, classes: Classes, params: EvaluateParams) -> Reals:
    """The real clips of a run, no more of each split than `params` allows. Raises UserError where there are too few."""

    def real(split: Split, most: int) -> Clips:
        rows = material.rows(split, most)
        return Clips(material.frames(rows), classes.prompts(material.clips(rows), material.captions))

    reals = Reals(
        test=real("test", params.real_clips),
        val=real("val", params.real_clips),
        train=real("train", params.train_clips),
        pairs=real("test_pairs", params.real_clips),
        words=real("test_words", params.real_clips),
    )
    if not reals.test.prompts or not reals.train.prompts:
        raise UserError(
            f"evaluate: {len(reals.test.prompts)} clips in the split test and {len(reals.train.prompts)} in train, "
            "where both are needed; see filter.shares"
        )
    return reals


def generated(
    draw: Draw, reals: Reals, new: Sequence[Prompt], opposites: dict[str, Prompt], params: EvaluateParams
) -> dict[str, Clips]:
    """What the generator makes of captions of the test splits, and of captions with `new` objects.

    `opposites` holds reversed captions by caption.
    """
    seen = repeated(reals.test.prompts, params.samples)
    turned = [prompt for prompt in seen if prompt.caption.text in opposites]
    varied = different(reals.test.prompts, params.varied_captions)
    wanted = {
        "model": seen,
        "model, varied": repeated(varied, len(varied) * params.varied_samples),
        "model, pairs": repeated(reals.pairs.prompts, params.samples),
        "model, words": repeated(new, params.samples),
    }
    sets = {
        name: Clips(draw(prompts, params.seed + place), prompts)
        for place, (name, prompts) in enumerate(wanted.items())
        if prompts
    }
    if turned:
        # The same noise under both captions: all that differs is the direction.
        back = [opposites[prompt.caption.text] for prompt in turned]
        sets["model, turned from"] = Clips(draw(turned, params.seed + len(wanted)), turned)
        sets["model, turned to"] = Clips(draw(back, params.seed + len(wanted)), back)
    return sets


def planted(reals: Reals, seed: int) -> dict[str, Clips]:
    """The controls, one clip for each real clip of the test split."""
    rng = np.random.default_rng(seed)
    frames, prompts = reals.test
    copied = controls.train_copy(*reals.train, prompts, rng)
    return {
        "train copy": copied,
        "noisy train copy": Clips(controls.noisy(copied.frames, rng), copied.prompts),
        "mean clip": controls.mean_clips(*reals.train, prompts),
        "frozen": Clips(controls.frozen(frames), prompts),
        "shuffled frames": Clips(controls.shuffled_frames(frames, rng), prompts),
        "backwards": Clips(controls.backwards(frames), prompts),
        "shuffled captions": Clips(frames, controls.shuffled_captions(prompts, rng)),
        "noise": Clips(controls.noise_clips(len(frames), frames.shape[1:], rng), prompts),
    }


def repeated(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """`count` prompts, one after the other and from the start again."""
    return [prompts[place % len(prompts)] for place in range(count)] if prompts else []


def different(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    """The first prompt of each meaning, at most so many."""
    first: dict[int, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.meaning, prompt)
    return list(first.values())[:most]
