"""For each row of one table the nearest row of another, exactly: float64 [N,D] and [M,D]."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.params import SearchName

Table = NDArray[np.float64]  # one row per clip
Whole = NDArray[np.int64]
AT_ONCE = 4_000_000  # distances in memory
CANDIDATES = 4  # that faiss finds in float32; the nearest of them in float64 is the nearest of all


def nearest_rows(asked: Table, base: Table, by: SearchName) -> tuple[Whole, Table]:
    """The nearest row of `base` for each row of `asked` [N], and how far it is [N]."""
    rows = _by_faiss(asked, base) if by == "faiss" else _by_numpy(asked, base)
    distances: Table = np.linalg.norm(asked - base[rows], axis=1)
    return rows, distances


def _by_numpy(asked: Table, base: Table) -> Whole:
    """By products of matrices, |a - b|^2 being |a|^2 - 2 ab + |b|^2: several times as fast as pair by pair."""
    centre = base.mean(axis=0)  # near 0 the differences keep the digits that tell near rows apart
    asked, base = asked - centre, base - centre
    lengths = (base**2).sum(axis=1)
    step = max(AT_ONCE // len(base), 1)
    parts = [(lengths - 2 * (asked[at : at + step] @ base.T)).argmin(axis=1) for at in range(0, len(asked), step)]
    return np.concatenate(parts)


def _by_faiss(asked: Table, base: Table) -> Whole:
    """By a flat index in float32: at times faster still where there are many rows."""
    try:
        import faiss
    except ModuleNotFoundError:
        raise UserError("evaluate.search: faiss is not installed; pip install 't2v[faiss]', or say numpy") from None
    centre = base.mean(axis=0)  # float32 then keeps the digits that tell near rows apart
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(np.ascontiguousarray(base - centre, np.float32))
    _, found = index.search(np.ascontiguousarray(asked - centre, np.float32), min(CANDIDATES, len(base)))
    distances = np.linalg.norm(asked[:, None] - base[found], axis=2)
    nearest: Whole = found[np.arange(len(found)), distances.argmin(axis=1)]
    return nearest
