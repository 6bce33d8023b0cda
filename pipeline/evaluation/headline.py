"""The few figures that a run is judged by, out of all that was measured: metrics.json."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.evaluation.assess import NO_PAIRS, Assessment, mimicked, turned
from pipeline.evaluation.differences import OF_THE_REALS
from pipeline.evaluation.distances import SETS
from pipeline.evaluation.metrics import JUDGED, PER_CLIP, Figure, ratio
from pipeline.evaluation.pretrained import DISTANCES, MATCHES
from pipeline.evaluation.verdict import REAL, Check, withdrawn

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
