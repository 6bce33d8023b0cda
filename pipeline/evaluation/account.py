"""Figures as files: csv for `dvc plots` and spreadsheets, json for `dvc metrics`."""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.evaluation.assess import Assessment
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.distances import SETS
from pipeline.evaluation.headline import ACCURACIES
from pipeline.evaluation.intervals import interval_of_mean
from pipeline.evaluation.metrics import METRICS, PER_CLIP, Figure
from pipeline.evaluation.pretrained import DISTANCES, OUTSIDE
from pipeline.evaluation.verdict import ABSENT, CHANCE, REAL, SECOND, scaled
from pipeline.evaluation.views import NewWord
from pipeline.files import replacing, write_json

Kind = TypeVar("Kind", bound=Hashable)

NEW = "model, words"
BY_CLASS = ("object_accuracy", "category_accuracy", "motion_direction")
# metric -> the sets that show its floor and its ceiling; of other metrics less is neither better nor worse
ENDS = dict.fromkeys(ACCURACIES, (CHANCE, REAL)) | dict.fromkeys((*SETS, *DISTANCES), ("noise", SECOND))
NEW_WORDS = ("clips", "looks_like_nearest", "low", "high")
BIN = 10  # per 1: new words are binned by tenths of the cosine to the nearest seen one
PASSED = {True: "yes", False: "no", None: "not tried"}


def write_account(folder: Path, found: Assessment, told: dict[str, Figure], classes: Classes) -> None:
    """Write table.csv, controls.csv, objects.csv, categories.csv, words.csv, nearness.csv and intervals.json."""
    write_figures(folder / "table.csv", found)
    rows = ((c.metric, c.control, c.demand, short(c.found), PASSED[c.passed]) for c in found.checks)
    _write(folder / "controls.csv", ("metric", "control", "demand", "found", "passed"), rows)
    columns = ("set", "name", "clips", *BY_CLASS)
    _write(folder / "objects.csv", columns, _by_class(found, classes.objects, "object"))
    _write(folder / "categories.csv", columns, _by_class(found, classes.categories, "category"))
    write_words(folder, found)
    write_json(folder / "intervals.json", {name: figure._asdict() for name, figure in told.items()})


def write_words(folder: Path, found: Assessment) -> None:
    """Write words.csv, every new word and whether it looks like the nearest seen one, and nearness.csv, in bins."""
    _write(folder / "words.csv", ("name", "nearest", "cosine", *NEW_WORDS), _by_word(found))
    _write(folder / "nearness.csv", ("cosine_from", "cosine_to", "words", *NEW_WORDS), _by_nearness(found))


def write_logits(path: Path, logits: dict[str, Figure]) -> None:
    """Write how real the discriminator takes each set of clips for."""
    rows = ((name, *map(short, (f.value, f.low, f.high)), f.clips) for name, f in logits.items())
    _write(path, ("set", "logit", "low", "high", "clips"), rows)


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
        for metric in (*METRICS, *OUTSIDE):
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


def _by_word(found: Assessment) -> Iterable[Sequence[object]]:
    """Each new word, the nearest to a seen one first."""
    rows = _rows_of(found, lambda new: new)
    for new, mine in sorted(rows.items(), key=lambda item: (-item[0].cosine, item[0].name)):
        yield new.name, new.near, f"{new.cosine:.4f}", *_looks(found, mine)


def _by_nearness(found: Assessment) -> Iterable[Sequence[object]]:
    """All new words that are about equally near to a seen one."""
    rows = _rows_of(found, lambda new: math.floor(round(new.cosine * BIN, 6)))
    for nearness, mine in sorted(rows.items(), reverse=True):
        words = {found.views[NEW].prompts[row].new for row in mine}
        yield short(nearness / BIN), short((nearness + 1) / BIN), len(words), *_looks(found, mine)


def _rows_of(found: Assessment, kind: Callable[[NewWord], Kind]) -> dict[Kind, list[int]]:
    """The samples of new words whose neighbour the judge knows, by some kind of theirs."""
    rows: dict[Kind, list[int]] = defaultdict(list)
    can_tell = NEW in found.views and not found.yardstick.excuse
    for row, prompt in enumerate(found.views[NEW].prompts if can_tell else ()):
        if prompt.new is not None and prompt.object >= 0:
            rows[kind(prompt.new)].append(row)
    return rows


def _looks(found: Assessment, rows: Sequence[int]) -> tuple[object, ...]:
    """How often these samples look as they should."""
    values = PER_CLIP["object_accuracy"](found.views[NEW], found.yardstick)[rows]
    low, high = interval_of_mean(values, found.yardstick.resamples, np.random.default_rng(found.yardstick.seed))
    return len(rows), *map(short, (float(values.mean()), low, high))


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
