"""Structure-aware mutations of files: boxes of MP4, elements of EBML, chunks of RIFF, lines and values of texts."""

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

Way = Callable[[bytes, random.Random], bytes]
Part = tuple[int, int, int]  # offsets of a part's header, content and end

EBML = b"\x1aE\xdf\xa3"
HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts", b"udta", b"LIST", b"RIFF"}
MASTERS = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0xA0}  # EBML: segment, info, tracks, cluster ...
MARKERS = {b"\0\0\1": b"\0\0\1", b"OggS": b"OggS"}  # start of a file -> start of each of its parts
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    float("nan"),
    "",
    "\0",
    "../x",
    "/etc",
    "a" * 70000,
    [],
    {},
    [[]],
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Apply one to four mutations."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(_list_ways(data))(data, rng)
    return data


def _list_ways(data: bytes) -> list[Way]:
    of_all: list[Way] = [_flip, _cut, _write_number, *[_change_parts] * 3, _resize_part, *[_change_start] * 3]
    of_values: list[Way] = [_change_value] * 6
    return of_all + of_values if data[:1] in (b"[", b"{") else of_all


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _write_number(data: bytes, rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    number = (rng.choice(NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("big", "little")))
    place = rng.randint(0, len(data))
    return data[:place] + number + data[place + width :]


def _change_parts(data: bytes, rng: random.Random) -> bytes:
    """Drop, duplicate or copy a part; mostly, lengths in enclosing headers are updated."""
    parts = find_parts(data)
    if not parts:
        return data
    start, _, end = rng.choice(parts)
    other, _, _ = rng.choice(parts)
    put = splice if rng.random() < 0.8 else _put
    match rng.randrange(3):
        case 0:
            return put(data, start, end, b"")
        case 1:
            return put(data, start, start, data[start:end])
        case _:
            return put(data, other, other, data[start:end])


def _put(data: bytes, start: int, end: int, new: bytes) -> bytes:
    return data[:start] + new + data[end:]


def splice(data: bytes, start: int, end: int, new: bytes) -> bytes:
    """Replace or insert bytes, and update the lengths in the headers of enclosing parts."""
    changed = bytearray(_put(data, start, end, new))
    for first, content, last in find_parts(data):
        if not (first < content <= start < last and end <= last):
            continue
        place, width, order = _find_length(data, first, content)
        length = int.from_bytes(data[place : place + width], order) + len(new) - (end - start)
        if 0 <= length < 1 << 8 * width:
            changed[place : place + width] = length.to_bytes(width, order)
    return bytes(changed)


def _find_length(data: bytes, start: int, content: int) -> tuple[int, int, Literal["big", "little"]]:
    """The offset, width and byte order of the length in a part's header."""
    if data[:4] == b"RIFF":
        return start + 4, 4, "little"
    if data[:4] == EBML:
        name_length = 9 - data[start].bit_length()
        return start + name_length, content - start - name_length, "big"
    return start, 4, "big"


def _change_start(data: bytes, rng: random.Random) -> bytes:
    """Change one to four bits, or a number, near the start of a part: in its header, or codec headers in it."""
    parts = find_parts(data)
    if not parts:
        return data
    start, _, end = rng.choice(parts)
    end = min(end, start + rng.choice((16, 64, 256)))
    changed = data[start:end]
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 4)):
            changed = _flip(changed, rng)
    else:
        changed = _write_number(changed, rng)[: end - start]
    return data[:start] + changed + data[end:]


def _resize_part(data: bytes, rng: random.Random) -> bytes:
    """Truncate the content of a part without updating its header, or change its header."""
    parts = find_parts(data)
    if not parts:
        return data
    start, content, end = rng.choice(parts)
    if rng.random() < 0.5:
        return data[: rng.randint(content, end)] + data[end:]
    header = _write_number(data[start:content], rng) if content > start else b""
    return data[:start] + header[: content - start] + data[content:]


def _change_value(data: bytes, rng: random.Random) -> bytes:
    """Replace one value of JSON, in the whole file or one of its lines, or nest it deeply."""
    with suppress(ValueError, RecursionError):
        lines = data.splitlines() or [b""]
        row = rng.randrange(len(lines))
        whole = len(lines) == 1 or rng.random() < 0.5
        tree = json.loads(data if whole else lines[row])
        changed = json.dumps(_replace(tree, rng)).encode()
        if rng.random() < 0.05:
            changed = b"[" * 5000 + changed + b"]" * 5000
        return changed if whole else b"\n".join([*lines[:row], changed, *lines[row + 1 :]])
    return data


def _replace(tree: Any, rng: random.Random) -> Any:
    """The tree with one value replaced, or one key removed."""
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(sorted(tree))
        kept = {name: value for name, value in tree.items() if name != key}
        return kept if rng.random() < 0.1 else {**kept, key: _replace(tree[key], rng)}
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        place = rng.randrange(len(tree))
        return [*tree[:place], _replace(tree[place], rng), *tree[place + 1 :]]
    return rng.choice(VALUES)


def find_parts(data: bytes) -> list[Part]:
    """The parts of a file, parents before children; for unknown formats, lines of text or blocks of 64 bytes."""
    if data[4:8] in (b"ftyp", b"moov", b"styp"):
        return list(_walk_boxes(data, 0, len(data)))
    if data[:4] == EBML:
        return list(_walk_elements(data, 0, len(data)))
    if data[:4] == b"RIFF":
        return list(_walk_chunks(data, 0, len(data)))
    if marker := next((marker for first, marker in MARKERS.items() if data.startswith(first)), None):
        starts = [found.start() for found in re.finditer(re.escape(marker), data)]
    elif data[:1] == b"G" and data[188:189] == b"G":
        starts = list(range(0, len(data), 188))
    elif b"\n" in data[:4096]:
        starts = [0, *(place + 1 for place, byte in enumerate(data) if byte == 10)]
    else:
        starts = list(range(0, len(data), 64))
    return [(start, start, end) for start, end in itertools.pairwise([*starts, len(data)]) if end > start]


def _walk_boxes(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4])
        if not 8 <= size <= end - at:
            return
        yield at, at + 8, at + size
        if data[at + 4 : at + 8] in HOLDERS:
            yield from _walk_boxes(data, at + 8, at + size)
        at += size


def _walk_chunks(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if size > end - at - 8:
            return
        yield at, at + 8, min(at + 8 + size + size % 2, end)  # with the padding byte
        if data[at : at + 4] in HOLDERS:
            yield from _walk_chunks(data, at + 12, at + 8 + size)
        at += 8 + size + size % 2


def _walk_elements(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 2 <= end and data[at]:
        name_length = 9 - data[at].bit_length()
        name = int.from_bytes(data[at : at + name_length])
        first = data[at + name_length] if at + name_length < end else 0
        if not first or name_length > 4:
            return
        size_length = 9 - first.bit_length()
        content = at + name_length + size_length
        size = int.from_bytes(data[at + name_length : content]) & (1 << 7 * size_length) - 1
        stop = end if size == (1 << 7 * size_length) - 1 else content + size
        if stop > end:
            return
        yield at, content, stop
        if name in MASTERS:
            yield from _walk_elements(data, content, stop)
        at = stop
