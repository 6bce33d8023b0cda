"""Bytes of a PNG, GIF, MP4, NPZ or page -> the provenance inside it, and the file without its signature.

A signature is a C2PA manifest. It stands in a chunk, extension or box of its own, so that without it a file has again
the bytes that were signed.
"""

import io
import json
import re
import struct
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.rendering.export import DAMAGED_NPZ, PAGE_ELEMENT
from pipeline.video.truncation import walk_boxes

PNG_HEADER = 8  # bytes
C2PA_BOX = UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
C2PA_EXTENSION = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
PAGE_FACTS = re.compile(rf'id="{PAGE_ELEMENT}">(.*?)</script>'.encode(), re.DOTALL)
COMMENT = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")  # where an MP4 has its comment
INNER = {b"meta": 4, b"data": 8}  # bytes of a box before what it holds
NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")  # each within the one before; the tables are in the last
TABLES = {b"stco": (4, ">I"), b"co64": (8, ">Q")}  # of an MP4: offsets of its chunks of samples

# What is raised for a file of which some bytes are not as they were; Pillow has SyntaxError for a broken PNG. A JSON
# text of many brackets ends in RecursionError, a RuntimeError.
UNREADABLE = (*DAMAGED_NPZ, OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError)


def read_facts(data: bytes, kind: str) -> dict[str, Any] | None:
    """What the file says of how it was made; None where it says nothing, or is no whole file of its kind."""
    try:
        text = _READERS[kind](data)
        facts = json.loads(text) if text else None
    except UNREADABLE:
        return None
    return facts if isinstance(facts, dict) else None


def strip_manifest(data: bytes, kind: str) -> bytes:
    """The file without a C2PA manifest; as it is where it has none."""
    return _STRIPPERS[kind](data) if kind in _STRIPPERS else data


def _read_picture(data: bytes) -> str | bytes | None:
    with Image.open(io.BytesIO(data)) as picture:
        text: str | bytes | None = picture.info.get("Comment") or picture.info.get("comment")
        return text


def _read_npz(data: bytes) -> str:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return str(archive["provenance"])


def _read_mp4(data: bytes) -> bytes | None:
    start, end = 0, len(data)
    for name in COMMENT:
        found = [(inner + INNER.get(name, 0), stop) for box, _, inner, stop in _boxes(data, start, end) if box == name]
        if not found:
            return None
        start, end = found[0]
    return data[start:end]


def _read_page(data: bytes) -> bytes | None:
    found = PAGE_FACTS.search(data)
    return found[1] if found else None


_READERS = {".png": _read_picture, ".gif": _read_picture, ".npz": _read_npz, ".mp4": _read_mp4, ".html": _read_page}


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Name, place, place of the contents and end of the boxes of an MP4 between two places."""
    for box in walk_boxes(io.BytesIO(data[start:end]), end - start):
        at = start + box.start
        yield box.name, at, at + box.header, min(at + box.size, end) if box.size else end


def _strip_png(data: bytes) -> bytes:
    kept, start = [data[:PNG_HEADER]], PNG_HEADER
    while start + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, start)
        if name != b"caBX":
            kept.append(data[start : start + length + 12])
        start += length + 12
    return b"".join([*kept, data[start:]])


def _strip_gif(data: bytes) -> bytes:
    start = data.find(C2PA_EXTENSION)
    if start < 0:
        return data
    end = start + len(C2PA_EXTENSION)
    while end < len(data) and data[end]:
        end += data[end] + 1
    return data[:start] + data[end + 1 :]


def _strip_mp4(data: bytes) -> bytes:
    for name, at, inner, stop in _boxes(data, 0, len(data)):
        if name == b"uuid" and data[inner : inner + 16] == C2PA_BOX:
            return _move_chunks(data[:at] + data[stop:], at, at - stop)
    return data


def _move_chunks(data: bytes, behind: int, by: int) -> bytes:
    """The MP4 with the offsets of its samples after `behind` moved by `by` bytes."""
    moved = bytearray(data)
    for name, start, end in _tables(data, 0, len(data)):
        width, code = TABLES[name]
        for at in range(start + 8, end - width + 1, width):  # after version, flags and count
            (place,) = struct.unpack_from(code, data, at)
            if place >= behind:
                struct.pack_into(code, moved, at, max(0, place + by))
    return bytes(moved)


def _tables(data: bytes, start: int, end: int, within: tuple[bytes, ...] = NESTED) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the contents and end of each table; boxes that are nested otherwise, however deep, have none."""
    for name, _, inner, stop in _boxes(data, start, end):
        if not within and name in TABLES:
            yield name, inner, stop
        elif name in within[:1]:
            yield from _tables(data, inner, stop, within[1:])


_STRIPPERS = {".png": _strip_png, ".gif": _strip_gif, ".mp4": _strip_mp4}
