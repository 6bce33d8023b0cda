"""Samples -> a file in the format of its suffix, with its provenance inside, and sealed.

The seal at the end of a file is the digest of all its other bytes: it reveals changes without a reproduction of the
file. Readers of each format skip it. It does not prove the origin, since anyone can seal an altered file again; for
that there are signatures and reproduction.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.errors import UserError, describe_fault
from pipeline.files import atomic_write
from pipeline.records import Frames
from pipeline.rendering import Block, Row, Window, compose_grid, compose_sheet
from pipeline.video.ffmpeg import Codec, encode_frames

Provenance = dict[str, Any]  # JSON-serialisable

KEY = "Comment"  # of a PNG; in a GIF and an MP4 it is the comment, in an NPZ the array `provenance`
PAGE_ELEMENT = "t2v-provenance"  # the id of a script element with JSON

# Suffix -> the package on whose version the bytes of a file depend.
_ENCODERS = {".png": "pillow", ".gif": "imageio-ffmpeg", ".mp4": "imageio-ffmpeg", ".npz": "numpy"}
EXPORT_ENDINGS = tuple(_ENCODERS)

# What numpy raises for a damaged npz; RuntimeError: a member has an unknown compression method, or is encrypted.
DAMAGED_NPZ = (KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)

DIGITS = 64  # of a SHA-256 in hex


def _format_provenance(provenance: Provenance) -> str:
    """A line of JSON; equal values give equal text."""
    return json.dumps(provenance, sort_keys=True, ensure_ascii=False)


def check_ending(path: Path) -> None:
    """Raises UserError if `export_samples` cannot write this format; to be called before long work."""
    if path.suffix.lower() not in EXPORT_ENDINGS:
        raise UserError(
            f"{path}: cannot write {path.suffix or 'a file without an ending'}; use {', '.join(EXPORT_ENDINGS)}"
        )


def export_samples(rows: Sequence[Row], path: Path, *, scale: int, fps: int, provenance: Provenance) -> None:
    """Write samples atomically in the format of the suffix of `path`; equal samples give equal bytes.

    png: a sheet of film strips; gif, mp4: the animated grid; npz: `frames` uint8 [N,T,H,W,3] and their `labels`,
    `blocks` and `rows` (indices), in the order of rows, blocks and windows, and the `titles` of the rows.
    """
    check_ending(path)
    kind = path.suffix.lower()
    provenance = {**provenance, "encoder": f"{_ENCODERS[kind]} {version(_ENCODERS[kind])}"}
    with atomic_write(path) as temporary:
        if kind == ".png":
            _write_png(compose_sheet(rows, scale=scale), temporary, provenance)
        elif kind == ".npz":
            _write_npz(rows, temporary, provenance)
        else:
            codec: Codec = "gif" if kind == ".gif" else "h264"
            encode_frames(compose_grid(rows, scale=scale), temporary, fps=fps, codec=codec, metadata=provenance)
        temporary.write_bytes(seal(temporary.read_bytes(), kind))


def export_picture(picture: Frames, path: Path, provenance: Provenance) -> None:
    """Write uint8 [H,W,3] atomically as a sealed PNG."""
    with atomic_write(path) as temporary:
        _write_png(picture, temporary, provenance)
        temporary.write_bytes(seal(temporary.read_bytes(), ".png"))


def export_page(page: str, path: Path, provenance: Provenance) -> None:
    """Write a sealed HTML page atomically, with the provenance at the end of its body."""
    text = _format_provenance(provenance).replace("<", "\\u003c")  # no value can close the element
    element = f'<script type="application/json" id="{PAGE_ELEMENT}">{text}</script>\n'
    head, body, tail = page.rpartition("</body>")
    with atomic_write(path) as temporary:
        temporary.write_bytes(seal(f"{head}{element}{body}{tail}".encode(), ".html"))


def _write_png(picture: Frames, path: Path, provenance: Provenance) -> None:
    info = PngInfo()
    info.add_text(KEY, _format_provenance(provenance))
    Image.fromarray(picture).save(path, "PNG", pnginfo=info, optimize=True)


def _write_npz(rows: Sequence[Row], path: Path, provenance: Provenance) -> None:
    places = [
        (number, block.title, window)
        for number, row in enumerate(rows)
        for block in row.blocks
        for window in block.windows
    ]
    numbers, blocks, windows = zip(*places, strict=True)
    with path.open("wb") as file:  # given a name, numpy would append ".npz" to ".NPZ"
        np.savez_compressed(
            file,
            frames=np.stack([window.frames for window in windows]),
            labels=np.array([window.label for window in windows]),
            blocks=np.array(blocks),
            rows=np.array(numbers),
            titles=np.array([row.title for row in rows]),
            provenance=np.array(_format_provenance(provenance)),
        )


def read_samples(path: Path) -> list[Row]:
    """The rows that `export_samples` wrote as npz. Raises UserError if the file has none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            frames, numbers = file["frames"], file["rows"].tolist()
            blocks, labels, titles = (file[name].tolist() for name in ("blocks", "labels", "titles"))
    except DAMAGED_NPZ as error:
        raise UserError(f"{path}: holds no samples ({describe_fault(error)}); `dvc repro` recreates it") from None
    windows: dict[tuple[int, str], list[Window]] = {}
    for number, block, label, clip in zip(numbers, blocks, labels, frames, strict=True):
        windows.setdefault((number, block), []).append(Window(label, clip))
    return [
        Row(title, [Block(block, own) for (index, block), own in windows.items() if index == number])
        for number, title in enumerate(titles)
    ]


@dataclass(frozen=True, slots=True)
class _SealSlot:
    """`before` + digest + `after` are inserted before the last `behind` bytes, instead of the bytes `replaced`."""

    before: bytes
    after: bytes = b""
    behind: int = 0
    replaced: bytes = b""

    def __len__(self) -> int:
        return len(self.before) + DIGITS + len(self.after)


_CHUNK = b"tEXtDigest\x00sha256:"
_SEAL_SLOTS = {
    ".png": _SealSlot((len(_CHUNK) - 4 + DIGITS).to_bytes(4, "big") + _CHUNK, b"\0" * 4, behind=12),  # IEND comes last
    ".gif": _SealSlot(b"\x21\xff\x0bt2v-seal1.0" + bytes([DIGITS]), b"\0", behind=1),
    ".mp4": _SealSlot((8 + 7 + DIGITS).to_bytes(4, "big") + b"freesha256:"),
    ".npz": _SealSlot((7 + DIGITS).to_bytes(2, "little") + b"sha256:", replaced=b"\0\0"),  # the comment of an archive
    ".html": _SealSlot(b"<!-- sha256:", b" -->\n"),
}
SEALED_ENDINGS = tuple(_SEAL_SLOTS)


def seal(data: bytes, kind: str) -> bytes:
    """The file with a seal, which it must not have yet; `kind` is its suffix, one of SEALED_ENDINGS."""
    slot = _SEAL_SLOTS[kind]
    cut = len(data) - slot.behind
    head = data[:cut].removesuffix(slot.replaced)
    digest = hashlib.sha256(data).hexdigest().encode()
    after = zlib.crc32(_CHUNK + digest).to_bytes(4, "big") if kind == ".png" else slot.after
    return head + slot.before + digest + after + data[cut:]


def unseal(data: bytes, kind: str) -> bytes | None:
    """The file as it was before it was sealed; None if it has no valid seal."""
    slot = _SEAL_SLOTS[kind]
    cut = len(data) - slot.behind
    bare = data[: cut - len(slot)] + slot.replaced + data[cut:]
    return bare if has_seal(data, kind) and seal(bare, kind) == data else None


def has_seal(data: bytes, kind: str) -> bool:
    """Whether there is a seal, valid or not."""
    slot = _SEAL_SLOTS[kind]
    start = len(data) - slot.behind - len(slot)
    return start >= 0 and data[start : start + len(slot.before)] == slot.before
