"""Changes to a file by its structure: boxes of MP4, elements of EBML, chunks of RIFF, lines and values of texts."""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

Way = Callable[[bytes, random.Random], bytes]
Part = tuple[int, int, int]  # where a part begins with its header, where its content begins, and where it ends

HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts", b"udta", b"LIST", b"RIFF"}
MASTERS = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0xA0}  # EBML: segment, info, tracks, cluster ...
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
    """A file that differs in one to four places."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_list_ways(data))(data, rng)
    return data


def _list_ways(data: bytes) -> list[Way]:
    of_all: list[Way] = [_flip, _cut, _write_number, _change_parts, _change_parts, _resize_part]
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
    """One part dropped, doubled, or put where another is."""
    parts = find_parts(data)
    if not parts:
        return data
    start, _, end = rng.choice(parts)
    other, _, _ = rng.choice(parts)
    match rng.randrange(3):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] + data[end:]
        case _:
            return data[:other] + data[start:end] + data[other:]


def _resize_part(data: bytes, rng: random.Random) -> bytes:
    """The content of one part is cut, and its header stays as it is; or the header says another length."""
    parts = find_parts(data)
    if not parts:
        return data
    start, content, end = rng.choice(parts)
    if rng.random() < 0.5:
        return data[: rng.randint(content, end)] + data[end:]
    header = _write_number(data[start:content], rng) if content > start else b""
    return data[:start] + header[: content - start] + data[content:]


def _change_value(data: bytes, rng: random.Random) -> bytes:
    """One value of JSON, of the whole file or of one of its lines, replaced by another or put deep into lists."""
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
    """The tree with one of its values replaced, or one key taken away."""
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(sorted(tree))
        kept = {name: value for name, value in tree.items() if name != key}
        return kept if rng.random() < 0.1 else {**kept, key: _replace(tree[key], rng)}
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        place = rng.randrange(len(tree))
        return [*tree[:place], _replace(tree[place], rng), *tree[place + 1 :]]
    return rng.choice(VALUES)


def find_parts(data: bytes) -> list[Part]:
    """The parts of a file of a known kind; lines of a text, else blocks of 64 bytes."""
    if data[4:8] in (b"ftyp", b"moov", b"styp"):
        return list(_walk_boxes(data, 0, len(data)))
    if data[:4] == b"\x1aE\xdf\xa3":
        return list(_walk_elements(data, 0, len(data)))
    if data[:4] == b"RIFF":
        return list(_walk_chunks(data, 0, len(data)))
    if b"\n" in data[:4096]:
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
        yield at, at + 8, at + 8 + size
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
