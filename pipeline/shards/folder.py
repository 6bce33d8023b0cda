"""A folder of shards: each written whole or not at all, the index last."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files import digest_file, replacing, write_json
from pipeline.records import Frames
from pipeline.shards.npz import write_npz
from pipeline.shards.parquet import write_parquet

INDEX = "index.json"


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
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        frames, height, width, channels = map(int, index["shape"])
        shards = tuple(Shard(str(line["file"]), int(line["clips"]), str(line["digest"])) for line in index["shards"])
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder}: no {INDEX}, so its shards are not whole; `dvc repro transcode` makes them"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / INDEX}: not an index of shards ({error!r}); `dvc repro -f transcode`") from None
    return Index((frames, height, width, channels), shards)
