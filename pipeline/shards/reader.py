"""All clips of a folder of shards, read in any order with bounded memory."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.records import Frames
from pipeline.shards.folder import INDEX, WAY_OUT, Shard, present, read_index, require_digests
from pipeline.shards.formats import OpenShard, Piece, open_npz, open_parquet

MAPPED_AT_ONCE = 512  # files: each mapping keeps its file open, and systems allow 1,024 of them and less
HELD_BYTES = 256 * 2**20  # of frames that cannot be mapped

Rows = Sequence[int] | NDArray[np.int64]


class ShardReader:
    """The clips of a folder in row order (sorted id), without loading them.

    `ids` and `captions` are lists with an entry per row; `shape` is (T, H, W, 3); `mapped` says whether any order
    of rows is read equally fast. Raises UserError where the folder is not whole or a shard is not what the index
    says. Shards of this project's writers are mapped in place; of
    others (compressed, several row groups) at most HELD_BYTES stay in memory, or one row group if it is larger.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        self.shape = index.shape
        self.ids: list[str] = []
        self.captions: list[str] = []
        self._folder, self._shards = folder, index.shards
        self._pieces: list[tuple[Path, Piece]] = []
        for shard in index.shards:
            opened = _open_shard(folder / shard.file, shard, self.shape)
            self.ids += opened.ids
            self.captions += opened.captions
            self._pieces += [(folder / shard.file, piece) for piece in opened.pieces]
        self._starts = np.cumsum([0] + [piece.clips for _, piece in self._pieces])
        self.mapped = all(piece.mapped for _, piece in self._pieces)
        loaded = [piece.clips for _, piece in self._pieces if not piece.mapped]
        self._clip_bytes = int(np.prod(self.shape))
        most = HELD_BYTES // (max(loaded) * self._clip_bytes) if loaded else MAPPED_AT_ONCE
        self._held = min(MAPPED_AT_ONCE, max(1, most))
        self._bring = lru_cache(self._held)(self._bring_piece)

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, rows: Rows) -> Frames:
        """Copy the clips at `rows` into a new uint8 array [len(rows),T,H,W,3]."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} clips")
        batch = np.empty((len(rows), *self.shape), np.uint8)
        into, width = batch.reshape(-1).data, self._clip_bytes
        pieces = self._piece_of(rows)
        numbers, starts = pieces.tolist(), ((rows - self._starts[pieces]) * width).tolist()
        for place in self._turns(pieces):
            start = starts[place]
            into[place * width : (place + 1) * width] = self._bring(numbers[place])[start : start + width]
        return batch

    def shuffled(self, rows: Rows, seed: int | Sequence[int]) -> NDArray[np.int64]:
        """`rows` in a random order that `frames` reads fast from front to back, whole batches at a time.

        Where all shards are mapped, every order is alike. Otherwise it is that of a shuffle buffer: pieces in random
        order, and the rows of as many as are held at once mixed with each other.
        """
        rng = np.random.default_rng(seed)
        rows = np.asarray(rows, np.int64)
        mixed = rng.permutation(rows)
        if self.mapped:
            return mixed
        buffer_of = rng.permutation(len(self._pieces)) // self._held
        return mixed[np.argsort(buffer_of[self._piece_of(mixed)], kind="stable")]

    def verify(self) -> None:
        """Read every shard once; raises UserError where its bytes are not those that were written."""
        require_digests(self._folder, self._shards)

    def _piece_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _turns(self, pieces: NDArray[np.int64]) -> Sequence[int]:
        """The order in which a batch is filled: from front to back, which is the fastest way into fresh memory.

        Where pieces have to be loaded, those of one together and in the order in which they are first needed: along
        `shuffled` each is then loaded once.
        """
        if self.mapped:
            return range(len(pieces))
        _, first, group = np.unique(pieces, return_index=True, return_inverse=True)
        turns: list[int] = np.argsort(first[group], kind="stable").tolist()
        return turns

    def _bring_piece(self, number: int) -> memoryview:
        """The bytes of its clips: slices of them are copied sooner, and faster, than rows of an array."""
        path, piece = self._pieces[number]
        with _named(path, self.shape):
            return piece.bring().reshape(-1).data


def _open_shard(path: Path, shard: Shard, shape: tuple[int, ...]) -> OpenShard:
    with _named(path, shape):
        opened = open_npz(path, shape) if path.suffix == ".npz" else open_parquet(path, shape)
    counts = {len(opened.ids), len(opened.captions), sum(piece.clips for piece in opened.pieces)}
    if counts != {shard.clips}:
        told = f"holds {max(counts)} clips where {INDEX} says {shard.clips}"
        raise UserError(f"{path}: {told}; {WAY_OUT}")
    return opened


@contextmanager
def _named(path: Path, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what a missing or damaged file raises into a UserError that names it."""
    with present(path):
        try:
            yield
        except FileNotFoundError:
            raise
        except (pa.ArrowException, zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError) as error:
            raise UserError(f"{path}: not a shard of frames {shape} ({error}); {WAY_OUT}") from None
