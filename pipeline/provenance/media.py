"""A rendered file: its provenance, whether its seal is valid, and how it differs from another one."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from pipeline.errors import UserError, explain, naming
from pipeline.files import read_section
from pipeline.params import LimitParams
from pipeline.provenance.containers import UNREADABLE, read_facts, strip_manifest
from pipeline.rendering.export import KINDS, has_seal, unseal
from pipeline.video import DecodeError
from pipeline.video.pyav_decoder import PyavReader

SHORT = 12  # digits of a digest in a message
ENVIRONMENT = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "cpu": "instructions",
    "onednn": "instructions of oneDNN",
    "blas": "matrix products",
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


@dataclass(frozen=True)
class Media:
    """A file as it was read; `facts` are None where it says nothing of how it was made."""

    path: Path
    kind: str  # its ending, one of KINDS
    data: bytes
    payload: bytes  # without a signature
    facts: dict[str, Any] | None

    @property
    def is_signed(self) -> bool:
        return len(self.payload) < len(self.data)

    @property
    def has_seal(self) -> bool:
        return has_seal(self.payload, self.kind)

    @property
    def is_whole(self) -> bool:
        """Whether it has a seal that fits."""
        return unseal(self.payload, self.kind) is not None

    def require_facts(self) -> dict[str, Any]:
        """Raises UserError where the file does not say how it was made."""
        if self.facts is None:
            raise UserError(f"{self.path}: says nothing of how it was made; another program wrote it, or wrote it anew")
        return self.facts


def read_media(path: Path) -> Media:
    """Raises UserError where there is no such file, or none of the kinds that this project writes."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UserError(
            f"{path}: {kind or 'no ending'} is no kind of file that is rendered here; {', '.join(KINDS)} are"
        )
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file") from None
    payload = strip_manifest(data, kind)
    return Media(path, kind, data, payload, read_facts(payload, kind))


def list_media(path: Path) -> list[Path]:
    """The file itself, or all files of KINDS in a folder but hidden ones, sorted."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*") if file.suffix.lower() in KINDS and file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def explain_facts(told: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What sets the making of two files apart: another model, code, torch, instruction set ..."""
    for key, name in NAMES.items():
        if told.get(key) != now.get(key):
            yield f"other {name}: {_shorten(told.get(key))}, here {_shorten(now.get(key))}"
    for file in _list_differing(read_section(told, "data"), read_section(now, "data")):
        yield f"other data: {file}"
    yield from explain_environment(read_section(told, "environment"), read_section(now, "environment"))


def explain_environment(told: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """How two machines differ as far as bytes depend on them, and as far as the first one is told."""
    for key, name in ENVIRONMENT.items():
        if key in told and told[key] != now.get(key):
            yield f"other {name}: {told[key]}, here {now.get(key, 'not told')}"


def explain_pixels(one: Media, other: Media) -> Iterator[str]:
    """Where the pixels of two files of one kind differ; nothing where they are equal."""
    if one.kind == ".html":
        yield "the text of the page differs"
        return
    a, b = decode_media(one), decode_media(other)
    if a is None or b is None:
        yield "cannot be decoded"
    elif a.shape != b.shape:
        yield f"other shape: {a.shape}, made again {b.shape}"
    elif (apart := np.abs(a.astype(np.int16) - b)).any():
        pixels = apart.max(axis=-1) > 0
        first = tuple(int(place) for place in np.argwhere(pixels)[0])
        share = f"{pixels.sum()} of {pixels.size} pixels differ, by {apart.max()} of 255 at most"
        yield f"{share}; the first at {', '.join(map(str, first))} of {', '.join(map(str, pixels.shape))}"


def decode_media(media: Media) -> NDArray[np.uint8] | None:
    """Its pixels, uint8 with colour last: [H,W,3] of a PNG, else [T,H,W,3] or [N,T,H,W,3]; None where it has none."""
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
        if isinstance(error, OSError) and explain(error):  # the disk is full, which says nothing of the file
            raise
        return None


def _decode_film(media: Media) -> NDArray[np.uint8]:
    most = LimitParams(frame_pixels=2**28, video_pixels=2**36, video_frames=2**16, seconds=600, memory_bytes=2**33)
    with TemporaryDirectory() as folder:
        path = Path(folder) / media.path.name
        with naming(path):
            path.write_bytes(media.payload)
        read = PyavReader(path, most).read(lambda timeline: range(len(timeline.stamps)), lambda _: [])
    return np.stack([np.asarray(frame, np.uint8) for _, frame in sorted(read.frames.items())])


def _list_differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _shorten(value: Any) -> str:
    text = "not told" if value is None else str(value)
    return text[:SHORT] if len(text) == 64 else text
