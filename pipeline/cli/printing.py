"""Tables for people and for pipes: with lines on a terminal, plain columns elsewhere."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def widen(console: Console) -> None:
    """A pipe has no edge to wrap at."""
    if not console.is_terminal:
        console.width = 1000


def print_table(
    console: Console, header: Sequence[str], lines: Iterable[Sequence[str]], numbers: Sequence[int] | None = None
) -> None:
    """Print a table; columns of `numbers` are set to the right, without it all but the first."""
    right = range(1, len(header)) if numbers is None else numbers
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(_plain(name), justify="right" if place in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(_plain, line))
    console.print()
    console.print(table, highlight=False)


def _plain(text: str) -> str:
    """The text without control characters, its brackets no markup."""
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("[", "\\[")
