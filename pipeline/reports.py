"""The account of a data stage: what was read is kept or dropped with a reason, nothing is lost."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.files import write_json
from pipeline.records import Drop


class LostItems(AssertionError):
    """Read does not equal kept + dropped: a fault of the stage, never of its input."""


def write_report(path: Path, *, read: int, kept: int, drops: Iterable[Drop], **counts: object) -> None:
    """Write the account as JSON, without a clock. Raises LostItems if the sums differ."""
    dropped = Counter(drop.reason for drop in drops)
    if read != kept + dropped.total():
        raise LostItems(f"{path}: read {read}, but kept {kept} and dropped {dropped.total()}")
    write_json(path, {"read": read, "kept": kept, "dropped": dict(sorted(dropped.items())), **counts})
