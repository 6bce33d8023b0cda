"""Shuffled reading of shards, in batches, to a plain memory map of the same frames."""

from pathlib import Path

import numpy as np

from bench.measuring import Times, cpu_seconds, interleaved
from pipeline.records import Frames
from pipeline.shards import ShardReader, write_index, write_shard

SHAPE, SHARD_CLIPS, BATCH_CLIPS = (16, 64, 64), 250, 50


def measure_reading(folder: Path, clips: int, rounds: int) -> dict[str, Times]:
    """CPU seconds for all clips in a random order, by the reader and by indexing a memory map."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (clips, *SHAPE, 3), dtype=np.uint8)
    rows = [(f"{number:07}", "", clip) for number, clip in enumerate(frames)]
    parts = [rows[start : start + SHARD_CLIPS] for start in range(0, clips, SHARD_CLIPS)]
    write_index(folder, SHAPE, [write_shard(folder / f"{n:05}.parquet", part) for n, part in enumerate(parts)])
    frames.tofile(folder / "all.bin")
    mapped: Frames = np.memmap(folder / "all.bin", np.uint8, "r", 0, frames.shape)
    reader = ShardReader(folder)
    order = reader.shuffled(range(clips), seed=0)
    batches = [order[start : start + BATCH_CLIPS] for start in range(0, clips, BATCH_CLIPS)]
    return interleaved({"memmap": lambda rows: mapped[rows], "ours": reader.frames}, batches, rounds, cpu_seconds)
