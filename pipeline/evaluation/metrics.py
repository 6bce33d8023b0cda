"""The built-in metrics, and what is required of them on controls; docs/reference/evaluation.md explains them.

A new metric is an entry of METRICS at the end of this file.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.controls import (
    BACKWARDS,
    CONTROLS,
    FROZEN,
    MEAN,
    NOISE_ALONE,
    NOISY_COPY,
    REAL,
    SHUFFLED,
    TRAIN_COPY,
    AtChance,
    BeyondChance,
    Chance,
    Limit,
    Requirement,
    Side,
    compute_ranking_chance,
    compute_repeat_chance,
)
from pipeline.evaluation.distances import (
    MIN_DISTANCE_CLIPS,
    MIN_FRECHET_CLIPS,
    MIN_TWO_SAMPLE_CLIPS,
    MOTION_METRICS,
    Images,
    compute_prdc,
    explain_outliers,
    frechet,
    frechet_at_infinity,
    judge_two_samples,
    mean_distance,
    project_pca,
    read_frames,
    read_motion,
)
from pipeline.evaluation.intervals import Figure, interval
from pipeline.evaluation.measured_clips import Floats, MeasuredClips
from pipeline.evaluation.memorisation import MIN_UNSEEN, SPACES
from pipeline.evaluation.metric import (
    ACCURACY_SCALE,
    DISTANCE_SCALE,
    MIN_CLIPS,
    ClipMetric,
    HalvesOf,
    Metric,
    Reference,
    SetMetric,
    average,
    compare_with_real,
    measure_distance,
)
from pipeline.evaluation.pretrained_metrics import PRETRAINED_METRICS
from pipeline.extensions import Signature, resolve
from pipeline.judges import Prompt
from pipeline.measures import Features, is_along, measure_sharpness, mmd, standardise

CAUGHT, GONE = 0.9, 0.1
KNOWN = "clips that name a known"
MIN_CAPTIONS = 5  # that an interval over captions is estimated from; a resample of two is often one of them alone
QUARTER = 0.25  # of all movements are within 45 degrees of a direction
HEADLINES = ("model", "model, varied", "")  # sets of samples of every evaluation; empty: only in table.csv
FURTHER_SETS = ("model, varied", "model, words", "model, turned from", "model, turned to", "real pairs", "real words")


def _is_object(clips: MeasuredClips, _: Reference) -> Floats:
    wanted = np.array([prompt.object for prompt in clips.prompts])
    return np.where(wanted >= 0, clips.objects == wanted, np.nan)


def _is_category(clips: MeasuredClips, _: Reference) -> Floats:
    wanted = np.array([prompt.category for prompt in clips.prompts])
    return np.where(wanted >= 0, clips.categories == wanted, np.nan)


def _is_both(clips: MeasuredClips, reference: Reference) -> Floats:
    return _is_object(clips, reference) * _is_category(clips, reference)


def _moves_along(clips: MeasuredClips, _: Reference) -> Floats:
    directions = [prompt.moves for prompt in clips.prompts]
    pairs = zip(clips.movements, directions, strict=True)
    return np.array([np.nan if way is None else is_along(movement, way) for movement, way in pairs], float)


def _stands_still(clips: MeasuredClips, reference: Reference) -> Floats:
    return (clips.energies < reference.still).astype(float)


def _flickers(clips: MeasuredClips, reference: Reference) -> Floats:
    return clips.jerks / (reference.real.jerks.mean() or np.nan)


def _object_chance(prompts: Sequence[Prompt], _: int) -> float:
    return compute_repeat_chance([prompt.object for prompt in prompts if prompt.object >= 0])


def _category_chance(prompts: Sequence[Prompt], _: int) -> float:
    return compute_repeat_chance([prompt.category for prompt in prompts if prompt.category >= 0])


def _both_chance(prompts: Sequence[Prompt], _: int) -> float:
    return compute_repeat_chance([(p.object, p.category) for p in prompts if min(p.object, p.category) >= 0])


def _require_chance(chance: Chance) -> tuple[Requirement, ...]:
    return AtChance(chance), BeyondChance(chance)


def _build_accuracy(values: Callable[[MeasuredClips, Reference], Floats], which: str, chance: Chance) -> ClipMetric:
    """Whether the judge predicts what the caption of a clip names."""
    return ClipMetric(
        values=values, which=f"{KNOWN} {which}", requirements=_require_chance(chance), scale=ACCURACY_SCALE, judged=True
    )


def _build_r_precision(best: int) -> ClipMetric:
    """Whether a clip's own caption is among the `best` best-fitting captions."""
    return ClipMetric(
        values=lambda clips, _: np.where(np.isnan(clips.ranks), np.nan, clips.ranks < best),
        which="clips that evaluate.distractors captions of other categories or objects can be compared with",
        requirements=_require_chance(partial(compute_ranking_chance, best=best)),
        scale=ACCURACY_SCALE,
        judged=True,
    )


def _build_copy_rate(spaces: Sequence[str], requirements: tuple[Requirement, ...], headline: str = "") -> SetMetric:
    """The share of clips that are copies of training clips in any of these spaces."""

    def figure(clips: MeasuredClips, reference: Reference) -> Figure:
        unseen, repeated = reference.copies.unseen, reference.copies.repeated
        if unseen < MIN_UNSEEN:
            left_out = f"; {repeated} more are near-duplicates of training clips" if repeated else ""
            detail = f"{unseen} unseen real clips to judge nearness by, {MIN_UNSEEN} are needed{left_out}"
            return Figure(None, reason=detail)
        found = reference.copies.find_copies(clips)
        return average(np.any([found[space] for space in spaces], axis=0).astype(float), reference)

    return SetMetric(figure=figure, requirements=requirements, headline=headline)


def _build_distance(
    between: Callable[[Features, Features], float],
    least: int,
    *requirements: Requirement,
    explain: Callable[[Features], str] = lambda _: "",
    halves_of: HalvesOf = "fake",
    is_proportion: bool = False,
) -> SetMetric:
    """A distance from real clips, at equal sample sizes, since most distances fall with the sample size.

    `explain` returns why the distance from the given real clips is meaningless; empty if it is not.
    """

    def compare(clips: MeasuredClips, reference: Reference, count: int) -> Figure:
        real, fake = (_concatenate(side)[:count] for side in (reference.real, clips))
        real, fake = standardise(real, fake, _concatenate(reference.copies.train))
        if reason := explain(real):
            return Figure(None, clips=count, reason=reason)
        return measure_distance(between, real, fake, reference, halves_of, is_proportion=is_proportion)

    return SetMetric(figure=compare_with_real(compare, least), requirements=requirements, scale=DISTANCE_SCALE)


def _build_prdc(
    name: str, control: str, *, explain: Callable[[Features], str] = lambda _: "", is_proportion: bool = True
) -> SetMetric:
    """One figure of `compute_prdc`, which must be lower for a control.

    All count neighbours among real and generated clips: with the same real clips for all halves, the interval of recall
    would be too narrow, and that of coverage too wide.
    """
    return _build_distance(
        lambda real, fake: getattr(compute_prdc(real, fake), name),
        MIN_DISTANCE_CLIPS,
        Limit(control, "below", 0.8, of_real=True),
        explain=explain,
        halves_of="both",
        is_proportion=is_proportion,
    )


def _concatenate(clips: MeasuredClips) -> Features:
    return clips.keep(
        _concatenate,
        lambda clips: np.concatenate((clips.features, clips.statistics, clips.laplacian_energies), axis=1),
    )


def _build_diversity(select: Callable[[MeasuredClips], Floats]) -> SetMetric:
    """Mean distance, over that of real clips, between clips of the same meaning, in what `select` returns."""
    return SetMetric(
        figure=lambda clips, reference: measure_diversity(select(clips), select(reference.pool), clips, reference),
        requirements=(Limit(MEAN, "below", GONE),),
        headline="model, varied",
    )


def measure_diversity(fake: Floats, real: Floats, clips: MeasuredClips, reference: Reference) -> Figure:
    """Mean distance between clips of the same meaning, over that of real clips; rows of `fake` belong to `clips`.

    Captions are resampled for the interval; there is none for fewer than MIN_CAPTIONS.
    """
    mine, theirs = clips.group_by_meaning(), reference.pool.group_by_meaning()
    both = [meaning for meaning in mine if len(mine[meaning]) > 1 and len(theirs.get(meaning, ())) > 1]
    count = sum(len(mine[meaning]) for meaning in both)
    if count < MIN_CLIPS:
        return Figure(
            None, clips=count, reason=f"{count} clips with another one of the caption, {MIN_CLIPS} are needed"
        )
    fakes = np.array([mean_distance(fake[mine[meaning]]) for meaning in both])
    reals = np.array([mean_distance(real[theirs[meaning]]) for meaning in both])
    if not reals.all():
        return Figure(None, clips=count, reason="real clips of a caption are all the same")
    value = float(fakes.sum() / reals.sum())
    if len(both) < MIN_CAPTIONS:
        return Figure(value, clips=count)
    low, high = interval(
        len(both),
        reference.resamples,
        np.random.default_rng(reference.seed),
        lambda rows: float(fakes[rows].sum() / reals[rows].sum()),
    )
    return Figure(value, low, high, count)


def _build_two_sample_test(read: Callable[[MeasuredClips, int], Images], *requirements: Limit) -> SetMetric:
    """The accuracy of a new network at telling clips from real ones by the inputs from `read`; 0.5 is perfect."""
    needed = {DISTANCE_SCALE.floor, *(requirement.control for requirement in requirements)}
    spared = (*(name for name in CONTROLS if name not in needed), *FURTHER_SETS)

    def compare(clips: MeasuredClips, reference: Reference, count: int) -> Figure:
        real, fake = (read(side, count) for side in (reference.real, clips))
        return average(judge_two_samples(real, fake, reference.seed), reference)

    figure = compare_with_real(compare, MIN_TWO_SAMPLE_CLIPS, lambda reference: len(reference.real))
    return SetMetric(figure=figure, requirements=requirements, scale=DISTANCE_SCALE, spared=spared)


def _compare_sharpness(clips: MeasuredClips, reference: Reference) -> Floats:
    """Sharpness relative to the mean of real clips."""
    return clips.measure_each(measure_sharpness) / (reference.real.measure_each(measure_sharpness).mean() or np.nan)


def select_metrics(references: Sequence[str]) -> dict[str, Metric]:
    """The built-in metrics and those that `evaluate.metrics` refers to, by the name of the object.

    Raises UserError for an invalid metric.
    """
    metrics = dict(METRICS)
    for reference in references:
        metric = resolve(reference, METRICS, "evaluate.metrics", SIGNATURE)
        name = reference.rpartition(":")[2]
        if fault := _find_fault(metric, name):
            raise UserError(f"evaluate.metrics: {reference!r} {fault}")
        metrics[name] = metric
    return metrics


def _find_fault(metric: Metric, name: str) -> str:
    """What is wrong with a user-defined metric; empty if it is valid."""
    if name in METRICS:
        return "" if metric is METRICS[name] else f"has the name of a built-in metric; choose another name than {name}"
    if not metric.requirements:
        return f"has no requirements; name a control that must move it: {', '.join(CONTROLS)}"
    for requirement in metric.requirements:
        if not isinstance(requirement, Requirement):
            return f"has {requirement!r} among its requirements, which is not a Limit of pipeline.evaluation.controls"
        if isinstance(requirement, Limit) and requirement.control not in (*CONTROLS, REAL):
            return f"has a requirement for the control {requirement.control!r}; there are {', '.join(CONTROLS)}"
        if isinstance(requirement, Limit) and requirement.side not in get_args(Side):
            return f"has a requirement with the side {requirement.side!r}; there are {', '.join(get_args(Side))}"
    if metric.headline not in HEADLINES:
        return f"has the headline {metric.headline!r}; there are {', '.join(map(repr, HEADLINES))}"
    if isinstance(metric, ClipMetric | SetMetric):
        return FUNCTION.find_fault(metric.values if isinstance(metric, ClipMetric) else metric.figure)
    return ""


FUNCTION = Signature("a function (clips, reference)", ("clips", "reference"))
SIGNATURE = Signature("a ClipMetric or a SetMetric of pipeline.evaluation.metric", base=Metric)

CLIP_METRICS: dict[str, ClipMetric] = {
    "object_accuracy": _build_accuracy(_is_object, "object", _object_chance),
    "category_accuracy": _build_accuracy(_is_category, "category", _category_chance),
    "joint_accuracy": _build_accuracy(_is_both, "object and category", _both_chance),
    "r_precision_at_1": _build_r_precision(1),
    "r_precision_at_2": _build_r_precision(2),
    "r_precision_at_3": _build_r_precision(3),
    "motion_direction": ClipMetric(
        values=_moves_along,
        which="clips whose caption states a direction",
        requirements=(Limit(FROZEN, "below", GONE), Limit(BACKWARDS, "below", GONE), BeyondChance(lambda *_: QUARTER)),
        scale=ACCURACY_SCALE,
    ),
    "static_share": ClipMetric(values=_stands_still, requirements=(Limit(FROZEN, "above", CAUGHT),)),
    "sharpness": ClipMetric(
        values=_compare_sharpness,
        requirements=(Limit(MEAN, "below", 0.9, of_real=True), Limit(NOISE_ALONE, "above", 2.0)),
    ),
    "flicker": ClipMetric(
        values=_flickers, requirements=(Limit(SHUFFLED, "above", 1.5, of_real=True), Limit(FROZEN, "below", GONE))
    ),
}
DISTANCES: dict[str, SetMetric] = {
    "mmd": _build_distance(
        mmd, MIN_DISTANCE_CLIPS, Limit(MEAN, "above", 1.0, of_real=True), Limit(SHUFFLED, "above", 1.0, of_real=True)
    ),
    "frechet": _build_distance(
        lambda real, fake: frechet(*project_pca(real, fake)),
        MIN_FRECHET_CLIPS,
        Limit(MEAN, "above", 1.0, of_real=True),
        Limit(SHUFFLED, "above", 2.0, of_real=True),
    ),
    "frechet_at_infinity": _build_distance(
        lambda real, fake: frechet_at_infinity(*project_pca(real, fake)),
        MIN_FRECHET_CLIPS,
        Limit(SHUFFLED, "above", 2.0, of_real=True),
    ),
    "precision": _build_prdc("precision", SHUFFLED, explain=explain_outliers),
    "recall": _build_prdc("recall", FROZEN),
    "density": _build_prdc("density", SHUFFLED, is_proportion=False),
    "coverage": _build_prdc("coverage", SHUFFLED),
}
METRICS: dict[str, Metric] = {
    **CLIP_METRICS,
    "copy_rate": _build_copy_rate(
        SPACES, (Limit(TRAIN_COPY, "above", CAUGHT), Limit(NOISY_COPY, "above", CAUGHT)), headline="model"
    ),
    "copy_rate_pixels": _build_copy_rate(["pixels"], (Limit(NOISY_COPY, "above", CAUGHT),)),
    "copy_rate_features": _build_copy_rate(["features"], (Limit(TRAIN_COPY, "above", CAUGHT),)),
    "copy_rate_flows": _build_copy_rate(["flows"], (Limit(TRAIN_COPY, "above", CAUGHT),)),
    **DISTANCES,
    "two_sample_frames": _build_two_sample_test(
        read_frames, Limit(NOISE_ALONE, "above", CAUGHT), Limit(MEAN, "above", 0.8), Limit(SHUFFLED, "below", 0.7)
    ),
    "two_sample_motion": _build_two_sample_test(
        read_motion, Limit(FROZEN, "above", CAUGHT), Limit(SHUFFLED, "above", 1.0, of_real=True)
    ),
    **MOTION_METRICS,
    "diversity": _build_diversity(lambda clips: clips.features),
    "diversity_pixels": _build_diversity(lambda clips: clips.pixels),
    **PRETRAINED_METRICS,
}
