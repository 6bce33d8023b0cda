"""`t2v clips`: the contents of a folder of shards as tables, JSON and film strips; and what happened to a clip."""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from pipeline.cli.clip_trace import describe_trace, trace_clip
from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import open_console, print_table
from pipeline.duplicates import NEAR, NearPair, count_leaks, describe_leaks, find_leaks
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.monitoring import count_drops
from pipeline.records import DROPS, SIGNATURES, SPLITS, Clip, Drop, Frames, Signature, Split
from pipeline.rendering.contact_sheet import choose_cards, pair_cards, write_sheet
from pipeline.shards import ShardReader, read_index
from pipeline.tables import read_table

Figures = dict[str, Any]  # JSON-serialisable

SAMPLE_CLIPS = 512  # clips whose frames are measured, so that ten million clips take as long as a thousand
READ_AT_ONCE = 16
STILL = 0.5  # mean change between frames, of 255 levels; below it a clip is static
FLAT = 4.0  # standard deviation of all pixels; below it a clip is uniform

MAX_LINES = 20  # of objects; --json has all
MAX_PAIRS = 20  # of near-duplicates: the nearest ones

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


def _folder_figures(folder: Path, shards: ShardReader) -> Figures:
    """Numbers of clips, shards and bytes; and the counts in the report of `transcode`, if it exists."""
    files = [folder / shard.file for shard in read_index(folder).shards]
    sizes = {"count": len(files), "bytes": sum(path.stat().st_size for path in files), "mapped": shards.mapped}
    figures = {"clips": len(shards), "ids": len(set(shards.ids)), "shape": list(shards.shape), "shards": sizes}
    report = _read_report(folder / "report.json")
    return figures | {"frames_per_video": report.get("frames_per_video")}


def _label_figures(shards: ShardReader, labels: Mapping[str, Clip]) -> Figures:
    """Clips per split, per category and object by split, and per pair of category and object."""
    clips = [labels[name] for name in shards.ids if name in labels]
    return {
        "without_label": len(shards) - len(clips),
        "splits": _by_split(Counter(clip.split for clip in clips)),
        "categories": _table(Counter((clip.category, clip.split) for clip in clips)),
        "objects": _table(Counter((word, clip.split) for clip in clips for word in clip.objects)),
        "pairs": _pairs(Counter((clip.category, word) for clip in clips for word in clip.objects)),
    }


def _drop_figures(folder: Path) -> Figures:
    """For each reason the number of items that a stage dropped, and the first of them with its detail."""
    if not (folder / DROPS).is_file():
        return {}
    counted = count_drops(read_table(folder / DROPS, Drop))
    return {one.reason: {"count": one.items, "example": one.example} for one in counted}


def _sample_figures(shards: ShardReader) -> Figures:
    """Brightness and motion of at most SAMPLE_CLIPS evenly spaced clips, in levels of 0..255 or shares of the clips."""
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


def _require_png(sheet: Path | None) -> None:
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UserError(f"{sheet}: the contact sheet is an image; its name must end with .png")


def read_labels(path: Path) -> dict[str, Clip]:
    """The chosen clips by id. Raises UserError if the table is missing."""
    if not (path / "clips.parquet").is_file():
        raise UserError(f"{path}: no clips.parquet in it; give the folder that `filter` wrote, or omit --labels")
    return {clip.id: clip for clip in read_table(path / "clips.parquet", Clip)}


def _change(frames: Frames) -> float:
    """Mean absolute change of a pixel between frames; 0 for a single frame."""
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
    """Sorted by count, largest first, then by name."""
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
    report = read_json(path, "`dvc repro -f transcode` recreates it")
    return report if isinstance(report, dict) else {}


def show(figures: Figures) -> None:
    """Print everything."""
    console = open_console()
    frames, height, width, _ = figures["shape"]
    shards = figures["shards"]
    lines = [
        f"{figures['clips']:,} clips of {frames} frames of {height}x{width} pixels"
        + (f", windows of {figures['ids']:,} videos" if figures["ids"] < figures["clips"] else ""),
        f"{shards['count']:,} shards, {shards['bytes'] / 1e6:,.1f} MB, "
        + (
            "memory-mapped"
            if shards["mapped"]
            else "not all memory-mapped: another program's layout, read by row group"
        )
        + (", digests verified" if figures["verified"] else ""),
    ]
    if spread := figures["frames_per_video"]:
        lines.append(f"frames per video: {spread['min']} to {spread['max']}, median {spread['median']}")
    console.print("\n".join(lines), highlight=False, markup=False)
    if labels := figures["labels"]:
        _show_labels(labels, console)
    _show_drops(figures["dropped"], console)
    _show_sample(figures["sample"], console)


def _show_labels(labels: Figures, console: Console) -> None:
    splits = [split for split in SPLITS if split in labels["splits"]]
    columns = ["clips", *splits]
    for kind in ("categories", "objects"):
        counts = labels[kind]
        lines = [[name, *_counts(row, splits)] for name, row in list(counts.items())[:MAX_LINES]]
        if len(counts) > MAX_LINES:
            lines.append([f"… and {len(counts) - MAX_LINES:,} more", *[""] * len(columns)])
        if kind == "categories":
            lines.append(["all", *_counts(labels["splits"], splits)])
        if lines:  # captions may name no objects
            print_table(console, [kind, *columns], lines)
    if labels["without_label"]:
        console.print(f"{labels['without_label']:,} clips have no label in this folder", highlight=False)


def _show_drops(dropped: Figures, console: Console) -> None:
    lines = [
        [stage, reason, f"{drop['count']:,}", drop["example"]]
        for stage, reasons in dropped.items()
        for reason, drop in reasons.items()
    ]
    if lines:
        print_table(console, ["dropped by", "reason", "items", "first example"], lines, numbers=(2,))
    else:
        console.print("\nnothing was dropped", highlight=False)


def _show_sample(sample: Figures, console: Console) -> None:
    names = {
        "brightness": "brightness of a clip, 0 to 255",
        "contrast": "contrast (standard deviation)",
        "change": "change from frame to frame",
    }
    lines = [[text, *(f"{sample[name][key]:.1f}" for key in sample[name])] for name, text in names.items()]
    print_table(console, [f"a sample of {sample['clips']:,} clips", *sample["brightness"]], lines)
    shares = {
        f"nearly static (change below {STILL})": "still_share",
        f"nearly blank (contrast below {FLAT:g})": "flat_share",
        "same frames as another clip": "repeated_share",
    }
    text = "; ".join(f"{name}: {sample[key]:.1%}" for name, key in shares.items())
    console.print(text, highlight=False, markup=False)


def _counts(row: dict[str, int], splits: Sequence[str]) -> list[str]:
    return [f"{number:,}" for number in (sum(row.values()), *(row.get(split, 0) for split in splits))]


@app.callback()
def clips() -> None:
    """Inspect the clips: what they show, which were dropped, and why."""


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(metavar="PATH", help="folder of shards with their index.json")] = Path(
        "data/clips"
    ),
    labels: Annotated[
        Path | None, typer.Option(help="folder written by `filter` [default: the folder `labels` next to PATH, if any]")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="PNG file to write a contact sheet to")] = None,
    per_category: Annotated[int, typer.Option(min=1, help="clips per category on the contact sheet")] = 6,
    verify: Annotated[bool, typer.Option("--verify", help="read all shards and check their digests")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count the clips, list dropped ones with reasons, and measure the frames.

    Example: t2v clips inspect --sheet sheet.png
    """
    _require_png(sheet)
    shards = ShardReader(folder)
    if verify:
        shards.verify()
    if labels is None and (folder.resolve().parent / "labels" / "clips.parquet").is_file():
        labels = folder.resolve().parent / "labels"
    chosen = read_labels(labels) if labels else {}
    dropped = {"filter": _drop_figures(labels) if labels else {}, "transcode": _drop_figures(folder)}
    figures: Figures = _folder_figures(folder, shards) | {"verified": verify, "dropped": dropped}
    figures |= {"labels": _label_figures(shards, chosen) if labels else None, "sample": _sample_figures(shards)}
    if as_json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        show(figures)
    if sheet is not None:
        parts = choose_cards(shards, chosen, per_category)
        write_sheet(sheet, parts, shards)
        print(f"{sheet}: {sum(len(part.cards) for part in parts)} clips", file=sys.stderr)


@app.command()
def duplicates(
    data: Annotated[Path, typer.Option(help="folder with labels and clips")] = Path("data"),
    sheet: Annotated[Path | None, typer.Option(help="PNG file to draw the nearest pairs to")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the unseen clips that have a near-duplicate among the training clips, and show the nearest pairs.

    Example: t2v clips duplicates --sheet pairs.png
    """
    _require_png(sheet)
    shards, labels = ShardReader(data / "clips"), read_labels(data / "labels")
    signatures = read_table(data / "clips" / SIGNATURES, Signature)
    if [signature.id for signature in signatures] != shards.ids:
        raise UserError(f"{data / 'clips' / SIGNATURES}: does not match the shards; run `dvc repro -f transcode`")
    splits = {name: clip.split for name, clip in labels.items()}
    pairs = find_leaks(signatures, splits)
    leaks, nearest = count_leaks(pairs, signatures, splits), pairs[:MAX_PAIRS]
    if as_json:
        columns = ("distance", "clip", "split", "nearest", "nearest_split")
        rows = [dict(zip(columns, _list_pair(pair, shards.ids, splits), strict=True)) for pair in pairs]
        counts = {split: leak._asdict() for split, leak in leaks.items()}
        print(json.dumps({"limit": NEAR, "splits": counts, "pairs": rows}, indent=2, ensure_ascii=False))
    else:
        print(describe_leaks(leaks) or "no clip of val or test has a near-duplicate in train")
        _show_pairs([_list_pair(pair, shards.ids, splits) for pair in nearest])
    if sheet is not None and pairs:
        title = f"Near-duplicates: {len(nearest)} of {len(pairs)} pairs"
        write_sheet(sheet, [pair_cards(title, nearest, shards, splits)], shards)
        print(f"{sheet}: the {len(nearest)} nearest of {len(pairs)} pairs", file=sys.stderr)


def _list_pair(pair: NearPair, ids: Sequence[str], splits: Mapping[str, Split]) -> tuple[float, str, str, str, str]:
    """The distance of a pair, then id and split of both clips."""
    one, other = ids[pair.one], ids[pair.other]
    return pair.distance, one, splits[one], other, splits[other]


def _show_pairs(rows: Sequence[tuple[float, str, str, str, str]]) -> None:
    if rows:
        columns = [f"distance (at most {NEAR})", "clip", "split", "nearest training clip", "split"]
        lines = [[f"{distance:.3f}", *names] for distance, *names in rows]
        print_table(open_console(), columns, lines, numbers=(0,))


@app.command()
def why(
    clip_id: Annotated[str, typer.Argument(metavar="ID", help="id of a clip in the dataset")],
    data: Annotated[Path, typer.Option(help="folder with labels, clips and captions")] = Path("data"),
    as_json: JsonOption = False,
) -> None:
    """Show what each stage did with a clip: kept, and where it is; or dropped, and why.

    Example: t2v clips why 10046
    """
    found = trace_clip(data, clip_id)
    if as_json:
        print(json.dumps({stage: asdict(one) for stage, one in found.items()}, indent=2, ensure_ascii=False))
        return
    for stage, one in found.items():
        for line in describe_trace(stage, one):
            print(f"{stage:11}{line}")
