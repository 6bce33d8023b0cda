"""A `ShardMaker` with a decoder that does what the caption says, in a module that a child process can import."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np

from pipeline.compute.child import Failure, Work
from pipeline.params import ClipParams, TranscodeParams
from pipeline.transcoding.shard_maker import ShardMaker, ShardTask
from pipeline.video.decode import DecodedVideo


class BadShardMaker(ShardMaker):
    """Decode by name: hang, crash, hog, or two windows of one colour."""

    def work(self, task: ShardTask, item: str, failures: Mapping[str, Failure], scratch: str) -> Work:
        with patch("pipeline.transcoding.shard_maker.decode_video", decode_by_name):
            return (yield from super().work(task, item, failures, scratch))


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
