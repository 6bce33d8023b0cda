"""Rendered files: their provenance, the validity of their seals, and differences between two files.

A PNG, GIF, MP4, NPZ or HTML page contains its provenance. It may be signed by a C2PA manifest in a separate chunk,
extension or box; removing that restores the original bytes.
"""

import io
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence, UnidentifiedImageError

from pipeline.errors import UserError, explain, naming
from pipeline.files import read_section
from pipeline.params import LimitParams
from pipeline.rendering.export import DAMAGED_NPZ, PAGE_ELEMENT, SEALED_ENDINGS, has_seal, unseal
from pipeline.video import DecodeError
from pipeline.video.pyav_decoder import PyavReader
from pipeline.video.truncation import walk_boxes

PNG_HEADER = 8  # bytes
C2PA_BOX = UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
C2PA_EXTENSION = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
PAGE_FACTS = re.compile(rf'id="{PAGE_ELEMENT}">(.*?)</script>'.encode(), re.DOTALL)
COMMENT = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")  # path of the comment in an MP4
INNER = {b"meta": 4, b"data": 8}  # bytes of a box before its contents
NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")  # nested boxes; the tables are in the last
TABLES = {b"stco": (4, ">I"), b"co64": (8, ">Q")}  # chunk offset tables of an MP4: entry size and format

# What is raised for damaged files; Pillow raises SyntaxError for a broken PNG, and deeply nested JSON raises
# RecursionError, a RuntimeError.
UNREADABLE = (*DAMAGED_NPZ, OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError)

SHORT = 12  # digits of a digest in messages
ENVIRONMENT = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "cpu": "instruction set",
    "onednn": "instruction set of oneDNN",
    "blas": "BLAS library",
    "threads": "threads",
}
NAMES = {
    "model": "model",
    "params": "params of the model",
    "runtime": "runtime",
    "code": "code",
    "encoder": "encoder",
    "version": "version",
}


def read_facts(data: bytes, kind: str) -> dict[str, Any] | None:
    """The provenance in a file; None if it has none or is damaged."""
    try:
        text = _READERS[kind](data)
        facts = json.loads(text) if text else None
    except UNREADABLE:
        return None
    return facts if isinstance(facts, dict) else None


def strip_manifest(data: bytes, kind: str) -> bytes:
    """The file without its C2PA manifest, if it has one."""
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
    """Name, start, start of the contents and end of the boxes of an MP4 between two offsets."""
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
    """The MP4 with its chunk offsets from `behind` on moved by `by` bytes."""
    moved = bytearray(data)
    for name, start, end in _tables(data, 0, len(data)):
        width, code = TABLES[name]
        for at in range(start + 8, end - width + 1, width):  # after version, flags and count
            (offset,) = struct.unpack_from(code, data, at)
            if offset >= behind:
                struct.pack_into(code, moved, at, max(0, offset + by))
    return bytes(moved)


def _tables(data: bytes, start: int, end: int, within: tuple[bytes, ...] = NESTED) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the contents and end of each chunk offset table; only boxes nested as in `within` are searched."""
    for name, _, inner, stop in _boxes(data, start, end):
        if not within and name in TABLES:
            yield name, inner, stop
        elif name in within[:1]:
            yield from _tables(data, inner, stop, within[1:])


_STRIPPERS = {".png": _strip_png, ".gif": _strip_gif, ".mp4": _strip_mp4}


@dataclass(frozen=True)
class Media:
    """A file that was read; `facts`, its provenance, are None if it has none."""

    path: Path
    kind: str  # its suffix, one of SEALED_ENDINGS
    data: bytes
    payload: bytes  # `data` without a signature
    facts: dict[str, Any] | None

    @property
    def is_signed(self) -> bool:
        return len(self.payload) < len(self.data)

    @property
    def has_seal(self) -> bool:
        return has_seal(self.payload, self.kind)

    @property
    def is_whole(self) -> bool:
        """Whether it has a valid seal."""
        return unseal(self.payload, self.kind) is not None

    def require_facts(self) -> dict[str, Any]:
        """The provenance. Raises UserError if the file has none."""
        if self.facts is None:
            raise UserError(f"{self.path}: has no provenance; another program wrote or rewrote it")
        return self.facts


def read_media(path: Path) -> Media:
    """Read a rendered file. Raises UserError if it does not exist, or has a type that this project does not write."""
    kind = path.suffix.lower()
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in SEALED_ENDINGS)
        named = f"name one of the files in it, such as {inside[0]}" if inside else ""
        absent = f"it has no {', '.join(SEALED_ENDINGS)} in it; name such a file"
        raise UserError(f"{path}: is a folder; {named or absent}")
    if kind not in SEALED_ENDINGS and path.exists():
        raise UserError(f"{path}: is not a type of file that is rendered here; those are {', '.join(SEALED_ENDINGS)}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    payload = strip_manifest(data, kind)
    return Media(path, kind, data, payload, read_facts(payload, kind))


def list_media(path: Path) -> list[Path]:
    """The file itself, or all files of SEALED_ENDINGS in a folder except hidden ones, sorted."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*") if file.suffix.lower() in SEALED_ENDINGS and file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def explain_facts(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The differences between the provenance of two files: model, code, data, torch, instruction set ..."""
    for key, name in NAMES.items():
        if recorded.get(key) != now.get(key):
            yield f"{name}: {_shorten(recorded.get(key))}, here {_shorten(now.get(key))}"
    for file in _list_differing(read_section(recorded, "data"), read_section(now, "data")):
        yield f"data: {file} differs"
    yield from explain_environment(read_section(recorded, "environment"), read_section(now, "environment"))


def explain_environment(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The differences between two environments, in the keys that the first one has."""
    for key, name in ENVIRONMENT.items():
        if key in recorded and recorded[key] != now.get(key):
            yield f"{name}: {recorded[key]}, here {now.get(key, 'not recorded')}"


def explain_pixels(one: Media, other: Media) -> Iterator[str]:
    """How the pixels of two files of the same type differ; empty if they are equal."""
    if one.kind == ".html":
        yield "the text of the page differs"
        return
    a, b = decode_media(one), decode_media(other)
    if a is None or b is None:
        yield "cannot be decoded"
    elif a.shape != b.shape:
        yield f"shape: {a.shape}, reproduced {b.shape}"
    elif (apart := np.abs(a.astype(np.int16) - b)).any():
        pixels = apart.max(axis=-1) > 0
        first = tuple(int(index) for index in np.argwhere(pixels)[0])
        share = f"{pixels.sum()} of {pixels.size} pixels differ, by {apart.max()} of 255 at most"
        yield f"{share}; the first at {', '.join(map(str, first))} of {', '.join(map(str, pixels.shape))}"


def decode_media(media: Media) -> NDArray[np.uint8] | None:
    """Its pixels, uint8, channels last: [H,W,3] of a PNG, else [T,H,W,3] or [N,T,H,W,3]; None if undecodable."""
    try:
        if media.kind == ".npz":
            with np.load(io.BytesIO(media.payload), allow_pickle=False) as archive:
                return np.asarray(archive["frames"], np.uint8)
        if media.kind == ".mp4":
            return _decode_film(media)
        with Image.open(io.BytesIO(media.payload)) as picture:
            frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]
        return frames[0] if media.kind == ".png" else np.stack(frames)
    except (*UNREADABLE, DecodeError) as error:
        if isinstance(error, OSError) and explain(error):  # an error of the machine, such as a full disk
            raise
        return None


def _decode_film(media: Media) -> NDArray[np.uint8]:
    most = LimitParams(frame_pixels=2**28, video_pixels=2**36, video_frames=2**16, seconds=600, memory_bytes=2**33)
    with TemporaryDirectory() as folder:
        path = Path(folder) / media.path.name
        with naming(path):
            path.write_bytes(media.payload)
        read = PyavReader(path, most).read(
            lambda timeline: range(len(timeline.timestamps)), lambda _: [("format", "gbrp")]
        )
    return np.stack([np.asarray(frame, np.uint8) for _, frame in sorted(read.frames.items())])


def _list_differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _shorten(value: Any) -> str:
    text = "not recorded" if value is None else str(value)
    return text[:SHORT] if len(text) == 64 else text
