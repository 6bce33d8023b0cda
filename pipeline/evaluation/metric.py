"""The interface of a metric: its inputs, its result, and the requirements for its controls.

User-defined metrics are instances of `ClipMetric` or `SetMetric` in the user's own module; see docs/extending.md.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.controls import CHANCE, NOISE_ALONE, REAL, SECOND_REAL, SPECIAL, Limit, Requirement
from pipeline.evaluation.intervals import Figure, interval_by_halves, interval_of_mean, interval_of_ratio
from pipeline.evaluation.measured_clips import CaptionBank, Floats, Ints, MeasuredClips
from pipeline.evaluation.memorisation import CopySearch
from pipeline.measures import Features
from pipeline.pretrained import PretrainedNetworks
from pipeline.pretrained.networks import NetworkName

MIN_CLIPS = 10  # clips; no mean of fewer is given
HALVES = 40  # at most, for the interval of a distance: each costs as much as the distance
NO_CAPTIONS = CaptionBank((), 0)
NOT_MEASURED = "not measured on this set, since it takes long"
NO_CONTROL_OF_IT = "a control of other metrics"
SAME = "what the others are compared with"
HalvesOf = Literal["fake", "both"]  # the sets of which random halves are compared for the interval of a distance
STILL_QUANTILE = 0.05  # of the energy of real clips: a clip below it is static


@dataclass(frozen=True, eq=False)
class Reference:
    """The data and settings that all sets of clips are compared with."""

    real: MeasuredClips  # unseen real clips of the split test
    pool: MeasuredClips  # all unseen real clips, for the diversity within a meaning
    copies: CopySearch  # in the training clips
    equal: int  # clips on either side of a distance, the same for all sufficiently large sets
    resamples: int  # for intervals
    seed: int
    unavailable_reason: str = ""  # why the judge's predictions cannot be used; empty if they can
    networks: PretrainedNetworks = field(default_factory=dict)
    pretrained_clips: int = 0  # of each set, at most, for pretrained networks
    bank: CaptionBank = NO_CAPTIONS

    @cached_property
    def still(self) -> float:
        """The energy below which a clip is static."""
        return float(np.quantile(self.real.energies, STILL_QUANTILE))


class Scale(NamedTuple):
    """The sets of clips whose figures are scaled to 0 and 1."""

    floor: str
    ceiling: str


ACCURACY_SCALE, DISTANCE_SCALE = Scale(CHANCE, REAL), Scale(NOISE_ALONE, SECOND_REAL)


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A figure for each set of clips: generated clips, real ones and controls."""

    requirements: tuple[Requirement, ...]  # at least one; if one fails, the metric is withdrawn
    scale: Scale | None = None  # for the column `scaled`; None if larger is neither better nor worse
    headline: str = "model"  # the set whose figure is in metrics.json; empty: only in table.csv
    judged: bool = False  # whether it needs the judge's predictions, which an untrained judge lacks
    network: NetworkName | None = None  # the pretrained network it needs
    spared: tuple[str, ...] = ()  # sets of clips that it is not measured on, to save time

    @abstractmethod
    def measure(self, clips: MeasuredClips, reference: Reference, name: str) -> Figure:
        """The figure of a set; without a value, it has a reason. `name` is the metric's name, for messages."""

    def find_obstacle(self, reference: Reference) -> str:
        """Why no set can be measured; empty if they can."""
        return reference.unavailable_reason if self.judged else ""


@dataclass(frozen=True, kw_only=True)
class ClipMetric(Metric):
    """The mean of one number per clip, with its interval."""

    values: Callable[[MeasuredClips, Reference], Floats]  # [N]; nan for clips that it does not apply to
    which: str = "clips that it applies to"  # describes the clips without nan, for the reason if there are too few

    def measure(self, clips: MeasuredClips, reference: Reference, name: str) -> Figure:
        if reason := self.find_obstacle(reference):
            return Figure(None, reason=reason)
        values = np.asarray(self.values(clips, reference))
        if values.shape != (len(clips),) or values.dtype.kind not in "biuf":
            raise UserError(
                f"evaluate.metrics: {name} returned {values.dtype} {list(values.shape)} for {len(clips)} clips; "
                "it must return one number for each clip"
            )
        if np.isinf(values).any():
            row = int(np.isinf(values).argmax())
            detail = f"{name} returned {values[row]} for clip {row} of {len(clips)}"
            raise UserError(f"evaluate.metrics: {detail}; return nan for clips that it does not apply to")
        return average(values.astype(np.float64), reference, self.which)


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """One figure of a set as a whole; see the helpers `average` and `measure_distance` below."""

    figure: Callable[[MeasuredClips, Reference], Figure]

    def measure(self, clips: MeasuredClips, reference: Reference, name: str) -> Figure:
        if reason := self.find_obstacle(reference):
            return Figure(None, reason=reason)
        figure = self.figure(clips, reference)
        if not isinstance(figure, Figure):
            raise UserError(
                f"evaluate.metrics: {name} returned a {type(figure).__name__}; it must return a "
                "pipeline.evaluation.intervals.Figure"
            )
        if figure.value is not None and not math.isfinite(figure.value):
            detail = f"{name} returned a figure of {figure.value} for {len(clips)} clips"
            raise UserError(f"evaluate.metrics: {detail}; where there is no value, return Figure(None, reason=...)")
        return figure


def measure_all(
    metrics: Mapping[str, Metric],
    clips: MeasuredClips,
    reference: Reference,
    of: str = "",
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Figure]:
    """All metrics of the set of clips named `of`; `advance` is called after each."""
    figures = {}
    for name, metric in metrics.items():
        spared = _explain_unasked(metric, of)
        figures[name] = Figure(None, reason=spared) if spared else metric.measure(clips, reference, name)
        advance()
    return figures


def _explain_unasked(metric: Metric, of: str) -> str:
    """Why a metric is not measured on the set of this name; empty if it is."""
    named = {requirement.control for requirement in metric.requirements if isinstance(requirement, Limit)}
    if of in SPECIAL and of not in named:
        return NO_CONTROL_OF_IT
    return NOT_MEASURED if of in metric.spared else ""


def compare_with_real(
    compare: Callable[[MeasuredClips, Reference, int], Figure],
    least: int,
    most: Callable[[Reference], int] = lambda reference: reference.equal,
) -> Callable[[MeasuredClips, Reference], Figure]:
    """The `figure` of a SetMetric that compares equally many generated and real clips.

    `compare` receives their number, at most `most(reference)`. The real clips themselves have no figure, nor do sets of
    fewer than `least` clips.
    """

    def figure(clips: MeasuredClips, reference: Reference) -> Figure:
        if clips is reference.real:
            return Figure(None, reason=SAME)
        count = min(len(clips), most(reference))
        if count < least:
            return Figure(None, clips=count, reason=f"{count} clips on either side, {least} are needed")
        return compare(clips, reference, count)

    return figure


def average(values: Floats, reference: Reference, which: str = "clips that it applies to") -> Figure:
    """The mean of one value per clip, ignoring nan; `which` describes the clips that count, for the reason."""
    values = values[~np.isnan(values)]
    if len(values) < MIN_CLIPS:
        return Figure(None, clips=len(values), reason=f"{which}: {len(values)}, needed: {MIN_CLIPS}")
    low, high = interval_of_mean(values, reference.resamples, np.random.default_rng(reference.seed))
    return Figure(float(values.mean()), low, high, len(values))


def divide_shares(shares: Floats, others: Floats) -> Figure:
    """The share of ones among zeros and ones, divided by that of other clips, ignoring nan."""
    shares, others = (some[~np.isnan(some)] for some in (shares, others))
    count = min(len(shares), len(others))
    if count < MIN_CLIPS:
        return Figure(None, clips=count, reason=f"clips that it applies to: {count}, needed: {MIN_CLIPS}")
    if not others.any():
        return Figure(None, clips=count, reason="the other clips are all wrong")
    low, high = interval_of_ratio(shares, others)
    return Figure(float(shares.mean() / others.mean()), low, high, count)


def measure_distance(
    between: Callable[[Features, Features], float],
    real: Features,
    fake: Features,
    reference: Reference,
    halves_of: HalvesOf = "fake",
    *,
    is_proportion: bool = False,
) -> Figure:
    """A distance between sets of `len(fake)` clips, with its interval from random halves of one set or of both.

    If what `between` returns is a proportion, the interval is within 0 and 1.
    """
    count = len(fake)
    if not np.ptp(real, axis=0).any():  # not by the deviation, which rounding makes nonzero
        return Figure(None, clips=count, reason="the real clips are all the same")
    value = between(real, fake)
    rng = np.random.default_rng(reference.seed)

    def compare(rows: Ints) -> float:
        own = rng.permutation(len(real))[: len(real) // 2] if halves_of == "both" else slice(None)
        return between(real[own], fake[rows])

    halves = min(reference.resamples, HALVES)
    low, high = interval_by_halves(value, count, halves, rng, compare, is_proportion=is_proportion)
    return Figure(value, low, high, count)
