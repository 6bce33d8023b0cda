"""Progress of a long loop and its time left: a bar on a terminal, else a line every few seconds; both on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0


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
