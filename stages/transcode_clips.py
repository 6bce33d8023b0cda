"""Stage `transcode`: chosen videos -> shards of uint8 frames [T,H,W,3], complete if `index.json` exists."""

import sys
from pathlib import Path

from pipeline.duplicates import describe_leaks
from pipeline.errors import run
from pipeline.files import STATES, lock_folder, remove_abandoned, remove_state
from pipeline.monitoring import progress, report_drops
from pipeline.params import ClipParams, ComputeParams, TranscodeParams, load_params
from pipeline.records import DROPS, Clip, Drop
from pipeline.shards import INDEX
from pipeline.tables import count_rows, iterate_table
from pipeline.transcoding import fingerprint, make_shards, publish_shards, require_fitting_shards, require_order

KEPT_STATES = 3  # of stopped runs, or of points of a sweep


def transcode_clips(
    labels: Path,
    videos: Path,
    out: Path,
    shape: ClipParams,
    options: TranscodeParams,
    compute: ComputeParams,
    states: Path = STATES,
) -> None:
    """Decode all chosen clips; those that fail are listed with a reason.

    Finished shards are kept in a folder of `states` until all exist, so that a stopped run resumes. Raises UserError if
    a shard would be too large, a video has changed since `filter`, or no clip is left.
    """
    table = labels / "clips.parquet"
    clips = count_rows(table, Clip)
    require_fitting_shards(clips, shape, options)
    state = states.absolute() / f"transcode-{fingerprint(table, shape, options)}"
    with lock_folder(state, wait=True):
        remove_abandoned(states, "transcode", KEPT_STATES)
        ordered = require_order(iterate_table(table, Clip), table)
        label = "transcode, shards"
        paths = make_shards(
            state, videos, ordered, shape, options, compute, total=clips, label=label, progress=progress
        )
        _clear(out)
        published = publish_shards(paths, out, shape, {clip.id: clip.split for clip in iterate_table(table, Clip)})
        remove_state(state)
    print(f"transcode: {published.read} clips read, {published.kept} kept in {len(paths)} shards")
    report_drops("transcode", iterate_table(out / DROPS, Drop), out / DROPS)
    if leaks := describe_leaks(published.leaks):
        print(f"transcode: {leaks}; `t2v clips duplicates` shows them, and see filter.duplicates", file=sys.stderr)


def _clear(out: Path) -> None:
    """Remove an earlier run's shards, index first, since it marks the folder as complete, and temporary files."""
    (out / INDEX).unlink(missing_ok=True)
    for path in [
        *out.glob("clips-*"),
        *out.rglob(".*.*.*"),
    ]:  # the second are temporary names, see `files.atomic_write`
        path.unlink()
    out.mkdir(parents=True, exist_ok=True)


def main(
    videos: Path = Path("data/demo/videos"), labels: Path = Path("data/labels"), out: Path = Path("data/clips")
) -> None:
    """Decode the chosen clips to the shape in params.yaml."""
    params = load_params()
    transcode_clips(labels, videos, out, params.clip, params.transcode, params.compute)


if __name__ == "__main__":
    run(main)
