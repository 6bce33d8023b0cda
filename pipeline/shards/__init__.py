"""Shards of frames: written atomically, read in random order by memory mapping, with bounded memory.

A Parquet shard has a row per clip: `id`, `caption`, and `frames` as a non-null `fixed_size_binary(T*H*W*3)` column,
uncompressed and in one page per row group, so that the bytes of a group are contiguous as `[N,T,H,W,3]` and any Parquet
tool can still read them. A group has about 4 MiB of frames, and statistics of its ids, so that a lookup by id reads no
other group. An NPZ shard holds the arrays `id`, `caption` and `frames`, also uncompressed. `index.json` is written
last: a folder without it is incomplete. Ids may be repeated: windows of one video share theirs.

Shards are checked against the digests in the index only on request, since that reads every byte.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError, describe_fault
from pipeline.files import STATES, atomic_write, digest_file, digest_value, lock_folder, read_json, write_json
from pipeline.records import Frames
from pipeline.shards.formats import OpenShard, RowGroup, open_npz, open_parquet, write_npz, write_parquet

INDEX = "index.json"
REMEDY = "`dvc repro transcode` restores it, or recreates it"

CHECKED = STATES.parent / "shards"  # records of verified shards, a folder for each set of shards
STAMPS = "stamps.json"

MAX_BYTES = 2**31  # of one clip
MAPPED_AT_ONCE = 512  # files: each mapping keeps its file open, and systems allow 1,024 or fewer
HELD_BYTES = 256 * 2**20  # of frames that cannot be mapped

Rows = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shard:
    """An entry of the index."""

    file: str
    clips: int
    digest: str  # SHA-256


@dataclass(frozen=True, slots=True)
class Index:
    """The content of `index.json`."""

    shape: tuple[int, int, int, int]  # T, H, W, 3
    shards: tuple[Shard, ...]


def write_shard(path: Path, rows: Sequence[tuple[str, str, Frames]]) -> Shard:
    """Write (id, caption, frames [T,H,W,3]) rows to a file; its extension, .parquet or .npz, selects the format."""
    write = write_npz if path.suffix == ".npz" else write_parquet
    with atomic_write(path) as temporary:
        write(temporary, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    return Shard(path.name, len(rows), digest_file(path))


def write_index(folder: Path, shape: tuple[int, int, int], shards: Iterable[Shard]) -> None:
    """Mark the folder as complete: frames are uint8 [*shape, 3], shards in row order."""
    lines = [{"file": shard.file, "clips": shard.clips, "digest": shard.digest} for shard in shards]
    write_json(folder / INDEX, {"shape": [*shape, 3], "clips": sum(line["clips"] for line in lines), "shards": lines})


def read_index(folder: Path) -> Index:
    """Read the index. Raises UserError if the folder is incomplete or the index is invalid."""
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{folder}: no {INDEX}, so its shards are not whole; `dvc repro transcode` creates them")
    index = read_json(path, "`dvc repro transcode` creates it")
    try:
        frames, height, width, channels = map(int, index["shape"])
        if not 0 < frames * height * width * channels < MAX_BYTES or min(frames, height, width) < 1:
            raise ValueError(f"clips of {index['shape']}")
        shards = tuple(Shard(str(line["file"]), int(line["clips"]), str(line["digest"])) for line in index["shards"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: not an index of shards ({describe_fault(error)}); `dvc repro -f transcode`") from None
    return Index((frames, height, width, channels), shards)


class ShardReader:
    """The clips of a folder in row order (sorted by id), without loading them.

    `ids` and `captions` are lists with an entry per row; `shape` is (T, H, W, 3); `mapped` tells whether all shards are
    memory-mapped, so that rows are read equally fast in any order. Shards written by this project are mapped; of others
    (compressed, several pages), at most HELD_BYTES are cached, or one row group if it is larger. Raises UserError if
    the folder is incomplete or a shard does not match the index.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        self.shape = index.shape
        self.ids: list[str] = []
        self.captions: list[str] = []
        self._folder, self._shards = folder, index.shards
        self._groups: list[tuple[Path, RowGroup]] = []
        for shard in index.shards:
            opened = _open_shard(folder / shard.file, shard, self.shape)
            self.ids += opened.ids
            self.captions += opened.captions
            self._groups += [(folder / shard.file, group) for group in opened.groups]
        self._first_rows = np.cumsum([0] + [len(group.starts) for _, group in self._groups])
        self._starts = np.concatenate([np.empty(0, np.int64), *(group.starts for _, group in self._groups)])
        self.mapped = all(group.mapped for _, group in self._groups)
        loaded = [len(group.starts) for _, group in self._groups if not group.mapped]
        self._clip_bytes = int(np.prod(self.shape))
        most = HELD_BYTES // (max(loaded) * self._clip_bytes) if loaded else MAPPED_AT_ONCE
        self._held = min(MAPPED_AT_ONCE, max(1, most))
        self._load = lru_cache(self._held)(self._load_group)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the cache: readers are pickled to other processes, such as the workers of a DataLoader."""
        return {name: value for name, value in self.__dict__.items() if name != "_load"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._load = lru_cache(self._held)(self._load_group)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Frames:
        """Copy one clip: uint8 [T,H,W,3]. With `len`, this makes the reader a dataset for torch's DataLoader."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} clips")
        # The overhead of `frames`, made for batches, exceeds the time to copy one clip.
        number, start = int(self._first_rows.searchsorted(row, side="right")) - 1, int(self._starts[row])
        clip = np.empty(self.shape, np.uint8)
        clip.reshape(-1).data[:] = self._load(number)[start : start + self._clip_bytes]
        return clip

    def __getitems__(self, rows: Sequence[int]) -> list[Frames]:
        """Copy several clips, as a DataLoader requests a batch."""
        return list(self.frames(rows))

    def frames(self, rows: Rows) -> Frames:
        """Copy the clips at `rows` into a new uint8 array [len(rows),T,H,W,3]."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} clips")
        batch = np.empty((len(rows), *self.shape), np.uint8)
        into, width = batch.reshape(-1).data, self._clip_bytes
        groups = self._find_groups(rows)
        numbers, starts = groups.tolist(), self._starts[rows].tolist()
        for index in self._order_filling(groups):
            start = starts[index]
            into[index * width : (index + 1) * width] = self._load(numbers[index])[start : start + width]
        return batch

    def shuffled(self, rows: Rows, seed: int | Sequence[int]) -> NDArray[np.int64]:
        """`rows` in a random order that `frames` can read fast, batch by batch.

        If all shards are mapped, it is uniform. Otherwise it is that of a shuffle buffer: groups in random order, and
        rows shuffled among as many groups as are cached at once.
        """
        rng = np.random.default_rng(seed)
        rows = np.asarray(rows, np.int64)
        mixed = rng.permutation(rows)
        if self.mapped:
            return mixed
        buffer_of = rng.permutation(len(self._groups)) // self._held
        return mixed[np.argsort(buffer_of[self._find_groups(mixed)], kind="stable")]

    def release(self) -> None:
        """Free the cache and the mapped pages; the reader remains usable."""
        self._load.cache_clear()

    def verify(self) -> None:
        """Read every shard once; raises UserError if its digest has changed."""
        _require_digests(self._folder, self._shards)

    def _find_groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._first_rows, rows, side="right") - 1

    def _order_filling(self, groups: NDArray[np.int64]) -> Sequence[int]:
        """The order in which a batch is filled: from front to back, which is the fastest for newly allocated memory.

        If groups must be loaded, rows are ordered by group, and groups by their first use: with the order of
        `shuffled`, each is then loaded once.
        """
        if self.mapped:
            return range(len(groups))
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        turns: list[int] = np.argsort(first[group], kind="stable").tolist()
        return turns

    def _load_group(self, number: int) -> memoryview:
        """The bytes of the clips of a group; slices of bytes are copied faster than rows of an array."""
        path, group = self._groups[number]
        with _refusing_damaged(path, self.shape):
            return group.load()


def _require_digests(folder: Path, shards: Sequence[Shard]) -> None:
    """Read whole shards, in parallel; raises UserError if one is missing or altered."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # hashing releases the GIL
    try:
        for shard, digest in zip(shards, pool.map(lambda shard: _digest(folder / shard.file), shards), strict=True):
            if digest != shard.digest:
                raise UserError(f"{folder / shard.file}: altered since it was written; {REMEDY}")
    finally:
        pool.shutdown(cancel_futures=True)


def require_unaltered(folder: Path, checked: Path = CHECKED) -> None:
    """Raises UserError if a shard of the folder is missing or was altered since it was written.

    Each is hashed only once; from then on its inode, size and modification time identify its content, as for DVC. They
    are stored in the folder `checked`. Of several processes, one reads and the others wait.
    """
    shards = read_index(folder).shards
    kept = checked / digest_value([shard.digest for shard in shards])[:16]
    with lock_folder(kept, wait=True):
        stamps, read = [_read_stamp(folder / shard.file) for shard in shards], _read_stamps(kept / STAMPS)
        if new := [shard for shard, stamp in zip(shards, stamps, strict=True) if read.get(stamp) != shard.digest]:
            _require_digests(folder, new)
            digests = [shard.digest for shard in shards]
            write_json(kept / STAMPS, dict(zip(stamps, digests, strict=True)))


def _open_shard(path: Path, shard: Shard, shape: tuple[int, ...]) -> OpenShard:
    with _refusing_damaged(path, shape):
        opened = open_npz(path, shape) if path.suffix == ".npz" else open_parquet(path, shape)
    counts = {len(opened.ids), len(opened.captions), sum(len(group.starts) for group in opened.groups)}
    if counts != {shard.clips}:
        detail = f"holds {max(counts)} clips where {INDEX} says {shard.clips}"
        raise UserError(f"{path}: {detail}; {REMEDY}")
    return opened


@contextmanager
def _refusing_damaged(path: Path, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn the errors of a missing or damaged file into a UserError that names it."""
    with _refusing_absent(path):
        try:
            yield
        except FileNotFoundError:
            raise
        except (pa.ArrowException, zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError) as error:
            raise UserError(f"{path}: not a shard of frames {shape} ({describe_fault(error)}); {REMEDY}") from None


@contextmanager
def _refusing_absent(path: Path) -> Iterator[None]:
    """Turn the errors of a file that cannot be read into a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: the index names this shard, but it is gone; {REMEDY}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None


def _digest(path: Path) -> str:
    with _refusing_absent(path):
        return digest_file(path)


def _read_stamp(path: Path) -> str:
    with _refusing_absent(path):
        status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _read_stamps(path: Path) -> dict[str, str]:
    with suppress(UserError, TypeError, ValueError):  # missing or damaged: all shards are read
        return dict(read_json(path, ""))
    return {}
