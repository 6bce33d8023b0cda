"""Shard files, Parquet and NPZ: written, and opened so that frames are mapped in place where they lie in one page."""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.records import Frames

MEMBER = "frames.npy"
LOCAL_HEADER = 30  # bytes before a member's name; the lengths of name and extra field are its last four


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Neighbouring clips that are loaded together: all of a mapped file, or one row group of Parquet."""

    clips: int
    load: Callable[[], Frames]  # -> uint8 [clips,T,H,W,3]; raises what reading a damaged file raises
    mapped: bool  # in place: costs no memory


@dataclass(frozen=True, slots=True)
class OpenShard:
    """What is known of one shard; its groups in row order."""

    ids: list[str]
    captions: list[str]
    groups: list[RowGroup]


def write_npz(path: Path, ids: Sequence[str], captions: Sequence[str], frames: Sequence[Frames]) -> None:
    """The arrays `id` and `caption` and uint8 `frames` [N,T,H,W,3]; equal clips give equal bytes."""
    np.savez(path, id=np.array(ids), caption=np.array(captions), frames=np.stack(frames))


def open_npz(path: Path, shape: tuple[int, ...]) -> OpenShard:
    """A shard of this or another writer; a compressed one is loaded whole when one of its clips is needed."""
    with np.load(path, allow_pickle=False) as file:
        ids, captions = file["id"].tolist(), file["caption"].tolist()
    with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        stored_shape, by_column, kind = read_header(member)
        header, entry = member.tell(), archive.getinfo(MEMBER)
    if kind != np.uint8 or stored_shape[1:] != shape:
        raise ValueError(f"its frames are {kind} {stored_shape[1:]}")
    if by_column or entry.compress_type != zipfile.ZIP_STORED:
        return OpenShard(ids, captions, [RowGroup(stored_shape[0], partial(_read_member, path), mapped=False)])
    start = _data_start(path, entry.header_offset) + header
    return OpenShard(
        ids, captions, [RowGroup(stored_shape[0], partial(_map_frames, path, start, stored_shape), mapped=True)]
    )


def write_parquet(path: Path, ids: Sequence[str], captions: Sequence[str], frames: Sequence[Frames]) -> None:
    """One row per clip; equal clips give equal bytes."""
    shape = frames[0].shape
    width = int(np.prod(shape))
    data = pa.py_buffer(np.stack(frames))
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


def open_parquet(path: Path, shape: tuple[int, ...]) -> OpenShard:
    """A shard of this or another writer, whose frames are binary values of T*H*W*3 bytes in any layout."""
    with pq.ParquetFile(path, memory_map=True) as file:
        names = file.read(columns=["id", "caption"])
        place = file.schema_arrow.get_field_index("frames")
        if place < 0 or not _is_binary(file.schema_arrow.field(place).type, int(np.prod(shape))):
            raise ValueError(f"no column `frames` of {int(np.prod(shape))} bytes per clip")
        start = _mapped_start(path, file, place, shape)
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    if start is not None:
        groups = [RowGroup(counts[0], partial(_map_frames, path, start, (counts[0], *shape)), mapped=True)]
    else:
        groups = [RowGroup(n, partial(_read_group, path, group, shape), mapped=False) for group, n in enumerate(counts)]
    return OpenShard(names["id"].to_pylist(), names["caption"].to_pylist(), groups)


def _read_member(path: Path) -> Frames:
    with np.load(path, allow_pickle=False) as file:
        frames: Frames = file["frames"]
    return frames


def _data_start(path: Path, header_offset: int) -> int:
    with path.open("rb") as file:
        file.seek(header_offset)
        header = file.read(LOCAL_HEADER)
    return (
        header_offset + LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    )


def _is_binary(kind: pa.DataType, width: int) -> bool:
    return kind in (pa.binary(width), pa.binary(), pa.large_binary())  # many writers know no fixed width


def _read_group(path: Path, group: int, shape: tuple[int, ...]) -> Frames:
    """The frames of one row group, [rows, *shape], in memory of their own."""
    width = int(np.prod(shape))
    with pq.ParquetFile(path) as file:
        column = file.read_row_group(group, columns=["frames"])["frames"].combine_chunks()
    if column.null_count:
        raise ValueError(f"{column.null_count} clips without frames")
    column = column.cast(pa.binary(width))
    flat = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :]
    return flat[: len(column) * width].reshape(-1, *shape)


def _mapped_start(path: Path, file: pq.ParquetFile, place: int, shape: tuple[int, ...]) -> int | None:
    """Where in the file the frames lie side by side, None where they do not.

    They do in what `write_parquet` writes: all values in one plain page. That Arrow reads the first clip from the
    same place is checked, too.
    """
    if file.num_row_groups != 1 or not file.metadata.num_rows:
        return None
    chunk = file.metadata.row_group(0).column(place)
    length = file.metadata.num_rows * int(np.prod(shape))
    if chunk.compression != "UNCOMPRESSED" or _page_bytes(path, chunk.data_page_offset) != length:
        return None
    start: int = chunk.data_page_offset + chunk.total_compressed_size - length
    first = next(file.iter_batches(1, columns=["frames"])).column(0)[0]
    return start if first.as_py() == _map_frames(path, start, shape).tobytes() else None


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


def _map_frames(path: Path, start: int, shape: tuple[int, ...]) -> Frames:
    """The bytes of a file from `start` on as a read-only array: only what is touched is read."""
    return np.asarray(np.memmap(path, np.uint8, "r", start, shape))
