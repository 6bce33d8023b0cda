"""What each stage did with a clip, from the tables that the stages wrote."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.errors import UserError, suggest_name
from pipeline.records import DROPS, Caption, Clip, Drop
from pipeline.shards import ShardReader, read_index
from pipeline.tables import iterate_table

Row = TypeVar("Row", Clip, Caption, Drop)
Kept = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Trace:
    """What a stage did with a clip: rows of its output and of its drops.

    A clip with several windows has a row for each, and may be both kept and dropped. `state` is `dropped before` if an
    earlier stage dropped all of it, and `unknown` if the stage has not run, or ran on other clips.
    """

    state: Literal["kept", "dropped", "dropped before", "unknown"]
    kept: Kept = ()
    dropped: Sequence[dict[str, str]] = ()


def trace_clip(data: Path, clip_id: str) -> dict[str, Trace]:
    """Stage -> what it did with the clip. Raises UserError if no stage knows the clip."""
    products = {
        "filter": (data / "labels" / "clips.parquet", _list_labels),
        "transcode": (data / "clips" / "index.json", _list_rows),
        "tokenize": (data / "captions" / "captions.parquet", _list_tokens),
    }
    found: dict[str, Trace] = {}
    ended = False
    for stage, (product, list_kept) in products.items():
        kept, dropped = list_kept(product, clip_id), _list_drops(product, clip_id)
        missing: Literal["dropped before", "unknown"] = "dropped before" if ended else "unknown"
        found[stage] = Trace("kept" if kept else "dropped" if dropped else missing, kept, dropped)
        ended |= bool(dropped)
    if not any(one.kept or one.dropped for one in found.values()):
        raise UserError(_explain_absence(clip_id, data))
    return found


def describe_trace(stage: str, trace: Trace) -> list[str]:
    """What the stage did, in a line for each row."""
    kept = [f"kept: {_DESCRIPTIONS[stage](row)}" for row in trace.kept]
    lines = [*kept, *(f"dropped: {drop['reason']}: {drop['detail']}" for drop in trace.dropped)]
    if trace.state == "unknown":
        return [f"unknown: `dvc repro {stage}` has not run, or ran on other clips"]
    return lines or [trace.state]


def _describe_label(row: dict[str, Any]) -> str:
    part = f", {row['part']} s" if row["part"] else ""
    return (
        f"split {row['split']}, category {row['category']}, objects {', '.join(row['objects']) or 'none'}, "
        f"video {row['video']}{part}{', mirrored' if row['mirrored'] else ''}"
    )


_DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "filter": _describe_label,
    "transcode": lambda row: f"shard {row['shard']}, row {row['row']} (row {row['overall']} overall)",
    "tokenize": lambda row: f"tokens {' '.join(row['tokens'])}",
}


def _list_labels(path: Path, clip_id: str) -> Kept:
    names = ("split", "category", "objects", "video", "part", "mirrored")
    return [{name: getattr(clip, name) for name in names} for clip in _find(path, Clip, clip_id)]


def _list_rows(path: Path, clip_id: str) -> Kept:
    """A row for each window of the clip's video: its shard, and where it is in that and overall."""
    if not path.is_file():
        return []
    shards = [(shard.file, index) for shard in read_index(path.parent).shards for index in range(shard.clips)]
    rows = [row for row, name in enumerate(ShardReader(path.parent).ids) if name == clip_id]
    return [{"shard": shards[row][0], "row": shards[row][1], "overall": row} for row in rows]


def _list_tokens(path: Path, clip_id: str) -> Kept:
    return [{"tokens": caption.tokens} for caption in _find(path, Caption, clip_id)]


def _list_drops(product: Path, clip_id: str) -> list[dict[str, str]]:
    if not product.is_file():
        return []
    return [{"reason": drop.reason, "detail": drop.detail} for drop in _find(product.parent / DROPS, Drop, clip_id)]


def _find(path: Path, kind: type[Row], clip_id: str) -> Iterator[Row]:
    """The rows of a table with this id; none if there is no table yet."""
    return (row for row in iterate_table(path, kind) if row.id == clip_id) if path.is_file() else iter(())


def _explain_absence(clip_id: str, data: Path) -> str:
    known = set(_read_ids(data))
    if not known:
        return f"{data}: has neither clips nor drops yet; run `dvc repro filter`"
    return f"{clip_id!r}: no clip of {data} has this id, kept or dropped{suggest_name(clip_id, known)}"


def _read_ids(data: Path) -> Iterator[str]:
    chosen, dropped = (data / "labels" / name for name in ("clips.parquet", DROPS))
    if chosen.is_file() and dropped.is_file():
        yield from (clip.id for clip in iterate_table(chosen, Clip))
        yield from (drop.id for drop in iterate_table(dropped, Drop))
