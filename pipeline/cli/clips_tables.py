"""The figures of a folder of clips as tables."""

from collections.abc import Sequence

from rich.console import Console

from pipeline.cli.clips_figures import FLAT, STILL, Figures
from pipeline.cli.printing import print_table, widen
from pipeline.records import SPLITS

MOST_LINES = 20  # of objects; --json holds all


def show(figures: Figures, console: Console) -> None:
    """Print everything on `console`."""
    widen(console)
    frames, height, width, _ = figures["shape"]
    shards = figures["shards"]
    lines = [
        f"{figures['clips']:,} clips of {frames} frames of {height}x{width} pixels"
        + (f", windows of {figures['ids']:,} videos" if figures["ids"] < figures["clips"] else ""),
        f"{shards['count']:,} shards, {shards['bytes'] / 1e6:,.1f} MB, "
        + ("mapped in place" if shards["mapped"] else "not all mapped: another program's layout, read by row groups")
        + (", all as they were written" if figures["verified"] else ""),
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
        lines = [[name, *_counts(row, splits)] for name, row in list(counts.items())[:MOST_LINES]]
        if len(counts) > MOST_LINES:
            lines.append([f"… and {len(counts) - MOST_LINES:,} more", *[""] * len(columns)])
        if kind == "categories":
            lines.append(["all", *_counts(labels["splits"], splits)])
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
        print_table(console, ["left out by", "reason", "items", "the first of them"], lines, numbers=(2,))
    else:
        console.print("\nnothing was left out", highlight=False)


def _show_sample(sample: Figures, console: Console) -> None:
    names = {
        "brightness": "brightness of a clip, 0 to 255",
        "contrast": "contrast (standard deviation)",
        "change": "change from frame to frame",
    }
    lines = [[text, *(f"{sample[name][key]:.1f}" for key in sample[name])] for name, text in names.items()]
    print_table(console, [f"a sample of {sample['clips']:,} clips", *sample["brightness"]], lines)
    shares = {
        f"nearly still (change below {STILL})": "still_share",
        f"nearly blank (contrast below {FLAT:g})": "flat_share",
        "the same frames as another": "repeated_share",
    }
    text = "; ".join(f"{name}: {sample[key]:.1%}" for name, key in shares.items())
    console.print(text, highlight=False, markup=False)


def _counts(row: dict[str, int], splits: Sequence[str]) -> list[str]:
    return [f"{number:,}" for number in (sum(row.values()), *(row.get(split, 0) for split in splits))]
