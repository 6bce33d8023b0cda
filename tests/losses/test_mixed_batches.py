"""Mixed batches: the law of the shares, the divergence at known points, and a toy distribution that is moved."""

import math

import pytest
import torch

from pipeline.losses import (
    MIXED_BATCHES,
    bgan,
    divergence,
    first_rows,
    mbgan,
    realised_shares,
    spread_shares,
)
from pipeline.params import MIXED_NAMES

DOUBLE = torch.float64


def test_every_loss_of_mixed_batches_in_params_is_registered():
    assert {"none", *MIXED_BATCHES} == set(MIXED_NAMES)


@pytest.mark.parametrize("edge", [0.1, 0.3, 0.5])
def test_shares_are_even_on_both_edges_and_never_between(edge):
    shares = spread_shares(torch.linspace(0, 1, 20_001, dtype=DOUBLE)[:-1], edge)
    low, high = shares[shares <= edge], shares[shares >= 1 - edge]
    assert len(low) + len(high) - (low.max() == high.min()).int().item() == len(shares)
    assert len(low) == pytest.approx(len(high), abs=2)
    torch.testing.assert_close(low, torch.linspace(0, edge, len(low), dtype=DOUBLE), atol=1e-3, rtol=0)
    torch.testing.assert_close(high, torch.linspace(1 - edge, 1, len(high), dtype=DOUBLE), atol=1e-3, rtol=0)


def test_a_group_begins_with_its_real_rows_and_its_label_is_what_was_realised():
    rows = first_rows(torch.tensor([0.0, 0.3, 0.8, 1.0]), group=4)
    assert rows.view(4, 4).int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert realised_shares(rows, 4).tolist() == [0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_divergence_is_the_closed_form(share):
    for probability in (0.1, 0.5, 0.7):
        kl = sum(p * math.log(p / q) for p, q in ((share, probability), (1 - share, 1 - probability)) if p)
        found = divergence(torch.tensor(math.log(probability / (1 - probability)), dtype=DOUBLE), torch.tensor(share))
        assert found.item() == pytest.approx(kl, abs=1e-6)


def test_the_right_answer_costs_nothing_and_far_logits_stay_finite():
    shares = torch.tensor([0.2, 0.75], dtype=DOUBLE)
    torch.testing.assert_close(divergence(torch.logit(shares), shares), torch.zeros(2, dtype=DOUBLE))
    far = torch.tensor([-1e4, 1e4], requires_grad=True)
    losses = divergence(far, torch.tensor([1.0, 0.0]))
    losses.sum().backward()
    assert losses.tolist() == [1e4, 1e4]
    assert far.grad.tolist() == [-1.0, 1.0]


def test_bgan_judges_the_mean_answer_and_mbgan_the_mean_of_the_judgements():
    logits, shares = torch.tensor([1.0, -1.0, 3.0, 3.0]), torch.tensor([0.5, 1.0])
    torch.testing.assert_close(bgan(logits, shares), divergence(torch.tensor([0.0, 3.0]), shares))
    rows = divergence(logits, torch.tensor([0.5, 0.5, 1.0, 1.0]))
    torch.testing.assert_close(mbgan(logits, shares), rows.view(2, 2).mean(dim=1))
