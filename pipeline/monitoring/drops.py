"""What a stage left out, in the words of its last line: a reader of `12 kept` does not look for the other three."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.records import Drop

LONGEST_DETAIL = 160  # letters of a line


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


def tell_drops(stage: str, drops: Iterable[Drop], table: Path) -> None:
    """Print what was left out and where all of it is listed; nothing where nothing was."""
    counted = count_drops(drops)
    if counted:
        told = ", ".join(f"{one.items} {one.reason} ({one.example[:LONGEST_DETAIL]})" for one in counted)
        print(f"{stage}: left out: {told}; all are in {table}")
