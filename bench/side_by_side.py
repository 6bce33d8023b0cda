"""Samples of two training runs after the same number of clips, next to real clips: python -m bench.side_by_side.

Uses the data of this project (after `dvc repro tokenize`). Each method has its own schedule; the recipe's training uses
the batch size of params.yaml, since it is far slower.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from bench.training import ALONE
from pipeline.cli.recipe import load_recipe
from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit, to_frames
from pipeline.data.sampler import draw_noise
from pipeline.distributed import set_up
from pipeline.errors import run
from pipeline.models.networks import TextToVideo
from pipeline.params import Params, TrainParams, load_params
from pipeline.records import Frames
from pipeline.rendering import Block, Row, Window
from pipeline.rendering.export import export_samples
from pipeline.training.loop import Trainer, build_run

FOLDERS = DataFolders(Path("data/labels"), Path("data/clips"), Path("data/captions"))


def main(
    clips: Annotated[int, typer.Option(min=1, help="clips shown in each training run")] = 960,
    captions: Annotated[int, typer.Option(min=1, help="number of different captions of training clips")] = 6,
    recipe: Annotated[str, typer.Option(help="recipe whose section `train` is compared")] = "seed-2019",
    out: Annotated[Path, typer.Option(help="image to write: .png (film strips) or .gif")] = Path(
        "docs/experiments/side-by-side.png"
    ),
) -> None:
    """Train both, one after the other, and write their samples."""
    set_up(ALONE.device)
    params = load_params(Path("params.yaml"))
    other = load_recipe(recipe).train.model_copy(update={"batch_clips": params.train.batch_clips})
    theirs, real = _samples(params, other, recipe, clips, captions)
    ours, _ = _samples(params, params.train, "params.yaml", clips, captions)
    title = f"after {clips} clips in batches of {params.train.batch_clips}"
    export_samples([Row(title, [theirs, ours, real])], out, scale=2, fps=params.render.fps, provenance={"clips": clips})


def _samples(params: Params, train: TrainParams, name: str, count: int, captions: int) -> tuple[Block, Block]:
    """Samples of the averaged generator for the first distinct captions, and real clips with these captions."""
    dataset = Dataset(FOLDERS)
    dataset.require_shape(params.clip)
    clips = TrainingSplit(dataset, "train", ALONE.device, train.captions.conditioning)
    run = build_run(dataset, clips, params.seed, params.clip, train)
    training = Trainer(ALONE, run, clips)
    for _ in training.take_steps(count // train.step_clips):
        pass
    first = {clip.objects: row for row, clip in reversed(list(enumerate(clips.clips)))}
    rows = [first[things] for things in sorted(first)][:captions]
    labels = [clips.clips[row].caption for row in rows]
    drawn = to_frames(_draw(training.nets.average, clips.token_ids[rows], params.seed))
    real = clips.source.take(np.array(rows)).numpy()
    return build_block(name, labels, drawn), build_block("real", labels, real)


def build_block(title: str, labels: Sequence[str], clips: Frames) -> Block:
    """A block of clips with labels."""
    return Block(title, [Window(label, frames) for label, frames in zip(labels, clips, strict=True)])


@torch.no_grad()
def _draw(generator: TextToVideo, token_ids: torch.Tensor, seed: int) -> torch.Tensor:
    return generator(draw_noise(seed, len(token_ids), generator.z_width), token_ids)


if __name__ == "__main__":
    run(main)
