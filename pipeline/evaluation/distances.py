"""Distances between two sets of clips in the features of a judge, float64 [N,F] each.

Linear algebra is numpy's and scipy's; tests compare with the formulas of the papers and with the package prdc.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.spatial.distance import cdist

from pipeline.measures import Features

NEIGHBOUR = 5  # k of precision, recall, density and coverage
WIDEST = 2.0  # ball around a real clip, in shares of the median one
LEAST = 4 * NEIGHBOUR  # clips on either side, below which no distance is given
COMPONENTS = 16  # principal ones that a Frechet distance compares
LEAST_FRECHET = 3 * COMPONENTS  # clips on either side: fewer say little about this many variances
POINTS, ORDERS = 6, 4  # of the line to endlessly many fakes, and random choices of fakes for each point


def frechet(real: Features, fake: Features) -> float:
    """Squared Frechet distance of two normal distributions fitted to the sets. Heusel et al. 2017, arXiv:1706.08500."""
    difference = real.mean(axis=0) - fake.mean(axis=0)
    a, b = _factor(real), _factor(fake)
    # With covariances a'a and b'b the trace of the root of their product is the sum of the singular values of ab': no
    # root of a matrix is taken, so sets without any spread are as exact as others.
    return float(difference @ difference + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc"))


def _factor(features: Features) -> Features:
    """A triangle r with r'r the covariance."""
    centred = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    factor: Features = qr(centred, mode="r")[0]
    return factor


def frechet_at_infinity(real: Features, fake: Features) -> float:
    """The Frechet distance extrapolated to endlessly many fakes, the reals being as many as they are.

    It falls as a line in 1/n. Chong & Forsyth 2020, arXiv:1911.07023.
    """
    generator = np.random.default_rng(len(fake))
    counts = np.linspace(len(fake) // 2, len(fake), POINTS).astype(int)
    distances = [
        np.mean([frechet(real, fake[generator.permutation(len(fake))[:count]]) for _ in range(ORDERS)])
        for count in counts
    ]
    return limit_of_line(counts, np.array(distances))


def limit_of_line(counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Where a line in 1/count through these values ends at endlessly large counts."""
    _, limit = np.polyfit(1 / counts, values, 1)
    return float(limit)


def project_pca(real: Features, fake: Features) -> tuple[Features, Features]:
    """Both sets in the main directions of both together, in which one unit is what `real` varies by overall.

    In the directions of `real` alone all would be lost in which no real clip differs from another, but the fakes do.
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
    """How many fakes lie among reals and the other way round, by balls that reach to the 5th neighbour.

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
    """Why balls around real clips tell nothing: those of a few far ones hold nearly everything; empty if not so."""
    reach = _reach(real)
    width = float(reach.max() / (np.median(reach) or 1.0))
    if width <= WIDEST:
        return ""
    return f"a real clip is so far from all others that its ball is {width:.1f} times as wide as most; see density"


def _reach(features: Features) -> NDArray[np.float64]:
    """The distance from each to its 5th neighbour among the others: [N]."""
    reach: NDArray[np.float64] = np.partition(cdist(features, features), NEIGHBOUR, axis=1)[:, NEIGHBOUR]
    return reach


def mean_distance(features: Features) -> float:
    """Mean distance between two of the set; 0 for fewer than two."""
    count = len(features)
    return float(cdist(features, features).sum() / (count * (count - 1))) if count > 1 else 0.0
