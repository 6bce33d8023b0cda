"""How long training waits for its clips while they are read from their shards."""

import time
from pathlib import Path

import numpy as np
import torch

from bench.dataset import chosen_clips, draw_short
from bench.steps import CAPTION_WORDS, Steps
from bench.table import Measure
from bench.ways import ALONE, CPU
from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
from pipeline.data.sampler import Sampler
from pipeline.directions.table import Directions
from pipeline.files import write_json
from pipeline.params import ClipParams, TrainParams
from pipeline.records import DIRECTIONS, Caption, Clip
from pipeline.shards import write_index, write_shard
from pipeline.tables import write_table

CLIPS, SHARD_CLIPS = 512, 128


def data_measures(folder: Path, shape: ClipParams, train: TrainParams, steps: int) -> list[Measure]:
    """One core, by the clock: the share of the time in which the next batch was not there yet."""
    torch.set_num_threads(1)
    clips, training = _made_up(folder, shape), Steps(ALONE, shape, train)
    sampler, share = Sampler(0, len(clips), train), slice(0, train.batch_clips)
    start = time.perf_counter()
    with clips.read_ahead(sampler.upcoming(range(steps), share)):
        for number in range(steps):
            z_width = training.nets.generator.z_width
            batches = [clips.batch(rows, z_width, share) for rows in sampler.batches(number)]
            training.take(penalise=number % train.penalty_every == 0, batches=batches)
    waited = clips.source.waited / (time.perf_counter() - start)
    return [Measure("data_wait", "share of time waiting for clips that are read from shards", "< 0.02", waited)]


def _made_up(folder: Path, shape: ClipParams) -> TrainingSplit:
    labels = chosen_clips([draw_short(folder / "short.webm")] * CLIPS)
    size = (shape.frames, shape.height, shape.width)
    frames = np.random.default_rng(0).integers(0, 256, (CLIPS, *size, 3), dtype=np.uint8)
    rows = [(clip.id, clip.caption, each) for clip, each in zip(labels, frames, strict=True)]
    parts = [rows[start : start + SHARD_CLIPS] for start in range(0, CLIPS, SHARD_CLIPS)]
    shards = folder / "clips"
    write_index(shards, size, [write_shard(shards / f"{n:05}.parquet", part) for n, part in enumerate(parts)])
    ids, slots = tuple(range(2, 2 + CAPTION_WORDS)), (0,) * CAPTION_WORDS
    captions = [Caption(clip.id, clip.caption, ("",) * CAPTION_WORDS, ids, slots) for clip in labels]
    write_table(folder / "labels" / "clips.parquet", Clip, labels)
    write_json(folder / "labels" / DIRECTIONS, Directions().as_data())
    write_table(folder / "captions" / "captions.parquet", Caption, captions)
    dataset = Dataset(DataFolders(folder / "labels", shards, folder / "captions"))
    return TrainingSplit(dataset, "train", CPU, loading="streamed")
