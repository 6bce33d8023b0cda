"""Distances between sets, against plain loops, closed forms, the formula of the paper and the package prdc."""

import numpy as np
import prdc
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import pdist

from pipeline.evaluation.distances import (
    COMPONENTS,
    NEIGHBOUR,
    compute_prdc,
    explain_outliers,
    frechet,
    frechet_at_infinity,
    limit_of_line,
    mean_distance,
    project_pca,
)
from pipeline.measures import mmd, standardise


def normal(seed, count, width, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, width))


def mmd_by_loops(real, fake):
    """The estimator of the paper, pair by pair."""

    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    n, m = len(real), len(fake)
    xx = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(x, y) for x in real for y in fake) / (n * m)


def frechet_of_the_paper(real, fake):
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    return float(shift @ shift + np.trace(a + b - 2 * sqrtm(a @ b).real))


def test_mmd_is_that_of_a_plain_double_loop():
    real, fake = normal(1, 13, 5), normal(2, 9, 5, scale=2, shift=0.3)
    assert mmd(real, fake) == pytest.approx(mmd_by_loops(real, fake), rel=1e-12)


def test_mmd_of_equal_distributions_is_0_on_average_at_any_number_of_clips():
    for count in (5, 40):
        values = [mmd(normal(seed, count, 3), normal(1000 + seed, count, 3)) for seed in range(600)]
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
        assert min(values) < 0


def test_mmd_grows_as_the_sets_part():
    real = normal(1, 100, 4)
    values = [mmd(real, normal(2, 100, 4, shift=shift)) for shift in (0, 0.5, 1, 2)]
    assert values == sorted(values)


def test_frechet_of_diagonal_normals_is_the_closed_form():
    """Sets whose moments are known exactly: opposite pairs along each axis."""
    a, b, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 0.25, 3.0]), np.array([0.1, -2.0, 0.0])

    def with_deviations(deviations):
        points = np.concatenate([np.diag(deviations), -np.diag(deviations)])
        return points * np.sqrt((len(points) - 1) / 2)

    expected = (shift**2).sum() + ((a - b) ** 2).sum()
    assert frechet(with_deviations(a), with_deviations(b) + shift) == pytest.approx(expected, abs=1e-12)


def test_frechet_is_the_formula_of_the_paper():
    mixing = np.random.default_rng(3).normal(size=(12, 12))
    real, fake = normal(1, 200, 12) @ mixing, normal(2, 90, 12, scale=1.3, shift=0.2) @ mixing.T
    assert frechet(real, fake) == pytest.approx(frechet_of_the_paper(real, fake), rel=1e-4)


def test_frechet_of_a_set_and_itself_is_0_and_fewer_clips_than_features_do_not_harm():
    real = normal(1, 10, 30)
    assert frechet(real, real) == pytest.approx(0, abs=1e-9)
    same = np.repeat(real[:1], 10, axis=0)
    shift = real.mean(axis=0) - real[0]
    assert frechet(real, same) == pytest.approx(shift @ shift + real.var(axis=0, ddof=1).sum())


def test_the_limit_of_a_known_line_is_found():
    counts = np.array([10, 20, 40, 80])
    assert limit_of_line(counts, 0.7 + 5 / counts) == pytest.approx(0.7)


@pytest.mark.slow
def test_frechet_at_infinity_takes_off_most_of_what_few_fakes_add():
    """Equal distributions: the distance is 0, and what is found of 60 fakes is their small number."""
    found = [
        (frechet(real, fake), frechet_at_infinity(real, fake))
        for real, fake in ((normal(seed, 2000, 8), normal(100 + seed, 60, 8)) for seed in range(8))
    ]
    few, limit = np.mean(found, axis=0)
    assert few > 0.2
    assert abs(limit) < few / 4
    assert frechet_at_infinity(normal(1, 50, 8), normal(2, 50, 8)) == frechet_at_infinity(
        normal(1, 50, 8), normal(2, 50, 8)
    )


@pytest.mark.parametrize(("count", "scale", "shift"), [(80, 1.0, 0.0), (80, 0.3, 0.4), (21, 2.0, 0.0)])
def test_precision_recall_density_and_coverage_are_those_of_prdc(count, scale, shift, capsys):
    real, fake = normal(1, 70, 6), normal(2, count, 6, scale, shift)
    expected = prdc.compute_prdc(real, fake, nearest_k=NEIGHBOUR)
    capsys.readouterr()  # prdc prints
    assert compute_prdc(real, fake)._asdict() == pytest.approx(expected, abs=1e-4)


def test_spread_is_the_mean_distance_of_pairs():
    features = normal(1, 12, 4)
    assert mean_distance(features) == pytest.approx(pdist(features).mean())
    assert mean_distance(features[:1]) == 0
    assert mean_distance(np.ones((4, 2))) == 0


def test_features_become_alike_and_silent_ones_stay_silent():
    real, fake = normal(1, 50, 3) * [1, 1000, 0] + [0, 5, 7], normal(2, 50, 3) * [1, 1000, 0] + [0, 5, 7.001]
    a, b = standardise(real, fake)
    assert a[:, :2].std(axis=0) == pytest.approx([1, 1])
    assert a[:, 2] == pytest.approx(0)
    assert np.abs(b[:, 2]).max() < 0.001


def test_the_main_directions_keep_distances_and_count_them_in_overall_deviations():
    plane = np.zeros((60, 40))
    plane[:, :COMPONENTS] = normal(1, 60, COMPONENTS)
    turn, _ = np.linalg.qr(normal(3, 40, 40))
    a, b = project_pca(plane @ turn, plane[::-1] @ turn)
    assert a.shape == (60, COMPONENTS)
    assert a.var(axis=0).sum() == pytest.approx(1)
    assert pdist(a) == pytest.approx(pdist(plane) / np.sqrt(plane.var(axis=0).sum()))
    assert pdist(b) == pytest.approx(pdist(a[::-1]))


def test_balls_tell_nothing_where_a_far_clip_has_a_wide_one():
    real = normal(0, 60, 20)
    assert explain_outliers(real) == ""
    far = np.concatenate((real, np.full((1, 20), 10.0)))
    assert "times as wide as most" in explain_outliers(far)
    # None of these lies among the others.
    assert compute_prdc(far, normal(1, 60, 20, scale=0.2, shift=5.0)).precision == 1.0
    assert explain_outliers(np.zeros((10, 3))) == ""
