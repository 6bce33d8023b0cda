"""Paths -> ids, for labels that bring none."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.corpus.rows import Row

UNSAFE = re.compile(r"^\.|[^\w ./-]")  # a leading dot would hide the file that an id names
LOOSE = re.compile(r"(?:^|/)\.?(?:/|$)")
SIMPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./-]*")  # nearly every path
LONGEST = 160  # bytes; leaves room for what is put behind an id


def plain_path(path: str) -> str:
    """The path with `./` and doubled or final slashes gone."""
    return str(PurePosixPath(path)) if path and LOOSE.search(path) else path


def id_of_path(path: str) -> str:
    """The path as one file name: `a/b.mp4` -> `a+b.mp4`. Different paths have different ids.

    Letters of any script, digits and ` .-_` stay, everything else is escaped as in a URL. A long path is cut and ends
    with its digest. An empty path has an empty id, which is unusable.
    """
    if not path:
        return ""
    path = plain_path(path)
    name = (path if SIMPLE.fullmatch(path) else UNSAFE.sub(_escape, path)).replace("/", "+")
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name.encode()[: LONGEST - 17].decode(errors='ignore')}-{digest}"


def _escape(found: re.Match[str]) -> str:
    # A name that is not UTF-8 comes from the disk with lone surrogates in it.
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))


def number_repeats(rows: Sequence[Row]) -> list[Row]:
    """The rows, those with an id seen before as `<id>~2`, `<id>~3`: a video may have several captions."""
    seen: Counter[str] = Counter()
    numbered: list[Row] = []
    for row in rows:
        seen[row.id] += 1
        # An escaped id holds no `~`, so these are new.
        numbered.append(row if seen[row.id] == 1 or not row.id else row._replace(id=f"{row.id}~{seen[row.id]}"))
    return numbered
