"""NPZ shards: numpy stores arrays uncompressed in them, so they can be mapped as well."""

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.records import Frames
from pipeline.shards.pieces import OpenShard, Piece, map_frames

MEMBER = "frames.npy"
LOCAL_HEADER = 30  # bytes before a member's name; the lengths of name and extra field are its last four


def write_npz(path: Path, ids: Sequence[str], captions: Sequence[str], frames: Sequence[Frames]) -> None:
    """The arrays `id` and `caption` and uint8 `frames` [N,T,H,W,3]; equal clips give equal bytes."""
    np.savez(path, id=np.array(ids), caption=np.array(captions), frames=np.stack(frames))


def open_npz(path: Path, shape: tuple[int, ...]) -> OpenShard:
    """A shard of this or another writer; a compressed one is brought in whole when one of its clips is needed."""
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
        return OpenShard(ids, captions, [Piece(stored_shape[0], partial(_read_member, path), mapped=False)])
    start = _data_start(path, entry.header_offset) + header
    return OpenShard(
        ids, captions, [Piece(stored_shape[0], partial(map_frames, path, start, stored_shape), mapped=True)]
    )


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
