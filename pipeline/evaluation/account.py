"""Figures as files: csv for `dvc plots` and spreadsheets, json for `dvc metrics`."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.evaluation.assess import REAL, Assessment
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.distances import SETS
from pipeline.evaluation.headline import ACCURACIES
from pipeline.evaluation.metrics import METRICS, PER_CLIP, Figure
from pipeline.evaluation.verdict import ABSENT, CHANCE, SECOND, scaled
from pipeline.files import replacing, write_json

BY_CLASS = ("object_accuracy", "category_accuracy", "motion_direction")
# metric -> the sets that show its floor and its ceiling; of other metrics less is neither better nor worse
ENDS = dict.fromkeys(ACCURACIES, (CHANCE, REAL)) | dict.fromkeys(SETS, ("noise", SECOND))
PASSED = {True: "yes", False: "no", None: "not tried"}


def write_account(folder: Path, found: Assessment, told: dict[str, Figure], classes: Classes) -> None:
    """Write table.csv, controls.csv, objects.csv, categories.csv and intervals.json into `folder`."""
    write_figures(folder / "table.csv", found)
    rows = ((c.metric, c.control, c.demand, short(c.found), PASSED[c.passed]) for c in found.checks)
    _write(folder / "controls.csv", ("metric", "control", "demand", "found", "passed"), rows)
    columns = ("set", "name", "clips", *BY_CLASS)
    _write(folder / "objects.csv", columns, _by_class(found, classes.objects, "object"))
    _write(folder / "categories.csv", columns, _by_class(found, classes.categories, "category"))
    write_json(folder / "intervals.json", {name: figure._asdict() for name, figure in told.items()})


def write_figures(path: Path, found: Assessment) -> None:
    """Write every figure of every set of clips as csv."""
    _write(path, ("set", "metric", "value", "low", "high", "scaled", "clips", "note"), _table(found))


def write_metrics(path: Path, told: dict[str, Figure], **more: object) -> None:
    """Write the values alone, for `dvc metrics show` and `dvc exp show`; null where there is none."""
    write_json(path, {name: rounded(figure.value) for name, figure in told.items()} | more)


def rounded(value: float | None) -> float | None:
    """Six digits: what lies behind them is rounding that differs between machines."""
    return None if value is None else float(f"{value:.6g}")


def short(value: float | None) -> str:
    """The same as a cell."""
    return "" if value is None else f"{value:.6g}"


def _table(found: Assessment) -> Iterable[Sequence[object]]:
    for name, figures in found.figures.items():
        for metric in METRICS:
            figure = figures[metric]
            ends = (found.figures.get(end, {}).get(metric, ABSENT).value for end in ENDS.get(metric, ("", "")))
            values = (figure.value, figure.low, figure.high, scaled(figure.value, *ends))
            yield name, metric, *map(short, values), figure.clips, figure.reason


def _by_class(found: Assessment, names: Sequence[str], kind: str) -> Iterable[Sequence[object]]:
    for name in ("model", "model, pairs", REAL, "real pairs"):
        if name not in found.views:
            continue
        views = found.views[name]
        values = np.stack([PER_CLIP[metric](views, found.yardstick) for metric in BY_CLASS], axis=1)  # [N,3]
        wanted = np.array([getattr(prompt, kind) for prompt in views.prompts])
        for number, label in enumerate(names):
            rows = values[wanted == number]
            if len(rows):
                yield name, label, len(rows), *("" if np.isnan(c).all() else short(np.nanmean(c)) for c in rows.T)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
