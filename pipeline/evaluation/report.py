"""Reports of an evaluation: CSV for `dvc plots`, metrics.json for `dvc metrics`, and a summary for the terminal."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.evaluation.controls import ABSENT, REAL, Check, scale_figure, select_withdrawn
from pipeline.evaluation.evaluate import NEW, Evaluation, GeneratorEvaluation
from pipeline.evaluation.intervals import OF_THE_REALS, Figure, interval_of_mean
from pipeline.evaluation.measured_clips import Floats
from pipeline.evaluation.memorisation import CopySearch, average_logits, measure_gap
from pipeline.evaluation.metric import Metric, average, divide_shares
from pipeline.evaluation.metrics import CLIP_METRICS
from pipeline.files import write_csv, write_json
from pipeline.judges import Classes, NewWord

OF_PAIRS = ("object_accuracy", "joint_accuracy", "motion_direction")
RATIOS = {"pairs_joint_ratio": "joint_accuracy", "pairs_motion_ratio": "motion_direction"}  # held-out to seen pairs
# Figures of the headline -> the metric from which they are computed, if its name differs.
MADE_OF = {
    **RATIOS,
    "new_words_accuracy": "object_accuracy",
    "new_words_accuracy_ceiling": "object_accuracy",
    "pairs_nearest_other_object_rate": "copy_rate_features",
    "pairs_nearest_other_object_rate_of_real": "copy_rate_features",
    "counterfactual_flip": "motion_direction",
}
NO_PAIRS = Figure(None, reason="no pair is held out; see filter.test_pairs")
NO_WORDS = Figure(None, reason="no new words; see filter.test_words and evaluate.new_words")
NO_REAL_WORDS = Figure(None, reason="no word is held out; see filter.test_words")

Kind = TypeVar("Kind", bound=Hashable)

BY_CLASS = ("object_accuracy", "category_accuracy", "motion_direction")
NEW_WORDS = ("clips", "looks_like_nearest", "low", "high")
BIN = 10  # bins per unit: new words are binned by tenths of the cosine to the nearest seen object
PASSED = {True: "yes", False: "no", None: "not tested"}


def write_report(folder: Path, metrics: Path, found: GeneratorEvaluation) -> Iterator[str]:
    """Write all files except pictures -> the lines of the summary."""
    evaluation, options = found.evaluation, found.options
    figures = summarise_generator(evaluation) | measure_gap(found.logits, options.resamples, options.seed)
    write_figures(folder / "table.csv", evaluation)
    rows = (
        (c.metric, c.control, c.demand, format_value(c.found), PASSED[c.passed], c.reason) for c in evaluation.checks
    )
    write_csv(folder / "controls.csv", ("metric", "control", "demand", "found", "passed", "note"), rows)
    columns = ("set", "name", "clips", *BY_CLASS)
    write_csv(folder / "objects.csv", columns, _list_classes(evaluation, found.classes, "object"))
    write_csv(folder / "categories.csv", columns, _list_classes(evaluation, found.classes, "category"))
    write_words(folder, evaluation)
    write_json(folder / "intervals.json", {name: figure._asdict() for name, figure in figures.items()})
    logits = average_logits(found.logits, options.resamples, options.seed)
    lines = ((name, *map(format_value, (f.value, f.low, f.high)), f.clips) for name, f in logits.items())
    write_csv(folder / "logits.csv", ("set", "logit", "low", "high", "clips"), lines)
    write_json(folder / "protocol.json", found.protocol)
    values = {name: _round_value(figure.value) for name, figure in figures.items()}
    write_json(metrics, values | {"withdrawn": len(found.protocol["withdrawn"])})
    return chain(summarise(figures, evaluation.checks), _report_repeated(evaluation.reference.copies))


def summarise_generator(found: Evaluation) -> dict[str, Figure]:
    """The generator's figures by name, in the order of the summary. Withdrawn metrics have no value."""
    figures, real = found.figures, found.figures[REAL]
    headline: dict[str, Figure] = {}
    for name, metric in found.metrics.items():
        if _has_ceiling(metric):
            headline |= {name: figures[metric.headline][name], f"{name}_ceiling": real[name]}
    for name, metric in found.metrics.items():
        if metric.headline and name not in headline:
            headline[name] = figures[metric.headline][name]
    pairs, real_pairs = figures.get("model, pairs", {}), figures.get("real pairs", {})
    for name in OF_PAIRS:
        headline[f"pairs_{name}"] = pairs.get(name, NO_PAIRS)
        headline[f"pairs_{name}_ceiling"] = real_pairs.get(name, NO_PAIRS)
    headline["pairs_nearest_other_object_rate"] = _compare_objects(found, "model, pairs")
    headline["pairs_nearest_other_object_rate_of_real"] = _compare_objects(found, "real pairs")
    headline |= {name: _compare_pairs(found, metric) for name, metric in RATIOS.items()}
    headline["counterfactual_flip"] = _measure_flips(found)
    words, real_words = figures.get("model, words", {}), figures.get("real words", {})
    headline["new_words_accuracy"] = words.get("object_accuracy", NO_WORDS)
    headline["new_words_accuracy_ceiling"] = real_words.get("object_accuracy", NO_REAL_WORDS)
    return _remove_withdrawn(headline, select_withdrawn(found.checks))


def summarise_set(found: Evaluation, name: str) -> dict[str, Figure]:
    """The figures of any other set of clips, with the same names and ceilings as the generator's."""
    ceilings = {f"{metric}_ceiling": found.figures[REAL][metric] for metric in _list_ceilings(found.metrics)}
    return _remove_withdrawn(found.figures[name] | ceilings, select_withdrawn(found.checks))


def _list_ceilings(metrics: Mapping[str, Metric]) -> list[str]:
    """The metrics whose ceiling is the figure of real clips."""
    return [name for name, metric in metrics.items() if _has_ceiling(metric)]


def _has_ceiling(metric: Metric) -> bool:
    return metric.scale is not None and metric.scale.ceiling == REAL and bool(metric.headline)


def _remove_withdrawn(figures: Mapping[str, Figure], withdrawn: Collection[str]) -> dict[str, Figure]:
    return {
        name: _remove_value(figure) if _find_metric(name) in withdrawn else figure for name, figure in figures.items()
    }


def _find_metric(name: str) -> str:
    return MADE_OF.get(name, name.removeprefix("pairs_").removesuffix("_ceiling"))


def _remove_value(figure: Figure) -> Figure:
    return Figure(None, clips=figure.clips, reason="withdrawn: it failed a check on planted controls")


def _compare_pairs(found: Evaluation, name: str) -> Figure:
    """The accuracy on held-out pairs, divided by that on seen ones."""
    if "model, pairs" not in found.clips:
        return NO_PAIRS
    metric = CLIP_METRICS[name]
    if reason := metric.find_obstacle(found.reference):
        return Figure(None, reason=reason)
    held_out, seen = (metric.values(found.clips[of], found.reference) for of in ("model, pairs", "model"))
    return divide_shares(held_out, seen)


def _compare_objects(found: Evaluation, name: str) -> Figure:
    """How often the nearest training clip of a clip of a held-out pair shows another object."""
    if name not in found.clips:
        return NO_PAIRS
    if found.reference.unavailable_reason:
        return Figure(None, reason=found.reference.unavailable_reason)
    return average(found.reference.copies.compare_objects(found.clips[name]), found.reference)


def _measure_flips(found: Evaluation) -> Figure:
    """How often the opposite caption, with the same noise, reverses the movement and keeps the object."""
    if "model, turned to" not in found.clips:
        return Figure(None, reason="no caption of the test split has an opposite")
    if found.reference.unavailable_reason:
        return Figure(None, reason=found.reference.unavailable_reason)
    before, after = found.clips["model, turned from"], found.clips["model, turned to"]
    directions = [prompt.moves for prompt in before.prompts]
    along = [_project(clips.movements, directions) for clips in (before, after)]
    # From the caption's direction to the opposite one; with any change of sign, random movement would score 0.5.
    flips = (along[0] > 0) & (along[1] < 0) & (before.objects == after.objects)
    return average(np.where(np.isnan(along[0]), np.nan, flips), found.reference)


def _project(movements: Floats, directions: Sequence[tuple[float, float] | None]) -> Floats:
    """How far each clip moves in its direction; nan without one."""
    ways = np.array([(np.nan, np.nan) if way is None else way for way in directions], float)
    along: Floats = (movements * ways).sum(axis=1)
    return along


def group_reasons(figures: Mapping[str, Figure]) -> dict[str, list[str]]:
    """Reasons why figures have no value -> the names of the figures; those of real clips are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, figure in figures.items():
        if figure.value is None and not name.endswith(OF_THE_REALS):
            found[figure.reason].append(name)
    return found


def summarise(figures: Mapping[str, Figure], checks: Sequence[Check]) -> Iterator[str]:
    """The figures as lines for the terminal."""
    absent = group_reasons(figures)
    for name, figure in figures.items():
        if name.endswith(OF_THE_REALS):
            continue
        if figure.value is None:
            if names := absent.pop(figure.reason, None):
                yield f"evaluate: {', '.join(names):24} n/a  {figure.reason}"
            continue
        within = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low is not None else ""
        best = figures.get(f"{name}_ceiling") or figures.get(f"{name}_of_real")
        real = f", real {best.value:.3f}" if best is not None and best.value is not None else ""
        yield f"evaluate: {name:24} {figure.value:.3f}{within}{real}"
    tried = [check.passed for check in checks if check.passed is not None]
    untried = f"; {len(checks) - len(tried)} could not be tested" if len(tried) < len(checks) else ""
    yield f"evaluate: {sum(tried)} of {len(tried)} checks on planted controls passed{untried}"


def _report_repeated(copies: CopySearch) -> Iterator[str]:
    """A line if unseen clips are near-duplicates of training clips."""
    if copies.repeated:
        yield (
            f"evaluate: {copies.repeated} of {copies.repeated + copies.unseen} unseen real clips are near-duplicates "
            "of training clips; the limit for copies excludes them, all metrics include them (see filter.duplicates)"
        )


def write_words(folder: Path, found: Evaluation) -> None:
    """Write words.csv, how often new words look like the nearest seen object, and nearness.csv, the same in bins."""
    write_csv(folder / "words.csv", ("name", "nearest", "cosine", *NEW_WORDS), _list_words(found))
    write_csv(folder / "nearness.csv", ("cosine_from", "cosine_to", "words", *NEW_WORDS), _list_nearness(found))


def write_figures(path: Path, found: Evaluation) -> None:
    """Write the figures of all sets of clips as CSV."""
    write_csv(path, ("set", "metric", "value", "low", "high", "scaled", "clips", "note"), _list_figures(found))


def _round_value(value: float | None) -> float | None:
    """Six significant digits: further ones differ between machines."""
    return None if value is None else float(f"{value:.6g}")


def format_value(value: float | None) -> str:
    """A value as a CSV cell, with six significant digits."""
    return "" if value is None else f"{value:.6g}"


def _list_figures(found: Evaluation) -> Iterable[Sequence[object]]:
    for name, figures in found.figures.items():
        for metric, figure in figures.items():
            ends = found.metrics[metric].scale or ("", "")
            floor, ceiling = (found.figures.get(end, {}).get(metric, ABSENT).value for end in ends)
            values = (figure.value, figure.low, figure.high, scale_figure(figure.value, floor, ceiling))
            yield name, metric, *map(format_value, values), figure.clips, figure.reason


def _list_classes(found: Evaluation, classes: Classes, kind: str) -> Iterable[Sequence[object]]:
    for name in ("model", "model, pairs", REAL, "real pairs"):
        if name not in found.clips:
            continue
        clips = found.clips[name]
        values = np.stack([CLIP_METRICS[metric].values(clips, found.reference) for metric in BY_CLASS], axis=1)  # [N,3]
        wanted = np.array([getattr(prompt, kind) for prompt in clips.prompts])
        for number, label in enumerate(classes.objects if kind == "object" else classes.categories):
            rows = values[wanted == number]
            if len(rows):
                means = ("" if np.isnan(column).all() else format_value(np.nanmean(column)) for column in rows.T)
                yield name, label, len(rows), *means


def _list_words(found: Evaluation) -> Iterable[Sequence[object]]:
    """A row for each new word, nearest to a seen object first."""
    rows = _group_new_words(found, lambda new: new)
    for new, own in sorted(rows.items(), key=lambda item: (-item[0].cosine, item[0].name)):
        yield new.name, new.near, f"{new.cosine:.4f}", *_measure_likeness(found, own)


def _list_nearness(found: Evaluation) -> Iterable[Sequence[object]]:
    """A row for each bin of new words by their cosine to the nearest seen object."""
    rows = _group_new_words(found, lambda new: math.floor(round(new.cosine * BIN, 6)))
    for nearness, own in sorted(rows.items(), reverse=True):
        words = {found.clips[NEW].prompts[row].new for row in own}
        ends = (format_value(nearness / BIN), format_value((nearness + 1) / BIN))
        yield *ends, len(words), *_measure_likeness(found, own)


def _group_new_words(found: Evaluation, kind: Callable[[NewWord], Kind]) -> dict[Kind, list[int]]:
    """The samples of new words whose neighbour is a class of the judge, grouped by `kind`."""
    rows: dict[Kind, list[int]] = defaultdict(list)
    known = NEW in found.clips and not found.reference.unavailable_reason
    for row, prompt in enumerate(found.clips[NEW].prompts if known else ()):
        if prompt.new is not None and prompt.object >= 0:
            rows[kind(prompt.new)].append(row)
    return rows


def _measure_likeness(found: Evaluation, rows: Sequence[int]) -> tuple[object, ...]:
    """The number of samples, and how often they look like the nearest seen object, with the interval."""
    values = CLIP_METRICS["object_accuracy"].values(found.clips[NEW], found.reference)[rows]
    low, high = interval_of_mean(values, found.reference.resamples, np.random.default_rng(found.reference.seed))
    return len(rows), *map(format_value, (float(values.mean()), low, high))
