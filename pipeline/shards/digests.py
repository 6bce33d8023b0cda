"""Whether shards hold the bytes that their index names."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.shards.folder import Shard

WAY_OUT = "`dvc repro transcode` brings it back, or makes it anew"


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
