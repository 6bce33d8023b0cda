"""Which labelling tool wrote a file, or the files in a folder: for `dataset.format: auto`."""

import csv
import itertools
from pathlib import Path
from typing import Any

from pipeline.corpus.readers import boris, cvat, elan, label_studio, via
from pipeline.corpus.readers.containers import list_near_files
from pipeline.corpus.readers.json_files import read_content
from pipeline.errors import UserError

OF_BYTES = {"elan": elan, "cvat": cvat}
OF_CONTENT = {"label_studio": label_studio, "via": via, "boris": boris}  # of JSON, or of the first lines of a table
ENDINGS = {ending for tool in (*OF_BYTES.values(), *OF_CONTENT.values()) for ending in tool.ENDINGS}
LOOKED_AT = 100  # lines of a table
LONGEST = 1 << 16  # bytes of them


def recognize_file(path: Path) -> tuple[str, str] | None:
    """The format of the tool that wrote the file, and what tells it; None where none is known to have."""
    ending = path.suffix.lower()
    if ending not in ENDINGS or not path.is_file():
        return None
    for name, tool in OF_BYTES.items():
        if ending in tool.ENDINGS and (why := tool.recognize(path, _read_start(path))):
            return name, why
    content: Any = _read_content(path, ending)
    for name, of_content in OF_CONTENT.items():
        if ending in of_content.ENDINGS and (why := of_content.recognize(path, content)):
            return name, why
    return None


def recognize_folder(folder: Path) -> tuple[str, str] | None:
    """The format of the first export in a folder, or in one of those in it; None where there is none."""
    first: dict[str, Path] = {}  # with each ending: a folder may hold a million files
    for path in list_near_files(folder, tuple(ENDINGS)):
        if path.name[0] != "~":
            first.setdefault(path.suffix.lower(), path)
    return next((known for path in first.values() if (known := recognize_file(path))), None)


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST)


def _read_content(path: Path, ending: str) -> Any:
    """What is in a file of JSON, or the first lines of a table; None for JSON that cannot be read."""
    if ending in (".json", ".boris"):
        try:
            return read_content(path)
        except UserError:
            return None
    lines = _read_start(path).decode("utf-8-sig", "replace").splitlines()[:LOOKED_AT]
    header = next(csv.reader(lines[:1], delimiter="\t" if ending == ".tsv" else ","), [])
    return list(itertools.chain(header, lines))
