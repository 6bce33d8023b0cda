"""Observation of runs: loggers, progress, throughput, profiler. It changes no output, so no stage depends on it.

This module has the progress of a stage, on stderr as a bar on a terminal, otherwise as a line every few seconds, and
the line that says what the stage dropped.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.records import Drop

SECONDS_BETWEEN_LINES = 5.0

LONGEST_DETAIL = 160  # characters of an example


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of `total` items."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        item = bar.add_task(label, total=total)
        yield lambda: bar.advance(item)


def _lines(label: str, total: int) -> Callable[[], None]:
    start = printed = time.monotonic()
    count = 0

    def advance() -> None:
        nonlocal count, printed
        count += 1
        now = time.monotonic()
        if now - printed >= SECONDS_BETWEEN_LINES or count == total:
            printed = now
            left = (now - start) / count * (total - count)
            still = f", about {left:.0f} s left" if count < total else ""
            print(f"{label}: {count}/{total}, {now - start:.0f} s{still}", file=sys.stderr, flush=True)

    return advance


class DropCount(NamedTuple):
    """The number of items dropped for one reason, and the first of them."""

    reason: str
    items: int
    first: Drop

    @property
    def example(self) -> str:
        """The first item and its detail."""
        return f"{self.first.id}: {self.first.detail}"


def count_drops(drops: Iterable[Drop]) -> list[DropCount]:
    """The reasons, commonest first; `drops` is iterated once."""
    counts: Counter[str] = Counter()
    first: dict[str, Drop] = {}
    for drop in drops:
        counts[drop.reason] += 1
        first.setdefault(drop.reason, drop)
    return [DropCount(reason, items, first[reason]) for reason, items in counts.most_common()]


def report_drops(stage: str, drops: Iterable[Drop], table: Path) -> None:
    """Print what was dropped and the table that lists it; nothing if nothing was dropped."""
    counted = count_drops(drops)
    if counted:
        reasons = ", ".join(f"{one.items} {one.reason} ({one.example[:LONGEST_DETAIL]})" for one in counted)
        print(f"{stage}: dropped: {reasons}; all are in {table}")
