"""Reads and writes shard files, Parquet and NPZ; frames stored contiguously are memory-mapped."""

import json
import mmap
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.records import Frames

GROUP_BYTES = 4 * 2**20  # of frames in a Parquet row group: other programs read a whole group to get one clip
VARIABLE = {pa.binary(), pa.large_binary(), pa.binary_view(), pa.string(), pa.large_string(), pa.string_view()}
MEMBER = "frames.npy"
LOCAL_HEADER = 30  # bytes before a member's name; the last four are the lengths of name and extra field


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Consecutive clips that are loaded together: a whole mapped file, or one Parquet row group."""

    starts: NDArray[np.int64]  # offset of the T*H*W*3 bytes of each clip in the loaded bytes
    load: Callable[[], memoryview]  # raises the errors of reading a damaged file
    mapped: bool  # memory-mapped, so not in the cache


@dataclass(frozen=True, slots=True)
class OpenShard:
    """The ids and captions of one shard, and its groups in row order."""

    ids: list[str]
    captions: list[str]
    groups: list[RowGroup]


def write_npz(path: Path, ids: Sequence[str], captions: Sequence[str], frames: Sequence[Frames]) -> None:
    """The arrays `id` and `caption` and uint8 `frames` [N,T,H,W,3]; equal clips give equal bytes."""
    np.savez(path, id=np.array(ids), caption=np.array(captions), frames=np.stack(frames))


def open_npz(path: Path, shape: tuple[int, ...]) -> OpenShard:
    """Open a shard of any writer; a compressed one is loaded whole if any of its clips is needed."""
    with np.load(path, allow_pickle=False) as file:
        ids, captions = file["id"].tolist(), file["caption"].tolist()
    with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        stored_shape, by_column, kind = read_header(member)
        header, entry = member.tell(), archive.getinfo(MEMBER)
    if kind != np.uint8 or stored_shape[1:] != shape:
        raise ValueError(f"its frames are {kind} {stored_shape[1:]}")
    starts = np.arange(stored_shape[0]) * int(np.prod(shape))
    if by_column or entry.compress_type != zipfile.ZIP_STORED:
        return OpenShard(ids, captions, [RowGroup(starts, partial(_read_member, path), mapped=False)])
    starts += _find_data_start(path, entry.header_offset) + header
    return OpenShard(ids, captions, [RowGroup(starts, partial(_map_file, path), mapped=True)])


def write_parquet(path: Path, ids: Sequence[str], captions: Sequence[str], frames: Sequence[Frames]) -> None:
    """Write one row per clip; equal clips give equal bytes.

    Row groups have GROUP_BYTES and the minimum and maximum id, so that a lookup by id reads one group. The frames of a
    group are one plain page, so that they can be memory-mapped. Raises ValueError if clips differ in shape.
    """
    shape = frames[0].shape
    if any(clip.shape != shape for clip in frames):
        raise ValueError("all clips of a shard must have the same shape")
    width = int(np.prod(shape))
    rows = max(1, GROUP_BYTES // width)
    schema = pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("caption", pa.string(), nullable=False),
            pa.field("frames", pa.binary(width), nullable=False),
        ],
        metadata={"shape": json.dumps(shape), "dtype": "uint8", "layout": "T,H,W,C"},
    )
    with pq.ParquetWriter(
        path,
        schema,
        compression="none",
        use_dictionary=False,
        write_statistics=["id"],
        data_page_size=rows * width + 1,
        write_batch_size=rows,
    ) as file:
        for start in range(0, len(frames), rows):
            part = slice(start, start + rows)
            data = pa.py_buffer(np.stack(frames[part]))
            column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(ids[part]), [None, data])
            file.write_table(
                pa.table([pa.array(ids[part], pa.string()), pa.array(captions[part], pa.string()), column], schema)
            )


def open_parquet(path: Path, shape: tuple[int, ...]) -> OpenShard:
    """Open a shard of any writer, whose frames are binary values of T*H*W*3 bytes in any layout."""
    width = int(np.prod(shape))
    with pq.ParquetFile(path, pre_buffer=False) as file:  # for these few bytes, prefetching is slower
        names = file.read(["id", "caption"], use_threads=False)
        column = file.schema_arrow.get_field_index("frames")
        if column < 0 or not _is_binary(file.schema_arrow.field(column).type, width):
            raise ValueError(f"no column `frames` of {width} bytes per clip")
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        starts = _find_mapped_starts(
            path, file.metadata, [(group.num_rows, group.column(column)) for group in groups], width
        )
    if starts is not None:
        parts = [RowGroup(starts, partial(_map_file, path), mapped=True)]
    else:
        parts = [
            RowGroup(
                np.arange(group.num_rows) * width,
                partial(_read_group, path, number, group.num_rows, width),
                mapped=False,
            )
            for number, group in enumerate(groups)
        ]
    return OpenShard(_read_texts(names["id"]), _read_texts(names["caption"]), parts)


def _read_member(path: Path) -> memoryview:
    with np.load(path, allow_pickle=False) as file:
        return memoryview(file["frames"].reshape(-1))


def _find_data_start(path: Path, header_offset: int) -> int:
    with path.open("rb") as file:
        file.seek(header_offset)
        header = file.read(LOCAL_HEADER)
    return (
        header_offset + LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    )


def _is_binary(kind: pa.DataType, width: int) -> bool:
    """Whether a type can hold frames: many writers have no fixed-width binary, and some only text."""
    return kind == pa.binary(width) or kind in VARIABLE


def _read_texts(column: pa.ChunkedArray) -> list[str]:
    """The cells as text; some writers declare it as bytes."""
    texts: list[str] = column.cast(pa.large_string()).to_pylist()
    return texts


def _read_group(path: Path, group: int, rows: int, width: int) -> memoryview:
    """The frames of one row group, loaded into memory."""
    with pq.ParquetFile(path) as file:
        column = file.read_row_group(group, columns=["frames"])["frames"]
    if column.null_count or len(column) != rows:
        raise ValueError(f"{column.null_count + rows - len(column)} clips without frames")
    if column.type != pa.binary(width):
        column = column.cast(pa.large_binary()).cast(pa.binary(width))
    column = column.combine_chunks()
    return memoryview(column.buffers()[1]).cast("B")[column.offset * width : (column.offset + len(column)) * width]


def _find_mapped_starts(
    path: Path, metadata: pq.FileMetaData, chunks: Sequence[tuple[int, pq.ColumnChunkMetaData]], width: int
) -> NDArray[np.int64] | None:
    """The offset of each clip in the file; None if any clip is not stored as plain bytes.

    They are if `write_parquet` wrote the file: the frames of each row group are one plain page. It is also verified
    that Arrow reads the same bytes for the first clip. Chunks are those of the frames, with their numbers of rows.
    """
    starts = [np.empty(0, np.int64)]
    with path.open("rb", buffering=0) as file:
        for rows, chunk in chunks:
            start = _find_plain_start(file.fileno(), chunk, rows * width)
            if start is None:
                return None
            starts.append(start + np.arange(rows) * width)
    found = np.concatenate(starts)
    if not len(found):
        return None
    with pq.ParquetFile(path, metadata=metadata, memory_map=True) as mapped:  # else the whole row group would be read
        first = next(mapped.iter_batches(1, [0], ["frames"], use_threads=False), None)
    if not first:  # although the metadata lists rows
        return None
    return found if first.column(0)[0].as_py() == bytes(_map_file(path)[found[0] : found[0] + width]) else None


def _find_plain_start(file: int, chunk: pq.ColumnChunkMetaData, length: int) -> int | None:
    """The offset of the values of a column chunk if they are one plain page of `length` bytes, else None."""
    plain = chunk.compression == "UNCOMPRESSED" and {*chunk.encodings} <= {"PLAIN", "RLE"}  # RLE encodes the levels
    if not plain or _read_page_bytes(file, chunk.data_page_offset) != length:
        return None
    start: int = chunk.data_page_offset + chunk.total_compressed_size - length
    return start


def _read_page_bytes(file: int, offset: int) -> int | None:
    """The stored size of the data page (version 1) whose header is at `offset`; None for other page types.

    The header is a Thrift struct that starts with three numbers: type (0 is a data page), size and stored size.
    """
    head = iter(os.pread(file, 64, offset))
    kind, _, stored = (_read_thrift_number(head) for _ in range(3))
    return stored if kind == 0 else None


def _read_thrift_number(head: Iterator[int]) -> int | None:
    """The next field if it is an i32 with a field id one higher: zigzag varint; else None."""
    if next(head, None) != 0x15:
        return None
    value = shift = 0
    for byte in head:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value >> 1


def _map_file(path: Path) -> memoryview:
    """Memory-map a file, read-only."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
