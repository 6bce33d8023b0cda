"""Videos -> signatures: each decoded once, in a sandbox, to frames that are hardly larger than a signature."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.compute.pool import Progress, silent
from pipeline.duplicates import FRAMES, GRID
from pipeline.params import ClipParams, ComputeParams, TranscodeParams
from pipeline.records import Clip, Signature
from pipeline.transcoding import list_signatures, make_shards

SHAPE = ClipParams(frames=FRAMES, height=2 * GRID, width=2 * GRID, spread="time", seconds=None, stride=None)


def sign_videos(
    videos: Path,
    clips: Sequence[Clip],
    options: TranscodeParams,
    compute: ComputeParams,
    progress: Progress = silent,
) -> list[Signature]:
    """The signatures of clips, which are sorted by id; one that cannot be decoded has none."""
    if not clips:
        return []
    whole = options.model_copy(update={"windows": 1, "shard_format": "parquet", "short_clips": "repeat_last"})
    local = compute.model_copy(update={"backend": "processes"})
    with TemporaryDirectory() as temporary:
        folder, label = Path(temporary), "filter, parts"
        return list_signatures(
            make_shards(folder, videos, clips, SHAPE, whole, local, total=len(clips), label=label, progress=progress)
        )
