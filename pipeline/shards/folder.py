"""A folder of shards: each written whole or not at all, the index last, and checked against its digests."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, read_json, replacing, write_json
from pipeline.records import Frames
from pipeline.shards.formats import write_npz, write_parquet
from pipeline.state_folders import ROOT, held

INDEX = "index.json"

WAY_OUT = "`dvc repro transcode` brings it back, or makes it anew"

KNOWN = ROOT.parent / "shards"
STAMPS = "stamps.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """One line of the index."""

    file: str
    clips: int
    digest: str  # SHA-256


@dataclass(frozen=True, slots=True)
class Index:
    """What `index.json` says."""

    shape: tuple[int, int, int, int]  # T, H, W, 3
    shards: tuple[Shard, ...]


def write_shard(path: Path, rows: Sequence[tuple[str, str, Frames]]) -> Shard:
    """Write (id, caption, frames [T,H,W,3]) rows as one file; its ending, .parquet or .npz, chooses the format."""
    write = write_npz if path.suffix == ".npz" else write_parquet
    with replacing(path) as temporary:
        write(temporary, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    return Shard(path.name, len(rows), digest_file(path))


def write_index(folder: Path, shape: tuple[int, int, int], shards: Iterable[Shard]) -> None:
    """Declare the folder whole: frames are [*shape, 3], shards in row order."""
    lines = [{"file": shard.file, "clips": shard.clips, "digest": shard.digest} for shard in shards]
    write_json(folder / INDEX, {"shape": [*shape, 3], "clips": sum(line["clips"] for line in lines), "shards": lines})


def read_index(folder: Path) -> Index:
    """What `write_index` wrote. Raises UserError where the folder is not whole."""
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{folder}: no {INDEX}, so its shards are not whole; `dvc repro transcode` makes them")
    index = read_json(path, "`dvc repro transcode` makes it")
    try:
        frames, height, width, channels = map(int, index["shape"])
        shards = tuple(Shard(str(line["file"]), int(line["clips"]), str(line["digest"])) for line in index["shards"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not an index of shards ({error!r}); `dvc repro -f transcode`") from None
    return Index((frames, height, width, channels), shards)


def require_digests(folder: Path, shards: Sequence[Shard]) -> None:
    """Read shards whole, several at once; raises UserError where one is gone, cut off or altered."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # taking a digest leaves the other threads free
    try:
        for shard, digest in zip(shards, pool.map(lambda shard: _digest(folder / shard.file), shards), strict=True):
            if digest != shard.digest:
                raise UserError(f"{folder / shard.file}: altered since it was written; {WAY_OUT}")
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def present(path: Path) -> Iterator[None]:
    """Within it, a shard that cannot be read is a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: the index names this shard, but it is gone; {WAY_OUT}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {WAY_OUT}") from None


def _digest(path: Path) -> str:
    with present(path):
        return digest_file(path)


def require_unaltered(folder: Path, known: Path = KNOWN) -> None:
    """Raises UserError where a shard of the folder is gone, cut off or altered since it was written.

    Each is read whole only once. After that its number on the disk, its length and the time of its last change stand
    for its bytes, as they do for DVC; the folder `known` keeps them. Of several processes one reads, the others wait.
    """
    shards = read_index(folder).shards
    kept = known / digest_value([shard.digest for shard in shards])[:16]
    with held(kept, wait=True):
        stamps, read = [_stamp(folder / shard.file) for shard in shards], _stamps_of(kept / STAMPS)
        if new := [shard for shard, stamp in zip(shards, stamps, strict=True) if read.get(stamp) != shard.digest]:
            require_digests(folder, new)
            digests = [shard.digest for shard in shards]
            write_json(kept / STAMPS, dict(zip(stamps, digests, strict=True)))


def _stamp(path: Path) -> str:
    with present(path):
        status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _stamps_of(path: Path) -> dict[str, str]:
    with suppress(UserError, TypeError, ValueError):  # there are none yet, or they were cut off: all shards are read
        return dict(read_json(path, ""))
    return {}
