"""The figures as files and lines: csv for `dvc plots`, metrics.json for `dvc metrics`, a summary for people."""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.evaluation.control_checks import ABSENT, CHANCE, REAL, SECOND, Check, scaled, withdrawn
from pipeline.evaluation.distances import SETS
from pipeline.evaluation.evaluate import NO_PAIRS, Assessment, mimicked, turned
from pipeline.evaluation.intervals import OF_THE_REALS, Figure, interval_of_mean
from pipeline.evaluation.metrics import JUDGED, METRICS, PER_CLIP, ratio
from pipeline.evaluation.pretrained_metrics import DISTANCES, MATCHES, OUTSIDE
from pipeline.files import replacing, write_json
from pipeline.judges.classes import Classes, NewWord

ACCURACIES = (
    "object_accuracy",
    "category_accuracy",
    "joint_accuracy",
    "motion_direction",
    "r_precision_at_1",
    "r_precision_at_2",
    "r_precision_at_3",
    *MATCHES,
)
OF_PAIRS = ("object_accuracy", "joint_accuracy", "motion_direction")
# Figures that are made of a metric under another name.
MADE_OF = {
    "new_words_accuracy": "object_accuracy",
    "new_words_accuracy_ceiling": "object_accuracy",
    "pairs_joint_ratio": "joint_accuracy",
    "pairs_motion_ratio": "motion_direction",
    "pairs_mimic_rate": "copy_rate_features",
    "pairs_mimic_rate_of_real": "copy_rate_features",
    "counterfactual_flip": "motion_direction",
}
RATIOS = {"pairs_joint_ratio": "joint_accuracy", "pairs_motion_ratio": "motion_direction"}  # held-out to seen pairs
NO_WORDS = Figure(None, reason="no word is held out or named; see filter.test_words and evaluate.new_words")
NO_REAL_WORDS = Figure(None, reason="no word is held out; see filter.test_words")

Kind = TypeVar("Kind", bound=Hashable)

NEW = "model, words"
BY_CLASS = ("object_accuracy", "category_accuracy", "motion_direction")
# metric -> the sets that show its floor and its ceiling; of other metrics less is neither better nor worse
ENDS = dict.fromkeys(ACCURACIES, (CHANCE, REAL)) | dict.fromkeys((*SETS, *DISTANCES), ("noise", SECOND))
NEW_WORDS = ("clips", "looks_like_nearest", "low", "high")
BIN = 10  # per 1: new words are binned by tenths of the cosine to the nearest seen one
PASSED = {True: "yes", False: "no", None: "not tried"}


def headline(found: Assessment) -> dict[str, Figure]:
    """Name -> figure of the generator, in the order of telling. A withdrawn metric has no value here."""
    figures, out = found.figures, withdrawn(found.checks)
    model, real = figures["model"], figures[REAL]
    told: dict[str, Figure] = {}
    for name in ACCURACIES:
        told |= {name: model[name], f"{name}_ceiling": real[name]}
    told |= {name: model[name] for name in (*PER_CLIP, "copy_rate", *SETS, *DISTANCES) if name not in told}
    told |= {name: figures["model, varied"][name] for name in ("diversity", "diversity_pixels")}
    pairs, real_pairs = figures.get("model, pairs", {}), figures.get("real pairs", {})
    for name in OF_PAIRS:
        told[f"pairs_{name}"] = pairs.get(name, NO_PAIRS)
        told[f"pairs_{name}_ceiling"] = real_pairs.get(name, NO_PAIRS)
    told["pairs_mimic_rate"], told["pairs_mimic_rate_of_real"] = (
        mimicked(found, name) for name in ("model, pairs", "real pairs")
    )
    told |= {name: _to_seen(found, metric) for name, metric in RATIOS.items()}
    told["counterfactual_flip"] = turned(found)
    words, real_words = figures.get("model, words", {}), figures.get("real words", {})
    told["new_words_accuracy"] = words.get("object_accuracy", NO_WORDS)
    told["new_words_accuracy_ceiling"] = real_words.get("object_accuracy", NO_REAL_WORDS)
    return {name: _unless_withdrawn(name, figure, out) for name, figure in told.items()}


def _to_seen(found: Assessment, metric: str) -> Figure:
    """A share of right answers on held-out pairs, by that on seen ones."""
    if "model, pairs" not in found.views:
        return NO_PAIRS
    if metric in JUDGED and found.yardstick.excuse:
        return Figure(None, reason=found.yardstick.excuse)
    held_out, seen = (PER_CLIP[metric](found.views[name], found.yardstick) for name in ("model, pairs", "model"))
    return ratio(held_out, seen, found.yardstick)


def told_of(found: Assessment, name: str) -> dict[str, Figure]:
    """The figures of another set of clips than the generator's, by the same names, with the same ceilings."""
    real, out = found.figures[REAL], withdrawn(found.checks)
    told = found.figures[name] | {f"{metric}_ceiling": real[metric] for metric in ACCURACIES}
    return {metric: _unless_withdrawn(metric, figure, out) for metric, figure in told.items()}


def _unless_withdrawn(name: str, figure: Figure, out: Collection[str]) -> Figure:
    metric = MADE_OF.get(name, name.removeprefix("pairs_").removesuffix("_ceiling"))
    if metric not in out:
        return figure
    return Figure(None, clips=figure.clips, reason="withdrawn: its control did not move it")


def reasons(told: Mapping[str, Figure]) -> dict[str, list[str]]:
    """Why figures of the clips have no value -> their names."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, figure in told.items():
        if figure.value is None and not name.endswith(OF_THE_REALS):
            found[figure.reason].append(name)
    return found


def summary(told: Mapping[str, Figure], checks: Sequence[Check]) -> Iterator[str]:
    """The figures as a few lines for people."""
    absent = reasons(told)
    for name, figure in told.items():
        if name.endswith(OF_THE_REALS):
            continue
        if figure.value is None:
            if names := absent.pop(figure.reason, None):
                yield f"evaluate: {', '.join(names):24} n/a  {figure.reason}"
            continue
        within = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low is not None else ""
        best = told.get(f"{name}_ceiling") or told.get(f"{name}_of_real")
        real = f", real {best.value:.3f}" if best is not None and best.value is not None else ""
        yield f"evaluate: {name:24} {figure.value:.3f}{within}{real}"
    tried = [check.passed for check in checks if check.passed is not None]
    untried = f"; {len(checks) - len(tried)} could not be tried" if len(tried) < len(checks) else ""
    yield f"evaluate: {sum(tried)} of {len(tried)} demands on the controls are met{untried}"


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
