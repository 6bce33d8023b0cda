"""Both ways of searching find the same nearest rows, also among near copies far from the origin."""

import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pipeline.errors import UserError
from pipeline.evaluation import memorisation as search
from pipeline.evaluation.memorisation import find_nearest_rows

RNG = np.random.default_rng(4)
BASE = 1000 + RNG.normal(size=(400, 50))
ASKED = np.concatenate((BASE[::7] + RNG.normal(0, 1e-3, (58, 50)), 1000 + RNG.normal(size=(40, 50))))


@pytest.mark.parametrize("by", ["numpy", "faiss"])
def test_the_nearest_row_is_that_of_the_whole_table_of_distances(by, monkeypatch):
    if by == "faiss":
        pytest.importorskip("faiss", reason="the extra faiss is not installed")
    monkeypatch.setattr(search, "CHUNK_DISTANCES", 1000)  # several parts
    table = cdist(ASKED, BASE)
    rows, distances = find_nearest_rows(ASKED, BASE, by)
    assert rows.tolist() == table.argmin(axis=1).tolist()
    np.testing.assert_allclose(distances, table.min(axis=1), rtol=1e-9)


def test_fewer_rows_than_candidates_are_enough_for_faiss():
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    assert find_nearest_rows(ASKED[:3], BASE[:1], "faiss")[0].tolist() == [0, 0, 0]


def test_without_faiss_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        UserError, match=r"evaluate\.search: faiss is not installed; pip install -c constraints\.txt -e '\.\[faiss\]'"
    ):
        find_nearest_rows(ASKED, BASE, "faiss")
