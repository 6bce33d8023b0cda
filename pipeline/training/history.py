"""The values of the steps since the last row of the history, and the history as files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.distributed import Rank
from pipeline.files import write_csv, write_json

Values = dict[str, Tensor]  # scalars of one step by name

MetricRow = dict[str, float]

HISTORY, VALIDATION, SUMMARY = "history.csv", "validation.csv", "training.json"
VAL = "val/"  # begins the names of validation's figures
FIGURES = ("discriminator_gap", "discriminator_gap_generated", "discrepancy")  # that every validation has


class NonFinite(NamedTuple):
    """A value that is not finite."""

    name: str
    value: float
    step: int
    rank: int


class MetricAccumulator:
    """The values of the steps since the last row, on one rank. They stay on the device until they are read."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._steps: list[Values] = []
        self._averaged = 0  # how many of them are means over all ranks already

    def add(self, values: Values) -> None:
        self._steps.append(values)

    def average_over_ranks(self, step: int) -> NonFinite | None:
        """Replace this rank's values by the means over all ranks -> the first value that is not finite, if any.

        `step` is the number of steps taken. All ranks call this together.
        """
        new = self._steps[self._averaged :]
        if wrong := self._first_wrong(new, step):
            return wrong
        self._rank.average([value for values in new for value in values.values()])
        self._averaged = len(self._steps)
        return None

    def take_row(self) -> MetricRow:
        """The mean of each value over the steps that have it, sorted by name; clears the accumulator."""
        names = sorted({name for step in self._steps for name in step})
        row = {n: float(torch.stack([step[n] for step in self._steps if n in step]).mean()) for n in names}
        self._steps, self._averaged = [], 0
        return row

    def state(self) -> list[MetricRow]:
        return [{name: float(value) for name, value in values.items()} for values in self._steps]

    def load(self, state: list[MetricRow]) -> None:
        device = self._rank.device
        self._steps = [{n: torch.tensor(v, device=device) for n, v in values.items()} for values in state]
        self._averaged = len(state)

    def _first_wrong(self, new: list[Values], step: int) -> NonFinite | None:
        """From the ranks' own values, so that the rank of the first wrong value is known."""
        earliest, index, value = math.inf, 0, 0.0
        for number, values in enumerate(new, step - len(new) + 1):
            own = torch.stack(list(values.values())).tolist()
            if wrong := [index for index, value in enumerate(own) if not math.isfinite(value)]:
                earliest, index, value = number, wrong[0], own[wrong[0]]
                break
        steps = self._rank.all_gather(earliest)
        if min(steps) == math.inf:
            return None
        rank, first = steps.index(min(steps)), int(min(steps))
        name = list(new[first - step - 1])[int(self._rank.all_gather(index)[rank])]
        return NonFinite(name, self._rank.all_gather(value)[rank], first, rank)


def save_history(folder: Path, history: list[MetricRow]) -> None:
    """Write every row for `dvc plots`, and the last one for `dvc metrics`.

    Validations have a table of their own, since DVC plots an empty cell as 0.
    """
    ordinary = [{name: value for name, value in row.items() if not name.startswith(VAL)} for row in history]
    validated = [
        {name.removeprefix(VAL): value for name, value in row.items() if name == "clips" or name.startswith(VAL)}
        for row in history
    ]
    _write_rows(folder / HISTORY, ordinary)
    _write_rows(folder / VALIDATION, [row for row in validated if len(row) > 1], ("clips", *FIGURES))
    write_json(folder / SUMMARY, summarise(history[-1]))


def summarise(row: MetricRow) -> MetricRow:
    """A row as the file SUMMARY holds it."""
    return {_column(name): float(_short(value)) for name, value in row.items()}


def _write_rows(path: Path, rows: list[MetricRow], first: Sequence[str] = ()) -> None:
    """A table of these rows, with the columns of `first` even where there is none."""
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    cells = ([_short(row[name]) if name in row else "" for name in names] for row in rows)
    write_csv(path, [_column(name) for name in names], cells)


def _column(name: str) -> str:
    return name.replace("/", "_")


def _short(value: float) -> str:
    """Six digits, but counts of clips in full."""
    return str(int(value)) if value.is_integer() else f"{value:.6g}"
