"""What only observes a run: loggers, progress, throughput, profiler. No stage is hashed on it: it changes no output.

Here is what a stage says of its work: how far it is, and in its last line what it left out. Progress and the time left
are a bar on a terminal, else a line every few seconds; both on stderr. Of `12 kept` alone nobody would look for the
other three.
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

LONGEST_DETAIL = 160  # letters of a line


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
    """How many items a stage left out for one reason, and the first of them with what was said about it."""

    reason: str
    items: int
    first: Drop

    @property
    def example(self) -> str:
        """The first item and its detail."""
        return f"{self.first.id}: {self.first.detail}"


def count_drops(drops: Iterable[Drop]) -> list[DropCount]:
    """The reasons, the commonest first; the drops are gone through once."""
    counts: Counter[str] = Counter()
    first: dict[str, Drop] = {}
    for drop in drops:
        counts[drop.reason] += 1
        first.setdefault(drop.reason, drop)
    return [DropCount(reason, items, first[reason]) for reason, items in counts.most_common()]


def report_drops(stage: str, drops: Iterable[Drop], table: Path) -> None:
    """Print what was left out and where all of it is listed; nothing where nothing was."""
    counted = count_drops(drops)
    if counted:
        told = ", ".join(f"{one.items} {one.reason} ({one.example[:LONGEST_DETAIL]})" for one in counted)
        print(f"{stage}: left out: {told}; all are in {table}")
