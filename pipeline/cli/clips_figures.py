"""What a folder of clips holds, in figures: a tree of plain values, for a table or for JSON."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.records import SPLITS, Clip, Drop, Frames
from pipeline.shards import ShardReader
from pipeline.shards.folder import read_index
from pipeline.tables import read_table

Figures = dict[str, Any]  # what JSON can hold

SAMPLE_CLIPS = 512  # whose frames are looked at, so that ten million clips take as long as a thousand
READ_AT_ONCE = 16
STILL = 0.5  # mean change from frame to frame, of 255 levels, below which nothing is seen to move
FLAT = 4.0  # standard deviation of all pixels below which nothing is seen at all


def folder_figures(folder: Path, shards: ShardReader) -> Figures:
    """Clips, shards and bytes; and what `transcode` counted, where its report is there."""
    files = [folder / shard.file for shard in read_index(folder).shards]
    sizes = {"count": len(files), "bytes": sum(path.stat().st_size for path in files), "mapped": shards.mapped}
    figures = {"clips": len(shards), "ids": len(set(shards.ids)), "shape": list(shards.shape), "shards": sizes}
    report = _read_report(folder / "report.json")
    return figures | {"frames_per_video": report.get("frames_per_video")}


def label_figures(shards: ShardReader, labels: Mapping[str, Clip]) -> Figures:
    """Clips per split, per category and object in each split, and per pair of both."""
    clips = [labels[name] for name in shards.ids if name in labels]
    return {
        "without_label": len(shards) - len(clips),
        "splits": _by_split(Counter(clip.split for clip in clips)),
        "categories": _table(Counter((clip.category, clip.split) for clip in clips)),
        "objects": _table(Counter((word, clip.split) for clip in clips for word in clip.objects)),
        "pairs": _pairs(Counter((clip.category, word) for clip in clips for word in clip.objects)),
    }


def drop_figures(folder: Path) -> Figures:
    """For each reason how many items a stage left out, and the first of them with what was said about it."""
    if not (folder / "dropped.parquet").is_file():
        return {}
    drops = read_table(folder / "dropped.parquet", Drop)
    first = {drop.reason: drop for drop in reversed(drops)}
    return {
        reason: {"count": count, "example": f"{first[reason].id}: {first[reason].detail}"}
        for reason, count in Counter(drop.reason for drop in drops).most_common()
    }


def sample_figures(shards: ShardReader) -> Figures:
    """Light and movement of at most SAMPLE_CLIPS clips, drawn evenly; all in levels of 0..255 or shares of them."""
    count = min(SAMPLE_CLIPS, len(shards))
    rows = np.sort(np.random.default_rng(0).choice(len(shards), count, replace=False))
    looks: list[tuple[float, float, float]] = []
    seen: set[bytes] = set()
    for start in range(0, count, READ_AT_ONCE):
        for frames in shards.frames(rows[start : start + READ_AT_ONCE]):
            looks.append((float(frames.mean()), float(frames.std()), _change(frames)))
            seen.add(hashlib.sha256(frames).digest())
    light, contrast, change = np.array(looks).T
    return {
        "clips": count,
        "brightness": _spread(light),
        "contrast": _spread(contrast),
        "change": _spread(change),
        "still_share": float((change < STILL).mean()),
        "flat_share": float((contrast < FLAT).mean()),
        "repeated_share": 1 - len(seen) / count,
    }


def read_labels(path: Path) -> dict[str, Clip]:
    """The chosen clips by id. Raises UserError where they are not there."""
    if not (path / "clips.parquet").is_file():
        raise UserError(f"{path}: no clips.parquet in it; give the folder that `filter` wrote, or leave --labels out")
    return {clip.id: clip for clip in read_table(path / "clips.parquet", Clip)}


def _change(frames: Frames) -> float:
    """Mean change of a pixel from one frame to the next; 0 for a single frame."""
    light = frames.astype(np.int16)
    return float(np.abs(np.diff(light, axis=0)).mean()) if len(frames) > 1 else 0.0


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> Figures:
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def _by_split(counts: Mapping[str, int]) -> dict[str, int]:
    return {split: counts[split] for split in SPLITS if split in counts}


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """The commonest first; equally common ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _pairs(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """(category, object) -> clips as category -> object -> clips, the commonest object first."""
    words: dict[str, Counter[str]] = {}
    for (category, word), count in counts.items():
        words.setdefault(category, Counter())[word] = count
    return {category: _ordered(words[category]) for category in sorted(words)}


def _table(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """(name, split) -> clips as name -> split -> clips, the commonest name first."""
    totals: Counter[str] = Counter()
    for (name, _), count in counts.items():
        totals[name] += count
    return {
        name: _by_split({split: counts[name, split] for split in SPLITS if (name, split) in counts})
        for name in _ordered(totals)
    }


def _read_report(path: Path) -> Figures:
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); `dvc repro -f transcode` writes it anew") from None
    return report if isinstance(report, dict) else {}
