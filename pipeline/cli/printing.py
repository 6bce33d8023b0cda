"""Tables for people and for pipes, and figures of an evaluation read back."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError


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


if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Figure


def read_figures(path: Path) -> "dict[str, Figure]":
    """Figures by name, of an intervals.json or of what `t2v evaluate` wrote. Raises UserError if it is neither."""
    return parse_figures(path.read_text(encoding="utf-8"), str(path))


def parse_figures(text: str, source: str) -> "dict[str, Figure]":
    """The same from its text."""
    from pipeline.evaluation.intervals import Figure  # brings torch, which takes seconds

    try:
        tree = json.loads(text)
        return {name: Figure(**_checked(figure)) for name, figure in tree.get("figures", tree).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{source}: holds no figures of an evaluation ({error}); `dvc repro evaluate`") from None


def _checked(figure: dict[str, Any]) -> dict[str, Any]:
    numbers = [figure.get(key) for key in ("value", "low", "high")]
    if not all(number is None or (isinstance(number, int | float) and math.isfinite(number)) for number in numbers):
        raise ValueError(f"{numbers} are no figure and interval")
    return figure


def cell(figure: "Figure | None") -> str:
    """A figure with its interval in a table."""
    if figure is None:
        return ""
    if figure.value is None:
        return "n/a"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
