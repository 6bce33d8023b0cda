"""Measures as a table for printing, and as figures for a file."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measuring import Times
from pipeline.cli.printing import open_console, print_table


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the table."""

    name: str
    what: str
    target: str
    best: float | None  # None if it cannot be measured here
    median: float | None = None


def ratio(name: str, what: str, target: str, other: Times | None, ours: Times) -> Measure:
    """The ratio of the other implementation's time to ours; without values if it is not installed."""
    if other is None:
        return Measure(name, f"{what}: not installed, see the extra `bench`", target, None)
    return Measure(name, what, target, other.best / ours.best, other.median / ours.median)


def collect_figures(measures: Sequence[Measure]) -> dict[str, object]:
    """The best values by name, and all medians under one key."""
    best = {measure.name: _rounded(measure.best) for measure in measures}
    medians = {measure.name: _rounded(measure.median) for measure in measures if measure.median is not None}
    return best | {"medians": medians}


def print_measures(measures: Sequence[Measure]) -> None:
    """Print the measures as a table."""
    lines = []
    for measure in measures:
        values = ("n/a" if measure.best is None else measure.best, "" if measure.median is None else measure.median)
        shown = (value if isinstance(value, str) else f"{value:,.2f}" for value in values)
        lines.append([measure.name, measure.what, measure.target, *shown])
    print_table(open_console(), ["measure", "what", "target", "best", "median"], lines, numbers=(3, 4))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
