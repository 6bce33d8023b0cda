"""Shards of frames: written whole or not at all, read by mapping their pages in place.

A Parquet shard holds a clip per row: `id`, `caption`, and `frames` as one non-null `fixed_size_binary(T*H*W*3)`
column, uncompressed and in one page, so that its bytes lie in the file as `[N,T,H,W,3]` and any Parquet tool can
still read them. An NPZ shard holds the arrays `id`, `caption` and `frames`. `index.json` is written last: a folder
without it is not whole.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
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
            shards = [Shard(line["file"], int(line["clips"]), line["digest"]) for line in index["shards"]]
        except FileNotFoundError:
            raise UserError(
                f"{folder}: no {INDEX}, so its shards are not whole; `dvc repro transcode` makes them"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / INDEX}: not an index of shards ({error!r}); `dvc repro -f transcode`") from None
        self.ids: list[str] = []
        self.captions: list[str] = []
        self._parts: list[Frames] = []
        for shard in shards:
            path = folder / shard.file
            ids, captions, frames = _open_shard(path, self.shape)
            if len(ids) != shard.clips:
                told = f"holds {len(ids)} clips where {INDEX} says {shard.clips}"
                raise UserError(f"{path}: {told}; `dvc repro -f transcode`")
            self.ids += ids
            self.captions += captions
            self._parts.append(frames)
        self._starts = np.cumsum([0] + [len(part) for part in self._parts])
        self._folder, self._shards = folder, shards

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, rows: Sequence[int]) -> Frames:
        """Copy the clips at `rows` into a new uint8 array [len(rows),T,H,W,3]."""
        batch = np.empty((len(rows), *self.shape), np.uint8)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for place, (row, shard) in enumerate(zip(rows, shards, strict=True)):
            batch[place] = self._parts[shard][row - self._starts[shard]]
        return batch

    def verify(self) -> None:
        """Read every shard once; raises UserError where its bytes are not those that were written."""
        for shard in self._shards:
            path = self._folder / shard.file
            if digest_file(path) != shard.digest:
                raise UserError(f"{path}: altered since it was written; `dvc repro -f transcode`")


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
    except (pa.ArrowException, zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError) as error:
        raise UserError(f"{path}: not a shard of frames {shape} ({error}); `dvc repro -f transcode`") from None
    if frames.shape[1:] != shape:
        raise UserError(f"{path}: frames are {frames.shape[1:]} where the index says {shape}; `dvc repro -f transcode`")
    return ids, captions, frames


def _map_frames(path: Path, rows: int, shape: tuple[int, ...]) -> Frames:
    """The `frames` column as a read-only map of the file, [rows, *shape].

    That needs what `_write_parquet` writes: all values in one uncompressed page. Any other layout (another writer's)
    is read through Arrow, and so is a file whose first clip Arrow does not read from the same place.
    """
    with pq.ParquetFile(path, memory_map=True) as file:
        place = file.schema_arrow.get_field_index("frames")
        width = int(np.prod(shape))
        if place < 0 or file.schema_arrow.field(place).type != pa.binary(width):
            raise ValueError(f"no column `frames` of {width} bytes per clip")
        if file.num_row_groups == 1 and rows:
            chunk = file.metadata.row_group(0).column(place)
            start = chunk.data_page_offset + chunk.total_compressed_size - rows * width
            if chunk.compression == "UNCOMPRESSED" and _page_bytes(path, chunk.data_page_offset) == rows * width:
                mapped: Frames = np.memmap(path, np.uint8, "r", start, (rows, *shape))
                first = next(file.iter_batches(1, columns=["frames"])).column(0)[0]
                if first.as_py() == mapped[0].tobytes():
                    return mapped
        column = file.read(columns=["frames"])["frames"].combine_chunks()
    if column.null_count:
        raise ValueError(f"{column.null_count} clips without frames")
    flat = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :]
    return flat[: rows * width].reshape(rows, *shape)


def _page_bytes(path: Path, offset: int) -> int | None:
    """Stored bytes of the plain data page whose header is at `offset`; None for another kind of page.

    The header is a Thrift struct that opens with three numbers: kind (0 is a data page), size and stored size.
    """
    with path.open("rb") as file:
        file.seek(offset)
        head = iter(file.read(64))
    kind, _, stored = (_thrift_number(head) for _ in range(3))
    return stored if kind == 0 else None


def _thrift_number(head: Iterator[int]) -> int | None:
    """The next field, if it is a 32-bit number one field id on: zigzag, seven bits to a byte, lowest first."""
    if next(head, None) != 0x15:
        return None
    value = shift = 0
    for byte in head:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value >> 1
