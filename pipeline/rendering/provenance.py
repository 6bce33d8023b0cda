"""What is needed to make a file again, carried inside the file as JSON."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import UserError
from pipeline.video.comment import read_comment
from pipeline.video.limits import DecodeError

Provenance = dict[str, Any]  # what JSON can hold

KEY = "Comment"  # of a PNG; in a GIF and an MP4 it is the comment, in an NPZ the array `provenance`


def to_text(provenance: Provenance) -> str:
    """One line of JSON; equal values give equal text."""
    return json.dumps(provenance, sort_keys=True, ensure_ascii=False)


def read_provenance(path: Path) -> Provenance:
    """The provenance that `export_samples` put into a png, gif, mp4 or npz. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: provenance is carried by {', '.join(_READERS)} files only")
    try:
        text = reader(path) or ""
        provenance = json.loads(text)
    except (UnidentifiedImageError, DecodeError, zipfile.BadZipFile, ValueError) as error:
        raise UserError(f"{path}: carries no provenance ({error}); another program may have removed it") from None
    if not isinstance(provenance, dict):
        raise UserError(f"{path}: its comment is not a provenance: {text!r:.80}")
    return provenance


def _from_image(path: Path) -> str | None:
    with Image.open(path) as image:
        text = image.info.get(KEY) or image.info.get(KEY.lower())
    return text.decode("utf-8") if isinstance(text, bytes) else text


def _from_archive(path: Path) -> str | None:
    with np.load(path, allow_pickle=False) as archive:
        return str(archive["provenance"]) if "provenance" in archive else None


_READERS = {".png": _from_image, ".gif": _from_image, ".mp4": read_comment, ".npz": _from_archive}
