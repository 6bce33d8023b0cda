"""Tables for terminals and pipes."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Figure


def open_console() -> Console:
    """A console on standard output, which does not wrap lines in pipes."""
    console = Console()
    if not console.is_terminal:
        console.width = 1000
    return console


def print_table(
    console: Console, header: Sequence[str], lines: Iterable[Sequence[str]], numbers: Sequence[int] | None = None
) -> None:
    """Print a table; the columns `numbers` are right-aligned, by default all but the first."""
    right = range(1, len(header)) if numbers is None else numbers
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(_plain(name), justify="right" if index in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(_plain, line))
    console.print()
    console.print(table, highlight=False)


def _plain(text: str) -> str:
    """The text without control characters, with brackets escaped."""
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("[", "\\[")


def cell(figure: "Figure | None") -> str:
    """A table cell of a figure with its interval."""
    if figure is None:
        return ""
    if figure.value is None:
        return "n/a"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
