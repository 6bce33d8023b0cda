"""`make_shard` with a decoder that does what the caption says, in a module that a child process can import."""

import signal
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np

from pipeline.compute.sandbox import Failure
from pipeline.params import ClipParams, TranscodeParams
from pipeline.transcoding import ShardTask, make_shard
from pipeline.video.decode import DecodedVideo


def make_bad_shard(task: ShardTask, failures: Mapping[str, Failure]) -> Generator[str | None, None, None]:
    """Decode by name: hang, crash, hog, or two windows of one colour."""
    with patch("pipeline.transcoding.decode_video", decode_by_name):
        yield from make_shard(task, failures)


def decode_by_name(path: Path, shape: ClipParams, options: TranscodeParams, key: str) -> DecodedVideo:
    if "hang" in key:
        time.sleep(600)
    if "crash" in key:
        signal.raise_signal(signal.SIGSEGV)
    if "hog" in key:
        bytearray(2 * options.limits.memory_bytes)
    frames = np.zeros((shape.frames, shape.height, shape.width, 3), np.uint8)
    frames[:, :, : shape.width // 2] = len(path.read_bytes())
    return DecodedVideo([frames, frames + 1], 30)
