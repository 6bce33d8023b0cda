"""For each row of one table the nearest row of another, exactly: float64 [N,D] and [M,D]."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pipeline.errors import UserError
from pipeline.params import SearchName

Table = NDArray[np.float64]  # one row per clip
Whole = NDArray[np.int64]
AT_ONCE = 1_000_000  # distances in memory
CANDIDATES = 4  # that faiss finds in float32; the nearest of them in float64 is the nearest of all


def nearest_rows(asked: Table, base: Table, by: SearchName) -> tuple[Whole, Table]:
    """The nearest row of `base` for each row of `asked` [N], and how far it is [N]."""
    rows = _by_faiss(asked, base) if by == "faiss" else _by_scipy(asked, base)
    distances: Table = np.linalg.norm(asked - base[rows], axis=1)
    return rows, distances


def _by_scipy(asked: Table, base: Table) -> Whole:
    step = max(AT_ONCE // len(base), 1)
    parts = [cdist(asked[at : at + step], base).argmin(axis=1) for at in range(0, len(asked), step)]
    return np.concatenate(parts)


def _by_faiss(asked: Table, base: Table) -> Whole:
    """A flat index in blocks of vector instructions: several times as fast where there are many rows."""
    try:
        import faiss
    except ModuleNotFoundError:
        raise UserError("evaluate.search: faiss is not installed; pip install 't2v[faiss]', or say scipy") from None
    centre = base.mean(axis=0)  # float32 then keeps the digits that tell near rows apart
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(np.ascontiguousarray(base - centre, np.float32))
    _, found = index.search(np.ascontiguousarray(asked - centre, np.float32), min(CANDIDATES, len(base)))
    distances = np.linalg.norm(asked[:, None] - base[found], axis=2)
    nearest: Whole = found[np.arange(len(found)), distances.argmin(axis=1)]
    return nearest
