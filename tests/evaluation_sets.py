"""A tiny set with all splits, for the stages `judge` and `evaluate`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from settings import changed
from training_sets import tiny_clips, tiny_params, write_data

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.evaluation import distances, metric
from pipeline.params import EvaluateParams, JudgeParams, Params
from pipeline.records import Clip, Frames, Split
from stages.train_judge import train_judge

COUNTS: dict[Split, int] = {"train": 36, "judge": 48, "val": 54, "test": 54, "test_pairs": 12}
TINY_JUDGE = {"steps": 25, "batch_clips": 16, "lr": 6.0e-3, "width": 4}
TINY_EVALUATION = {"samples": 24, "varied_captions": 3, "varied_samples": 4, "distractors": 5, "resamples": 20}


def judging() -> JudgeParams:
    """The section `judge` of a short training."""
    return changed({"judge": TINY_JUDGE}).judge


def evaluating(**values: Any) -> EvaluateParams:
    """The section `evaluate` with few samples."""
    return changed({"evaluate": {**TINY_EVALUATION, "pictures": 2, **values}}).evaluate


def make_clips(counts: dict[Split, int]) -> list[tuple[Clip, Frames]]:
    """So many clips of each split, each a little different from all others."""
    rng = np.random.default_rng(1)
    made = tiny_clips(sum(counts.values()))
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [
        (replace(clip, split=split), np.clip(frames + rng.normal(0, 6, frames.shape), 0, 255).astype(np.uint8))
        for (clip, frames), split in zip(made, splits, strict=True)
    ]


def judged(folder: Path, counts: dict[Split, int] = COUNTS) -> Path:
    """`folder` with data of these splits and a judge that has learned a little."""
    write_data(folder, make_clips(counts))
    learn(folder, folder / "judge")
    return folder


def learn(folder: Path, out: Path) -> None:
    """Run the stage `judge` on the data in `folder`."""
    dataset = Dataset(DataFolders(folder / "labels", folder / "clips", folder / "captions"))
    train_judge(dataset, out, tiny().clip, judging(), seed=17)


def tiny() -> Params:
    """The params of a tiny project."""
    return tiny_params()


def shorten_evaluations() -> Iterator[None]:
    """For tests that ask neither how well clips are told apart nor how wide intervals are, which takes most time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "STEPS", 10)
        patch.setattr(metric, "HALVES", 4)
        yield
