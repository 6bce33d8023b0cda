"""The account of a data stage: what was read is kept or dropped with a reason, nothing is lost."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.files import write_json
from pipeline.records import Drop


class LostItems(AssertionError):
    """Read does not equal kept + dropped: a fault of the stage, never of its input."""


def write_report(path: Path, *, read: int, kept: int, drops: Sequence[Drop], **counts: object) -> None:
    """Write the account as JSON, without a clock. Raises LostItems if the sums differ."""
    if read != kept + len(drops):
        raise LostItems(f"{path}: read {read}, but kept {kept} and dropped {len(drops)}")
    dropped = dict(sorted(Counter(drop.reason for drop in drops).items()))
    write_json(path, {"read": read, "kept": kept, "dropped": dropped, **counts})
