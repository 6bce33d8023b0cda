"""Near-duplicates: clips with the same content, even if re-encoded or brighter, found by perceptual signatures.

A signature is a few frames as coarse grey thumbnails. The mean of all signatures, such as a common background, is
subtracted before they are compared.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames, Signature, Split

FRAMES, GRID = 5, 8  # of a signature: frames, and cells per side
LENGTH = FRAMES * GRID * GRID
WEIGHTS = np.array([77, 150, 29], np.uint32)  # of red, green and blue in grey; the sum is 256

# Measured distances of drawn and of filmed clips: at least 0.188 of different ones, at most 0.12 of re-encoded ones.
NEAR = 0.18
FAINT = 2.0  # grey levels; lower contrast is not amplified, so blank clips are similar
ALIKE = 0.3  # of a clip's contrast; clips that differ less from the mean of all are similar
STEADY = 10  # clips; with fewer, the mean is mostly their own content, so less of it is subtracted
CHUNK_DISTANCES = 16_000_000  # distances in memory at a time
ROWS, COLUMNS = 1024, 4096  # block of distances in memory when all are compared
ROUNDING = 1e-3  # of a float32

TRAINED: Split = "train"
UNSEEN: tuple[Split, ...] = ("val", "test", "test_pairs", "test_words")  # splits of unseen clips

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class NearPair(NamedTuple):
    """Two rows and their distance: 0 for equal signatures, about 1.4 for unrelated ones."""

    one: int
    other: int
    distance: float


class Leak(NamedTuple):
    """The clips of a split, and those of them with a near-duplicate in train."""

    clips: int
    near: int


def compute_signature(frames: Frames) -> NDArray[np.uint8]:
    """The signature of a clip uint8 [T,H,W,3]: [LENGTH]. Integer arithmetic, so equal on every machine."""
    count, height, width, _ = frames.shape
    chosen = [int((index + 0.5) * count / FRAMES) for index in range(FRAMES)]
    grey = frames[chosen].astype(np.uint32) @ WEIGHTS  # [FRAMES,H,W]
    rows, columns = (np.arange(GRID) * side // GRID for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)  # [FRAMES,GRID,GRID]
    down, across = (np.maximum(np.diff(np.append(at, side)), 1) for at, side in ((rows, height), (columns, width)))
    cells: NDArray[np.uint8] = (sums // (down[:, None] * across * 256)).astype(np.uint8)
    return cells.ravel()


def compare_signatures(signatures: NDArray[np.uint8]) -> Floats:
    """Signatures [N,LENGTH] as points [N,LENGTH]; those of near-duplicates are at most NEAR apart."""
    points = signatures.astype(np.float32)
    if not len(points):
        return points
    points -= points.mean(axis=1, keepdims=True)
    points /= np.maximum(points.std(axis=1, keepdims=True), FAINT)
    points -= points.mean(axis=0) * (len(points) / (len(points) + STEADY))
    points /= np.maximum(points.std(axis=1, keepdims=True), ALIKE) * np.sqrt(LENGTH, dtype=np.float32)
    return points


def find_nearest_points(asked: Floats, base: Floats) -> tuple[Ints, Floats]:
    """For each point of `asked` the nearest row of `base`, and its distance."""
    rows, distances = np.zeros(len(asked), np.int64), np.full(len(asked), np.inf, np.float32)
    for start, squares in _measure_squares(asked, base):
        part = slice(start, start + len(squares))
        rows[part] = squares.argmin(axis=1)
        distances[part] = np.sqrt(np.maximum(squares.min(axis=1), 0))
    return rows, distances


def find_sets(points: Floats) -> list[list[int]]:
    """The rows of each set of near-duplicates, which may be a chain of them; a row without any is in none.

    Near points are near along any axis: in their order along the main one each is compared with the few that follow.
    """
    along = points @ np.linalg.eigh(points.T @ points)[1][:, -1]
    order = np.argsort(along, kind="stable")
    points, along = points[order], along[order]
    above = np.arange(len(points))
    for start in range(0, len(points), ROWS):
        rows = points[start : start + ROWS]
        stop = int(np.searchsorted(along, along[start + len(rows) - 1] + NEAR + ROUNDING))
        for left in range(start, stop, COLUMNS):
            columns = points[left : min(left + COLUMNS, stop)]
            if (np.append(above[start : start + len(rows)], above[left : left + len(columns)]) == above[start]).all():
                continue  # all are in one set already
            squares = (rows**2).sum(axis=1)[:, None] - 2 * (rows @ columns.T) + (columns**2).sum(axis=1)
            _join_near(above, squares <= NEAR**2, start, left)
    sets: dict[int, list[int]] = {}
    for row, name in sorted(zip(order.tolist(), above.tolist(), strict=True)):
        sets.setdefault(name, []).append(row)
    return [rows for rows in sets.values() if len(rows) > 1]


def _join_near(above: Ints, near: NDArray[np.bool_], start: int, left: int) -> None:
    """Join the sets of rows and columns that are near; `above` holds the first member of the set of each point."""
    some = np.flatnonzero(near.any(axis=0))
    _join(above, start + near[:, some].argmax(axis=0), left + some)  # of a large set that leaves hardly any pair
    ones, others = np.nonzero(near)
    _join(above, start + ones, left + others)


def _join(above: Ints, ones: Ints, others: Ints) -> None:
    parted = above[ones] != above[others]
    for one, other in zip(ones[parted].tolist(), others[parted].tolist(), strict=True):
        low, high = sorted((_find_first(above, one), _find_first(above, other)))
        above[high] = low
    if parted.any():
        while (above != above[above]).any():
            above[:] = above[above]


def _find_first(above: Ints, point: int) -> int:
    while (higher := int(above[point])) != point:
        above[point] = above[higher]
        point = higher
    return point


def find_leaks(signatures: Sequence[Signature], splits: Mapping[str, Split]) -> list[NearPair]:
    """Each row of an unseen split that has a near-duplicate in train, with the nearest; the nearest pairs first.

    `splits` are those of the ids; a row without one counts for the mean of all alone.
    """
    points = compare_signatures(decode_signatures(signatures))
    split_of = [splits.get(signature.id, "") for signature in signatures]
    train = np.array([row for row, split in enumerate(split_of) if split == TRAINED], np.int64)
    unseen = np.array([row for row, split in enumerate(split_of) if split in UNSEEN], np.int64)
    rows, distances = find_nearest_points(points[unseen], points[train])
    near = np.flatnonzero(distances <= NEAR)
    pairs = [NearPair(int(unseen[at]), int(train[rows[at]]), float(distances[at])) for at in near]
    return sorted(pairs, key=lambda pair: (pair.distance, pair))


def count_leaks(
    pairs: Sequence[NearPair], signatures: Sequence[Signature], splits: Mapping[str, Split]
) -> dict[Split, Leak]:
    """For each non-empty unseen split, how many of its clips have a near-duplicate in train, from `find_leaks`."""
    near = {signatures[pair.one].id for pair in pairs}
    ids = {split: {row.id for row in signatures if splits.get(row.id) == split} for split in UNSEEN}
    return {split: Leak(len(own), len(own & near)) for split, own in ids.items() if own}


def describe_leaks(leaks: Mapping[Split, Leak]) -> str:
    """The counts as a sentence; empty if no clip has a near-duplicate."""
    some = {split: leak for split, leak in leaks.items() if leak.near}
    detail = ", ".join(f"{leak.near} of {leak.clips} clips of {split}" for split, leak in some.items())
    return detail and f"{detail} have a near-duplicate in {TRAINED}"


def encode_signature(signature: NDArray[np.uint8]) -> str:
    """A signature as text."""
    return base64.b64encode(signature.tobytes()).decode()


def decode_signatures(signatures: Sequence[Signature]) -> NDArray[np.uint8]:
    """Signatures from text: uint8 [N,LENGTH]."""
    data = b"".join(base64.b64decode(signature.grey) for signature in signatures)
    return np.frombuffer(data, np.uint8).reshape(-1, LENGTH)


def _measure_squares(asked: Floats, base: Floats) -> Iterator[tuple[int, Floats]]:
    """Squared distances |a|^2 - 2 ab + |b|^2 in blocks [n,N], each with the row of its first point."""
    if not len(base):
        return
    lengths = (base**2).sum(axis=1)
    step = max(CHUNK_DISTANCES // len(base), 1)
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        yield start, (part**2).sum(axis=1)[:, None] - 2 * (part @ base.T) + lengths
