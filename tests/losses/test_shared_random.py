"""Shared random numbers: a row's numbers are the same however many processes share the batch."""

import torch

from pipeline.losses import SharedRng

CPU = torch.device("cpu")


def drawn(share):
    torch.manual_seed(4)
    rng = SharedRng(6, share, CPU)
    return [rng.uniform(2), rng.normal(3, 1), rng.uniform()]


def test_shares_put_together_are_what_one_process_draws():
    parts = [drawn(slice(first, first + 2)) for first in (0, 2, 4)]
    for place, whole in enumerate(drawn(slice(0, 6))):
        assert torch.equal(torch.cat([part[place] for part in parts]), whole)


def test_uniform_and_normal_draws_have_the_moments_of_their_laws():
    torch.manual_seed(4)
    rng = SharedRng(40_000, slice(0, 40_000), CPU)
    uniform, normal = rng.uniform(), rng.normal()
    assert (uniform.min() >= 0).item()
    assert (uniform.max() <= 1).item()
    expected = torch.tensor([1 / 2, 1 / 12, 0.0, 1.0])
    found = torch.stack((uniform.mean(), uniform.var(), normal.mean(), normal.var()))
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
