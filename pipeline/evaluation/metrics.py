"""Every metric of a set of clips, by name; docs/reference/evaluation.md defines each and what its controls demand."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.distances import SETS, Distance, spread
from pipeline.evaluation.intervals import Figure, interval, interval_by_halves, interval_of_mean, interval_of_means
from pipeline.evaluation.memorisation import LEAST_UNSEEN, SPACES, Copies
from pipeline.evaluation.views import Floats, Views
from pipeline.measures import Features, agrees, alike

FEWEST = 10  # clips that say anything about a share
STILL_QUANTILE = 0.05  # of the real clips' energy: a clip below that stands still
HALVES = 40  # of the clips, for the interval of a distance, at most: each costs a whole distance


@dataclass(frozen=True)
class Yardstick:
    """What all sets are measured against."""

    real: Views  # unseen real clips: the split that the figures are reported on
    pool: Views  # more unseen real clips of the same meanings, for the variety within a caption
    copies: Copies
    equal: int  # clips on either side of a distance, the same for all sets that have so many
    resamples: int
    seed: int
    excuse: str = ""  # why the judge has no say in what clips show, where it has none

    @property
    def still(self) -> float:
        """Less change from frame to frame than this is standing still."""
        return float(np.quantile(self.real.energies, STILL_QUANTILE))


Values = Callable[[Views, Yardstick], Floats]  # one value per clip, nan where the metric says nothing about it


def _object(views: Views, _: Yardstick) -> Floats:
    wanted = np.array([prompt.object for prompt in views.prompts])
    return np.where(wanted >= 0, views.objects == wanted, np.nan)


def _category(views: Views, _: Yardstick) -> Floats:
    wanted = np.array([prompt.category for prompt in views.prompts])
    return np.where(wanted >= 0, views.categories == wanted, np.nan)


def _direction(views: Views, _: Yardstick) -> Floats:
    said = [prompt.moves for prompt in views.prompts]
    return np.array(
        [np.nan if way is None else agrees(move, way) for move, way in zip(views.movements, said, strict=True)], float
    )


def _flicker(views: Views, yardstick: Yardstick) -> Floats:
    usual = yardstick.real.jerks.mean()
    return views.jerks / (usual or np.nan)


def _ranked(best: int) -> Values:
    return lambda views, _: np.where(np.isnan(views.ranks), np.nan, views.ranks < best)


PER_CLIP: dict[str, Values] = {
    "object_accuracy": _object,
    "category_accuracy": _category,
    "joint_accuracy": lambda views, yardstick: _object(views, yardstick) * _category(views, yardstick),
    "r_precision_at_1": _ranked(1),
    "r_precision_at_2": _ranked(2),
    "r_precision_at_3": _ranked(3),
    "motion_direction": _direction,
    "static_share": lambda views, yardstick: (views.energies < yardstick.still).astype(float),
    "flicker": _flicker,
}

JUDGED = ("object_accuracy", "category_accuracy", "joint_accuracy", *(f"r_precision_at_{best}" for best in (1, 2, 3)))
COPY_RATES = ("copy_rate", *(f"copy_rate_{space}" for space in SPACES))
METRICS = (*PER_CLIP, *COPY_RATES, *SETS, "diversity", "diversity_pixels")


def measure(views: Views, yardstick: Yardstick) -> dict[str, Figure]:
    """All metrics of a set of clips, in the order of METRICS."""
    figures = {name: share(values(views, yardstick), yardstick) for name, values in PER_CLIP.items()}
    if yardstick.excuse:
        figures |= dict.fromkeys(JUDGED, Figure(None, reason=yardstick.excuse))
    figures |= _copy_rates(views, yardstick)
    figures |= {name: _distance(distance, views, yardstick) for name, distance in SETS.items()}
    figures["diversity"] = diversity(views.features, yardstick.pool.features, views, yardstick)
    figures["diversity_pixels"] = diversity(views.pixels, yardstick.pool.pixels, views, yardstick)
    return figures


def share(values: Floats, yardstick: Yardstick) -> Figure:
    """The mean of one value per clip, those that are nan left out."""
    values = values[~np.isnan(values)]
    if len(values) < FEWEST:
        return Figure(None, clips=len(values), reason=f"clips that tell it: {len(values)}, needed: {FEWEST}")
    low, high = interval_of_mean(values, yardstick.resamples, np.random.default_rng(yardstick.seed))
    return Figure(float(values.mean()), low, high, len(values))


def ratio(values: Floats, others: Floats, yardstick: Yardstick) -> Figure:
    """The mean of one value per clip by that of other clips; values that are nan left out."""
    sets = [some[~np.isnan(some)] for some in (values, others)]
    count = min(len(some) for some in sets)
    if count < FEWEST:
        return Figure(None, clips=count, reason=f"clips that tell it: {count}, needed: {FEWEST}")
    if not sets[1].any():
        return Figure(None, clips=count, reason="the other clips are all wrong")
    least = 1 / len(sets[1])  # one right answer: resamples of a few may hold none
    rng = np.random.default_rng(yardstick.seed)
    low, high = interval_of_means(sets, yardstick.resamples, rng, lambda a, b: a / np.maximum(b, least))
    return Figure(float(sets[0].mean() / sets[1].mean()), low, high, count)


def _copy_rates(views: Views, yardstick: Yardstick) -> dict[str, Figure]:
    unseen = yardstick.copies.unseen
    if unseen < LEAST_UNSEEN:
        absent = Figure(None, reason=f"{unseen} unseen real clips to judge nearness by, {LEAST_UNSEEN} are needed")
        return dict.fromkeys(COPY_RATES, absent)
    near = yardstick.copies.nearer(views)
    found = [np.any(list(near.values()), axis=0), *near.values()]
    return {name: share(rows.astype(float), yardstick) for name, rows in zip(COPY_RATES, found, strict=True)}


def _distance(distance: Distance, views: Views, yardstick: Yardstick) -> Figure:
    """A distance at equal numbers of clips, since most distances fall as the numbers grow."""
    if views is yardstick.real:
        return Figure(None, reason="what the others are compared with")
    count = min(len(views), yardstick.equal)
    if count < distance.least:
        return Figure(None, clips=count, reason=f"{count} clips on either side, {distance.least} are needed")
    return distance_figure(distance.between, *alike(_all(yardstick.real)[:count], _all(views)[:count]), yardstick)


def distance_figure(
    between: Callable[[Features, Features], float], real: Features, fake: Features, yardstick: Yardstick
) -> Figure:
    """A distance between as many clips on either side, with its interval."""
    count = len(fake)
    if not real.std(axis=0).any():
        return Figure(None, clips=count, reason="the real clips are all the same")
    value = between(real, fake)
    low, high = interval_by_halves(
        value,
        count,
        min(yardstick.resamples, HALVES),
        np.random.default_rng(yardstick.seed),
        lambda rows: between(real, fake[rows]),
    )
    return Figure(value, low, high, count)


def _all(views: Views) -> Features:
    return np.concatenate((views.features, views.looks, views.fineness), axis=1)


def diversity(fake: Floats, real: Floats, views: Views, yardstick: Yardstick) -> Figure:
    """Mean distance between two clips of one meaning, to the same of real clips; rows of `fake` belong to `views`."""
    mine, theirs = views.by_meaning(), yardstick.pool.by_meaning()
    both = [meaning for meaning in mine if len(mine[meaning]) > 1 and len(theirs.get(meaning, ())) > 1]
    clips = sum(len(mine[meaning]) for meaning in both)
    if clips < FEWEST:
        return Figure(None, clips=clips, reason=f"{clips} clips with another one of the caption, {FEWEST} are needed")
    fakes = np.array([spread(fake[mine[meaning]]) for meaning in both])
    reals = np.array([spread(real[theirs[meaning]]) for meaning in both])
    if not reals.all():
        return Figure(None, clips=clips, reason="real clips of a caption are all the same")
    low, high = interval(
        len(both),
        yardstick.resamples,
        np.random.default_rng(yardstick.seed),
        lambda rows: float(fakes[rows].sum() / reals[rows].sum()),
    )
    return Figure(float(fakes.sum() / reals.sum()), low, high, clips)
