"""The finished shards of a run: kept outside the graph under its fingerprint, handed over when all are there."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, replacing
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Drop
from pipeline.reports import write_report
from pipeline.shards import Shard, write_index
from pipeline.states import code_files
from pipeline.tables import write_table
from pipeline.transcoding.accounts import Account, account_path, read_account

CODE = ("compute", "files", "records", "shards", "transcoding", "video")
PACKAGES = ("av", "imageio-ffmpeg", "numpy", "pyarrow")  # they decide bytes, too


def fingerprint(table: Path, shape: ClipParams, options: TranscodeParams) -> str:
    """Names a run by all that its shards depend on: chosen clips, params, code and the packages that decode."""
    return digest_value(
        {
            "clips": digest_file(table),
            "params": [shape.model_dump(), options.model_dump()],
            "code": [digest_file(path) for path in code_files(*CODE)],
            "packages": [version(name) for name in PACKAGES],
        }
    )


def in_order(clips: Iterable[Clip], source: Path) -> Iterator[Clip]:
    """The same clips. Raises UserError where two are out of order: shards stand in the order of ids."""
    last = ""
    for clip in clips:
        if clip.id <= last:
            raise UserError(f"{source}: clip {clip.id!r} after {last!r}, so not sorted; `dvc repro -f filter`")
        last = clip.id
        yield clip


def hand_over(paths: list[Path], out: Path, shape: ClipParams) -> tuple[int, int]:
    """Make `out` whole from finished shards, the index last -> clips read and kept.

    The shards also stay where they are until their owner removes them, so a kill in the middle loses nothing.
    Raises UserError where no clip is left.
    """
    read = 0
    frames: Counter[int] = Counter()
    shards: list[Shard] = []
    for path, account in _accounts(paths):
        read += account.read
        frames.update(account.frame_counts)
        if account.shard:
            _link(path, out / path.name)
            shards.append(account.shard)
    if not shards:
        raise UserError(_explain(paths))
    write_table(out / "dropped.parquet", Drop, _drops(paths))
    write_report(
        out / "report.json",
        read=read,
        kept=frames.total(),
        drops=_drops(paths),
        rows=sum(shard.clips for shard in shards),
        frames_per_video={"min": min(frames), "median": _median_low(frames), "max": max(frames)},
    )
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    return read, frames.total()


def _accounts(paths: list[Path]) -> Iterator[tuple[Path, Account]]:
    for path in paths:
        account = read_account(account_path(path))
        if account is None:
            raise UserError(f"{path}: damaged while the stage ran; give the same command again")
        yield path, account


def _drops(paths: list[Path]) -> Iterator[Drop]:
    return (drop for _, account in _accounts(paths) for drop in account.drops)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links, or is another one."""
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _median_low(histogram: Counter[int]) -> int:
    values = sorted(histogram)
    counts = accumulate(histogram[value] for value in values)
    return next(value for value, count in zip(values, counts, strict=True) if 2 * count >= histogram.total())


def _explain(paths: list[Path]) -> str:
    reasons = Counter(drop.reason for drop in _drops(paths))
    if not reasons:
        return "no clip is chosen; see filter.categories in params.yaml"
    told = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    first = next(_drops(paths))
    return f"none of the {reasons.total()} chosen clips is left ({told}), the first because of {first.detail!r}"
