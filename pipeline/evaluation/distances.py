"""Distances between two sets of clips in the features of a judge, float64 [N,F] each.

Tests compare them with the formulas of the papers and with the package prdc.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.spatial.distance import cdist

from pipeline.measures import Features

NEIGHBOUR = 5  # k of precision, recall, density and coverage
WIDEST = 2.0  # radius of the ball around a real clip, relative to the median
MIN_DISTANCE_CLIPS = 4 * NEIGHBOUR  # clips on either side; with fewer no distance is given
COMPONENTS = 16  # principal components that a Frechet distance compares
MIN_FRECHET_CLIPS = 3 * COMPONENTS  # clips on either side; fewer estimate this many variances badly
POINTS, ORDERS = 6, 4  # points of the line that is extrapolated, and random subsets of fakes per point


def frechet(real: Features, fake: Features) -> float:
    """Squared Frechet distance of two normal distributions fitted to the sets. Heusel et al. 2017, arXiv:1706.08500."""
    difference = real.mean(axis=0) - fake.mean(axis=0)
    a, b = _factor(real), _factor(fake)
    # With covariances a'a and b'b, the trace of the square root of their product is the nuclear norm of ab'. Without a
    # matrix square root, singular covariances are no problem.
    return float(difference @ difference + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc"))


def _factor(features: Features) -> Features:
    """An upper triangular r with r'r the covariance."""
    centred = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    factor: Features = qr(centred, mode="r")[0]
    return factor


def frechet_at_infinity(real: Features, fake: Features) -> float:
    """The Frechet distance extrapolated to infinitely many fakes, for the given reals.

    It is linear in 1/n. Chong & Forsyth 2020, arXiv:1911.07023.
    """
    generator = np.random.default_rng(len(fake))
    counts = np.linspace(len(fake) // 2, len(fake), POINTS).astype(int)
    distances = [
        np.mean([frechet(real, fake[generator.permutation(len(fake))[:count]]) for _ in range(ORDERS)])
        for count in counts
    ]
    return limit_of_line(counts, np.array(distances))


def limit_of_line(counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """The limit at infinite counts of a line in 1/count fitted to these values."""
    _, limit = np.polyfit(1 / counts, values, 1)
    return float(limit)


def project_pca(real: Features, fake: Features) -> tuple[Features, Features]:
    """Both sets projected on their joint principal components, in units of the total deviation of `real`.

    The components of `real` alone would miss directions in which only the fakes vary.
    """
    centre = real.mean(axis=0)
    _, _, directions = np.linalg.svd(np.concatenate((real, fake)) - centre, full_matrices=False)
    scale = math.sqrt((real - centre).var(axis=0).sum()) or 1.0
    axes = directions[:COMPONENTS].T / scale
    return (real - centre) @ axes, (fake - centre) @ axes


def measure_energy_distance(real: Features, fake: Features) -> float:
    """Unbiased energy distance, in units of the mean distance of two real clips; 0 for equal distributions.

    Szekely & Rizzo 2013, "Energy statistics: A class of statistics based on distances".
    """
    own = mean_distance(real)
    return (2 * float(cdist(real, fake).mean()) - own - mean_distance(fake)) / (own or 1.0)


class Prdc(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def compute_prdc(real: Features, fake: Features) -> Prdc:
    """Precision, recall, density and coverage, from balls that reach to the 5th nearest neighbour.

    Kynkaanniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.
    """
    between = cdist(real, fake)
    real_reach, fake_reach = _reach(real), _reach(fake)
    in_real = between < real_reach[:, None]
    return Prdc(
        precision=float(in_real.any(axis=0).mean()),
        recall=float((between < fake_reach[None, :]).any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / NEIGHBOUR),
        coverage=float((between.min(axis=1) < real_reach).mean()),
    )


def explain_outliers(real: Features) -> str:
    """Why balls around real clips are meaningless: an outlier's contains nearly everything; empty if none does."""
    reach = _reach(real)
    width = float(reach.max() / (np.median(reach) or 1.0))
    if width <= WIDEST:
        return ""
    return f"a real clip is so far from all others that its ball is {width:.1f} times as wide as most; see density"


def _reach(features: Features) -> NDArray[np.float64]:
    """The distance of each row from its 5th nearest neighbour: [N]."""
    reach: NDArray[np.float64] = np.partition(cdist(features, features), NEIGHBOUR, axis=1)[:, NEIGHBOUR]
    return reach


def mean_distance(features: Features) -> float:
    """The mean distance between two rows; 0 for fewer than two."""
    count = len(features)
    return float(cdist(features, features).sum() / (count * (count - 1))) if count > 1 else 0.0
