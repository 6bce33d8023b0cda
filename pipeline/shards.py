"""Shards of frames: written whole or not at all, read by mapping their pages in place.

A Parquet shard holds a clip per row: `id`, `caption`, and `frames` as one non-null `fixed_size_binary(T*H*W*3)`
column, uncompressed and in one page, so that its bytes lie in the file as `[N,T,H,W,3]` and any Parquet tool can
still read them. An NPZ shard holds the arrays `id`, `caption` and `frames`. `index.json` is written last: a folder
without it is not whole.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import digest_file, replacing, write_json
from pipeline.records import Frames

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """One line of the index."""

    file: str
    clips: int
    digest: str  # SHA-256


def write_shard(path: Path, rows: Sequence[tuple[str, str, Frames]]) -> Shard:
    """Write (id, caption, frames [T,H,W,3]) rows as one file; its ending, .parquet or .npz, chooses the format."""
    ids, captions = [row[0] for row in rows], [row[1] for row in rows]
    with replacing(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, id=np.array(ids), caption=np.array(captions), frames=np.stack([row[2] for row in rows]))
        else:
            _write_parquet(temporary, ids, captions, [row[2] for row in rows])
    return Shard(path.name, len(rows), digest_file(path))


def write_index(folder: Path, shape: tuple[int, int, int], shards: Iterable[Shard]) -> None:
    """Declare the folder whole: frames are [*shape, 3], shards in row order."""
    lines = [{"file": shard.file, "clips": shard.clips, "digest": shard.digest} for shard in shards]
    write_json(folder / INDEX, {"shape": [*shape, 3], "clips": sum(line["clips"] for line in lines), "shards": lines})


class ShardReader:
    """All clips of a folder of shards, in row order (sorted id), without loading them.

    `ids` and `captions` are lists; `reader.frames(rows)` copies chosen clips into a new uint8 [N,T,H,W,3].
    Raises UserError where the folder is not whole or a shard is not what the index says.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            self.shape: tuple[int, int, int, int] = tuple(index["shape"])
            lines = [(folder / line["file"], int(line["clips"])) for line in index["shards"]]
        except FileNotFoundError:
            raise UserError(
                f"{folder}: no {INDEX}, so its shards are not whole; `dvc repro transcode` makes them"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / INDEX}: not an index of shards ({error!r}); `dvc repro -f transcode`") from None
        self.ids: list[str] = []
        self.captions: list[str] = []
        self._parts: list[Frames] = []
        for path, clips in lines:
            ids, captions, frames = _open_shard(path, self.shape)
            if len(ids) != clips:
                raise UserError(f"{path}: holds {len(ids)} clips where {INDEX} says {clips}; `dvc repro -f transcode`")
            self.ids += ids
            self.captions += captions
            self._parts.append(frames)
        self._starts = np.cumsum([0] + [len(part) for part in self._parts])

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, rows: Sequence[int]) -> Frames:
        """Copy the clips at `rows` into a new uint8 array [len(rows),T,H,W,3]."""
        batch = np.empty((len(rows), *self.shape), np.uint8)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for place, (row, shard) in enumerate(zip(rows, shards, strict=True)):
            batch[place] = self._parts[shard][row - self._starts[shard]]
        return batch


def _write_parquet(path: Path, ids: list[str], captions: list[str], frames: list[Frames]) -> None:
    shape = frames[0].shape
    width = int(np.prod(shape))
    data = pa.py_buffer(np.ascontiguousarray(np.stack(frames)))
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(frames), [None, data])
    schema = pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("caption", pa.string(), nullable=False),
            pa.field("frames", pa.binary(width), nullable=False),
        ],
        metadata={"shape": json.dumps(shape), "dtype": "uint8", "layout": "T,H,W,C"},
    )
    pq.write_table(
        pa.table([pa.array(ids, pa.string()), pa.array(captions, pa.string()), column], schema=schema),
        path,
        row_group_size=len(frames),
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        data_page_size=len(frames) * width + 1,
        write_batch_size=len(frames),
        store_schema=True,
    )


def _open_shard(path: Path, shape: tuple[int, ...]) -> tuple[list[str], list[str], Frames]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                ids, captions, frames = file["id"].tolist(), file["caption"].tolist(), file["frames"]
        else:
            table = pq.read_table(path, columns=["id", "caption"])
            ids, captions = table["id"].to_pylist(), table["caption"].to_pylist()
            frames = _map_frames(path, len(ids), shape)
    except FileNotFoundError:
        raise UserError(f"{path}: the index names this shard, but it is gone; `dvc repro -f transcode`") from None
    except (pa.ArrowException, ValueError, KeyError, EOFError, OSError) as error:
        raise UserError(f"{path}: not a shard of frames {shape} ({error}); `dvc repro -f transcode`") from None
    if frames.shape[1:] != shape:
        raise UserError(f"{path}: frames are {frames.shape[1:]} where the index says {shape}; `dvc repro -f transcode`")
    return ids, captions, frames


def _map_frames(path: Path, rows: int, shape: tuple[int, ...]) -> Frames:
    """The `frames` column as a read-only map of the file, [rows, *shape].

    With one uncompressed page of a non-null column, the values are the last bytes of its column chunk. Any other
    layout (another writer's) is read through Arrow; so is a file whose first and last clip do not come out equal.
    """
    file = pq.ParquetFile(path)
    width = int(np.prod(shape))
    place = file.schema_arrow.get_field_index("frames")
    if place < 0 or file.schema_arrow.field(place).type != pa.binary(width):
        raise ValueError(f"no column `frames` of {width} bytes per clip")
    if file.num_row_groups == 1 and rows:
        chunk = file.metadata.row_group(0).column(place)
        start = chunk.data_page_offset + chunk.total_compressed_size - rows * width
        if chunk.compression == "UNCOMPRESSED" and chunk.data_page_offset <= start:
            mapped: Frames = np.memmap(path, np.uint8, "r", start, (rows, *shape))
            if _agrees(file, place, mapped):
                return mapped
    column = file.read(columns=["frames"])["frames"].combine_chunks()
    flat = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :]
    return flat[: rows * width].reshape(rows, *shape)


def _agrees(file: pq.ParquetFile, place: int, mapped: Frames) -> bool:
    """Whether Arrow reads the same first clip and the map ends inside the chunk with the same last clip."""
    first = next(file.iter_batches(1, columns=["frames"])).column(0)[0].as_py()
    chunk = file.metadata.row_group(0).column(place)
    header = chunk.total_compressed_size - mapped.size
    return bool(first == mapped[0].tobytes() and header < 64)  # a page header: a second page would need another
