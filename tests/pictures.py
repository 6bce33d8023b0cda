"""Folders of pictures for the tests, and archives of files."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def draw_picture(number: int, shape: tuple[int, int] = (48, 64)) -> Image.Image:
    """A picture of that height and width that differs from one number to the next."""
    height, width = shape
    down, across = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([across * 3 + number * 4, down * 4, across + down], -1).astype(np.uint8))


def write_pictures(
    folder: Path, names: Sequence[str], mode: str = "RGB", shape: tuple[int, int] = (48, 64), **options: Any
) -> list[Path]:
    """One picture for each name, as Pillow writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        draw_picture(number, shape).convert(mode).save(folder / name, **options)
    return [folder / name for name in names]


def number_names(count: int, form: str = "{:05}.jpg", first: int = 1) -> list[str]:
    """Names of pictures in order."""
    return [form.format(number) for number in range(first, first + count)]


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w", odd: Sequence[tarfile.TarInfo] = ()) -> Path:
    """A tar archive of files, and of members that are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info)
    return path


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read_folder_as_members(folder: Path) -> dict[str, bytes]:
    """The files below a folder, as members of an archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
